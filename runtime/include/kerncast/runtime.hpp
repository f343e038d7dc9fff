#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/cache_counters.hpp"
#include "kerncast/listener.hpp"
#include "kerncast/op.hpp"

/// The dispatcher: it turns an op call into a kernel launch, and specialises, compiles and caches the kernel
/// on the way.
///
/// Asynchrony. A launch is enqueued on the stream and the call returns; the first call of a kernel also waits
/// for the cache or the compiler. Errors in arguments are thrown at once. Errors of a running kernel show
/// when the host synchronises with the stream.
///
/// Lifetime. Definitions, calls, bindings and tensor views need to live only until the function returns. The
/// device memory behind the views must live until the kernel has run, and the Runtime must outlive its
/// PreparedLaunch objects and the kernels under way.
namespace kerncast {

/// A CUstream. Null is the legacy default stream of the current context.
using Stream = void*;

/// The behaviour of a call if its kernel is not in memory.
enum class MissPolicy : std::uint8_t {
  compile,     ///< load the kernel from the cache, or compile it
  cache_only,  ///< load the kernel from the cache, or fail with Error(cache_miss): strict serving
};

/// Worker processes that compile for this one. NVRTC serialises compiles within a process, and a crash of
/// NVRTC ends the process it runs in.
struct CompileWorkers {
  std::string command;  ///< path of the kerncast command; empty: compile in this process
  int jobs = 0;         ///< largest number of processes; 0: one per core
  /// Memory limit of all workers together, in bytes; 0: no limit. Each gets an equal share of at least 128
  /// MiB, so a small limit means fewer workers. A worker that exceeds its share is replaced; a compile that
  /// exceeds a share on its own fails.
  std::uint64_t memory_bytes = 0;
  int timeout_s = 300;  ///< time limit of one compile, in seconds
};

/// Options of a Runtime. An option that is left empty or unset takes its value from the environment variable
/// named beside it, else the default named there. A process with raised privileges (a set-user-id program)
/// reads no variables.
struct RuntimeOptions {
  /// "cuda", "sim" (the virtual GPU) or the path of a driver library. KERNCAST_DRIVER; default: the NVIDIA
  /// driver if the machine has one, else the virtual GPU.
  std::string driver;
  /// "toolkit", "wheel", "none" or the path of an NVRTC library. KERNCAST_NVRTC; default: the first one
  /// found.
  std::string nvrtc;
  /// Cache directory. KERNCAST_CACHE_DIR; default: kerncast in the XDG cache directory.
  std::string cache_directory;
  /// Cache directories and packs that are only read, in order of search. KERNCAST_CACHE_READONLY; default:
  /// none.
  std::vector<std::string> cache_read_only;
  /// URL of a server through which machines share entries (http, https, s3, redis). KERNCAST_CACHE_REMOTE;
  /// default: none.
  std::string cache_remote;
  /// File with the user and password for that server, in the form of .netrc, for its owner alone to read.
  /// KERNCAST_CACHE_REMOTE_CREDENTIALS; default: none.
  std::string cache_remote_credentials;
  /// Never upload to that server. KERNCAST_CACHE_REMOTE_READONLY; default: false.
  std::optional<bool> cache_remote_read_only;
  /// Let machines agree through that server which of them compiles a kernel. KERNCAST_CACHE_REMOTE_LEASES;
  /// default: true.
  std::optional<bool> cache_remote_leases;
  /// Size limit of the cache directory in bytes; 0: no limit. KERNCAST_CACHE_MAX_BYTES; default: 2 GiB.
  std::optional<std::uint64_t> cache_max_bytes;
  /// Limit on the number of entries; 0: no limit. KERNCAST_CACHE_MAX_ENTRIES; default: 100000.
  std::optional<std::uint64_t> cache_max_entries;
  /// Read caches that other users could have written to. KERNCAST_CACHE_TRUST; default: false.
  std::optional<bool> cache_trust;
  /// Users, by name or number, whose read-only caches are trusted as those of this user and root are.
  /// KERNCAST_CACHE_OWNERS; default: none.
  std::vector<std::string> cache_owners;
  /// Public keys, or absolute paths of files with one in each line, separated by commas. Entries of read-only
  /// caches and of the server, and tuned records of read-only caches, are used only if one of these keys has
  /// signed them. KERNCAST_TRUSTED_KEYS; default: no demand.
  std::string cache_trusted_keys;
  /// File of the key that signs what is compiled and tuned. KERNCAST_SIGNING_KEY; default: nothing is signed.
  std::string cache_signing_key;
  /// Write the name of this machine into what is compiled, so that `kerncast cache show` tells where a kernel
  /// was made. KERNCAST_CACHE_HOSTNAME; default: false.
  std::optional<bool> cache_hostname;
  /// KERNCAST_STRICT=1 means cache_only; default: compile.
  std::optional<MissPolicy> miss_policy;
  /// Launch programmatically on devices of sm_90 and later: the blocks of a kernel may start while the kernel
  /// before it in the stream still runs, and wait for it. Only ops that declare
  /// OpDefinition::waits_for_primary are launched so. KERNCAST_PDL=0 means false; default: true.
  std::optional<bool> programmatic_launch;
  CompileWorkers compile_workers;  ///< default: compile in this process
  /// File to which every kernel that a launch asks for is appended, for `kerncast warm --from-record`.
  /// KERNCAST_RECORD; default: none.
  std::string record;
  /// File to which the counters of this process's cache are written at most every 10 seconds and at its end,
  /// for the textfile collector of Prometheus' node exporter. `%p` in it stands for the process id.
  /// KERNCAST_METRICS_FILE; default: none.
  std::string metrics_file;
  /// Receives what happens to kernels. Default: nobody listens, which costs nothing.
  KernelListener listener;
  /// The listener hears of launches too, at about the cost of two readings of the clock each.
  bool listen_to_launches = false;
  /// File to which misses, compiles, loads and launches are written, for Perfetto, chrome://tracing and
  /// `kerncast trace view`. `%p` in it stands for the process id. KERNCAST_TRACE; default: none.
  std::string trace;
  /// "1" marks compiles and loads as ranges of NVTX, which Nsight Systems shows, and "launches" marks
  /// launches too; "0" marks nothing. Needs NVIDIA's libnvToolsExt.so.1 or libnvtx3interop.so.1.
  /// KERNCAST_NVTX; default: nothing.
  std::string nvtx;
  /// Receives each warning once, from any thread. An exception that it throws is dropped and the warning goes
  /// to stderr, since no warning fails a launch. Default: warnings go to stderr.
  std::function<void(std::string_view)> warn;
};

/// The place where a kernel was found.
enum class Origin : std::uint8_t {
  memory,    ///< in this process
  disk,      ///< in the cache: its directory, a read-only layer or the remote server
  compiled,  ///< nowhere: it was compiled
};

/// The source of a kernel's tunables.
enum class TunablesOrigin : std::uint8_t {
  defaults,  ///< the op's own choice
  tuned,     ///< a record of a tuning store
  given,     ///< the caller
};

/// A kernel: what it was built from and what came out.
struct KernelReport {
  std::string op;        ///< "norm.rms_norm"
  std::string spec;      ///< as format_specialisation writes it
  std::string tunables;  ///< "threads=256 rows_per_block=1"
  TunablesOrigin tunables_origin = TunablesOrigin::defaults;
  std::string tuned_record;  ///< the record in words, with its time and layer; empty unless tuned
  std::string arch;          ///< "sm_90a"
  std::string key;           ///< 32 hex digits
  Origin origin = Origin::memory;
  /// The path of the cache directory, layer or pack that had it, or the URL of the server without password
  /// and query. Empty unless the origin is the disk.
  std::string found_in;
  double compile_ms = 0;      ///< time of NVRTC in ms; 0 unless compiled
  double load_us = 0;         ///< time from bytes in memory to a launchable function in us; 0 unless loaded
  int registers = 0;          ///< per thread
  int spill_store_bytes = 0;  ///< per thread
  int spill_load_bytes = 0;   ///< per thread
  int shared_bytes = 0;       ///< static shared memory per block
  int local_bytes = 0;        ///< stack per thread
  std::string source;         ///< generated translation unit
  std::string ptx;
  std::string cubin;         ///< empty if the compiler produced none
  std::string lowered_name;  ///< entry point in PTX and cubin; one line per stage of the op
  std::vector<std::pair<std::string, std::string>> key_fields;  ///< label and value of everything in the key
};

/// The cache key of a kernel, and what went into it.
struct KeyReport {
  std::string spec;      ///< as format_specialisation writes it
  std::string tunables;  ///< "threads=256 rows_per_block=1"
  TunablesOrigin tunables_origin = TunablesOrigin::defaults;
  std::string tuned_record;  ///< the record in words, with its time and layer; empty unless tuned
  std::string key;           ///< 32 hex digits
  std::vector<std::pair<std::string, std::string>> key_fields;  ///< label and value of everything in the key
};

/// The outcome of Runtime::load_all for the kernels of a record.
struct LoadReport {
  std::size_t loaded = 0;     ///< from the cache
  std::size_t compiled = 0;   ///< since the cache did not hold them
  std::size_t present = 0;    ///< in memory already
  std::size_t elsewhere = 0;  ///< for other architectures, and left out
  /// A line for each kernel that could not be made ready, and one that counts lines which are no records.
  std::vector<std::string> failures;
};

/// A launch prepared for repetition: the kernel is loaded and the arguments are bound, addresses and rows
/// included; rebind() names others. It refers to its
/// Runtime, which must outlive it, and not to the definition that it was prepared from. Copies are
/// independent; one object may be launched from several threads at once.
class KERNCAST_API PreparedLaunch {
 public:
  PreparedLaunch() = default;
  /// Enqueues the kernel on `stream` and returns. A launch of no rows does nothing. Throws
  /// Error(driver_error), and Error(invalid_argument) for an object that no Runtime prepared.
  void launch(Stream stream) const;
  /// Aims the launch at other memory, scalars or rows of the op that it was prepared for. Nothing is looked
  /// up, allocated or compiled, so a captured call may be rebound too. Throws Error(invalid_argument), and
  /// leaves the launch as it was, if `call` needs another kernel: another op, specialisation, device or row
  /// bucket. A launch that was prepared for no rows has no kernel and takes only calls of no rows. No thread
  /// may use the object meanwhile.
  void rebind(const OpDefinition& op, const Call& call);

 private:
  friend class Runtime;
  bool prepared_ = false;
  const void* entry_ = nullptr;
  const void* api_ = nullptr;
  std::array<LaunchGeometry, max_stages> geometries_;
  Call call_;
};

/// Serves all threads and all devices of a process. Every method is thread-safe.
///
/// Fork. The driver does not survive a fork. In a child that was forked after a Runtime was used, calls of it
/// throw Error(unsupported), and its destruction does nothing. A Runtime that was only made may be used
/// there.
///
/// End. No thread may be inside a call when the Runtime is destroyed. If one is all the same, as when main()
/// returns before the threads of a host have ended, what the Runtime holds is left to the end of the process.
///
/// An op is known by the content of its definition (see OpFingerprint), so two definitions of one name with
/// different template text are two ops, and the address of a definition means nothing. Definitions of the
/// OpRegistry and those made by seal() have their content hashed once; a host that passes another definition
/// pays for the hash in every call.
///
/// Wherever `tunables` is a parameter, the given values win over tuned records and over the op's own choice,
/// and Error(invalid_argument) is thrown if the op does not offer them. Wherever `rows` is a parameter it
/// selects the row bucket, for which the op may choose other tunables.
class KERNCAST_API Runtime {
 public:
  /// Loads neither driver nor compiler: each is loaded on first use.
  explicit Runtime(RuntimeOptions options = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// The process-wide runtime with default options. It is made on first use and never destroyed.
  static Runtime& instance();

  /// Launches `call` of `op` on `stream`; zero rows succeed without a launch. If the kernel is in memory and
  /// the definition is sealed, the call costs one hash, one probe and one launch, without allocation or lock.
  /// Throws Error: cache_miss or capture_miss if the kernel must not be compiled now, compile_failed,
  /// driver_error.
  void dispatch(const OpDefinition& op, const Call& call, Stream stream);

  /// Binds named tensors, checks that they are device memory, and dispatches. Throws Error(invalid_argument)
  /// for a missing, unknown or unfit tensor, scalar or setting (an unknown name with the nearest known one),
  /// and as dispatch does.
  void run(const OpDefinition& op, const Bindings& bindings, Stream stream);

  /// Loads the kernel of `call` and binds its arguments for repeated launches. Throws as dispatch does.
  [[nodiscard]] PreparedLaunch prepare(const OpDefinition& op, const Call& call,
                                       const std::optional<Tunables>& tunables = std::nullopt);

  /// Makes the kernel of `call` ready on its device without launching it, and reports where it was found.
  /// Throws as dispatch does.
  KernelReport ensure(const OpDefinition& op, const Call& call,
                      const std::optional<Tunables>& tunables = std::nullopt);

  /// Makes every kernel of `record` ready on device `ordinal`, so that launches of them neither read files
  /// nor compile nor load modules, which matters while a CUDA graph is captured. `record` is a file that
  /// KERNCAST_RECORD or `kerncast warm --write-record` wrote; its ops must be in the OpRegistry. Kernels for
  /// other architectures are left out. One kernel that fails does not keep the others from being loaded.
  /// Throws Error(io_error) if the file cannot be read or holds no record, and
  /// Error(invalid_argument) if there is no such device.
  [[nodiscard]] LoadReport load_all(const std::string& record, int ordinal = 0);

  /// From now on nothing is compiled: what is neither in memory nor in the cache is Error(cache_miss), with
  /// the command that warms it. A host calls it when it has loaded what it serves. It cannot be undone.
  void seal() noexcept;

  /// Makes sure that the cache holds the kernel for `arch` ("sm_100a"), and compiles it if it does not. Needs
  /// no device. Throws Error(compile_failed), Error(not_found) if there is no NVRTC, and Error(cache_miss)
  /// after seal().
  KernelReport compile(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                       std::int64_t rows, const std::optional<Tunables>& tunables = std::nullopt);

  /// The key that compile() would look for. Nothing is looked up. If there is no NVRTC, the key is computed
  /// with an empty compiler version.
  [[nodiscard]] KeyReport identify(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                                   std::int64_t rows, const std::optional<Tunables>& tunables = std::nullopt);

  /// Looks the kernel up in the cache as compile() does, without compiling and without counting a miss. If
  /// there is no NVRTC, an entry made by any NVRTC version will do.
  [[nodiscard]] std::optional<KernelReport> find(const OpDefinition& op, const Specialisation& spec,
                                                 std::string_view arch, std::int64_t rows,
                                                 const std::optional<Tunables>& tunables = std::nullopt);

  /// All tunables that launches of `rows` rows may use on devices of `arch` with `sm_count` multiprocessors
  /// (0: as the most common device has), each once: the tuned ones, which may differ between devices whose
  /// names differ, then the op's own, which serve if the kernel of the tuned ones cannot be built.
  [[nodiscard]] std::vector<Tunables> tunables(const OpDefinition& op, const Specialisation& spec,
                                               std::string_view arch, std::int64_t rows, int sm_count = 0);

  /// Multiprocessor counts of the known devices of `arch`, the most common device first.
  [[nodiscard]] static std::vector<int> sm_counts(std::string_view arch);

  /// Compiles the kernel without reading or writing the cache, for inspection, after seal() too. Throws
  /// as compile does.
  KernelReport inspect(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                       std::int64_t rows, const std::optional<Tunables>& tunables = std::nullopt);

  /// Architecture of device `ordinal`, such as "sm_90a". Throws Error(invalid_argument) if there is no such
  /// device.
  [[nodiscard]] std::string arch(int ordinal);
  /// Facts about device `ordinal` by which ops choose tunables. Throws as arch does.
  [[nodiscard]] DeviceTraits traits(int ordinal);

  /// Totals of this runtime's cache so far.
  [[nodiscard]] CacheCounters cache_counters() const;
  /// These totals in the text format of Prometheus (version 0.0.4, UTF-8), for a host that answers scrapes
  /// itself with the content type "text/plain; version=0.0.4".
  [[nodiscard]] std::string cache_metrics() const;

  /// Makes the primary context of device `ordinal` current on this thread, as launching requires. Hosts that
  /// use the CUDA runtime or a framework have done so already. Throws Error(driver_error).
  void make_current(int ordinal);
  /// Address of the Driver API function `symbol` of the driver in use; null if it has none. A name without a
  /// version ("cuMemAlloc") means the function that the cuda.h of CUDA 12.0 maps it to (cuMemAlloc_v2), with
  /// every driver; a function that is newer than 12.0 has its exported name. The driver is loaded by the
  /// first call that needs it, and functions that need a context fail until make_current was called on the
  /// thread.
  [[nodiscard]] void* driver_symbol(const char* symbol) const;
  /// The text that the driver in use gives about this thread's last call to it, if that failed, or else about
  /// the fault of this thread's context. The virtual GPU names kernel, block, thread and line of PTX, and
  /// both accesses of a race. Empty if there was no fault, and for NVIDIA's driver, which tells nothing
  /// beyond its error code. Call it when a synchronisation fails; it waits for nothing.
  [[nodiscard]] std::string last_fault() const;

  struct Impl;

 private:
  friend struct RuntimeAccess;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kerncast
