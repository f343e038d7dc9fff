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
#include "kerncast/op.hpp"

/// The dispatcher: op calls in, kernel launches out, with specialisation, compilation and caching between
/// them.
namespace kerncast {

/// A CUstream; null is the legacy default stream of the current context.
using Stream = void*;

/// What a call does when its kernel is not in memory.
enum class MissPolicy : std::uint8_t {
  compile,     ///< load from the cache, else compile
  cache_only,  ///< load from the cache, else fail: strict serving
};

/// Worker processes that compile for this one. NVRTC serialises within a process, and a crash of it ends one.
struct CompileWorkers {
  std::string command;  ///< path of the kerncast command; empty: compile in this process
  int jobs = 0;         ///< processes at most; 0: one for each core
  /// Of all of them, shared equally, 128 MiB to each at least: fewer run where it does not suffice for all.
  /// One that passes its share is replaced, and a compile that does so alone fails. 0: no limit.
  std::uint64_t memory_bytes = 0;
  int timeout_s = 300;  ///< of one compile
};

struct RuntimeOptions {
  std::string driver;  ///< "cuda", "sim" or a path; empty: KERNCAST_DRIVER, else what the machine has
  std::string nvrtc;   ///< "none", "toolkit", "wheel" or a path; empty: KERNCAST_NVRTC, else what is found
  std::string cache_directory;  ///< empty: KERNCAST_CACHE_DIR, else the XDG cache directory
  /// Cache directories and packs to read only, in order of search; empty: KERNCAST_CACHE_READONLY.
  std::vector<std::string> cache_read_only;
  /// URL of a server that machines share entries through (http, https, s3, redis); empty:
  /// KERNCAST_CACHE_REMOTE.
  std::string cache_remote;
  std::optional<bool> cache_remote_read_only;  ///< unset: KERNCAST_CACHE_REMOTE_READONLY
  /// What the cache directory may grow to, 0 for no limit; unset: KERNCAST_CACHE_MAX_BYTES, else 2 GiB, and
  /// KERNCAST_CACHE_MAX_ENTRIES, else 100000.
  std::optional<std::uint64_t> cache_max_bytes;
  std::optional<std::uint64_t> cache_max_entries;
  /// Read caches that others could have written to; unset: KERNCAST_CACHE_TRUST.
  std::optional<bool> cache_trust;
  std::optional<MissPolicy> miss_policy;  ///< unset: cache_only with KERNCAST_STRICT=1, else compile
  CompileWorkers compile_workers;
  /// File that every kernel asked for is noted in, for kerncast warm --from-record; empty: KERNCAST_RECORD.
  std::string record;
  std::function<void(std::string_view)> warn;  ///< receives each warning once; null: warnings go to stderr
};

/// How a kernel came to be in memory.
enum class Origin : std::uint8_t { memory, disk, compiled };

/// Where a kernel's tunables come from.
enum class TunablesOrigin : std::uint8_t {
  defaults,  ///< the op's own choice
  tuned,     ///< a record of a tuning store
  given,     ///< the caller
};

/// A kernel as the store keeps it.
struct KernelReport {
  std::string op;
  std::string spec;      ///< format_specialisation
  std::string tunables;  ///< "threads=256 rows_per_block=1"
  TunablesOrigin tunables_origin = TunablesOrigin::defaults;
  std::string tuned_record;  ///< the record in words, with its time and layer; empty unless tuned
  std::string arch;          ///< "sm_90a"
  std::string key;           ///< 32 hex digits
  Origin origin = Origin::memory;
  double compile_ms = 0;  ///< NVRTC's time, 0 unless compiled
  double load_us = 0;     ///< from bytes in memory to a launchable function, 0 unless loaded
  int registers = 0;
  int spill_store_bytes = 0;
  int spill_load_bytes = 0;
  int shared_bytes = 0;
  int local_bytes = 0;
  std::string source;  ///< generated translation unit
  std::string ptx;
  std::string cubin;         ///< empty where the compiler gave none
  std::string lowered_name;  ///< entry point in PTX and cubin; one per line where the op has later stages
  std::vector<std::pair<std::string, std::string>> key_fields;
};

/// What a kernel is kept under in the cache.
struct KeyReport {
  std::string spec;      ///< format_specialisation
  std::string tunables;  ///< "threads=256 rows_per_block=1"
  TunablesOrigin tunables_origin = TunablesOrigin::defaults;
  std::string tuned_record;  ///< as in KernelReport
  std::string key;           ///< 32 hex digits
  std::vector<std::pair<std::string, std::string>> key_fields;
};

/// A launch prepared for repetition: the kernel is resolved and the arguments are bound. Valid while its
/// Runtime lives.
class KERNCAST_API PreparedLaunch {
 public:
  PreparedLaunch() = default;
  /// Enqueues on `stream`. Throws Error(driver_error).
  void launch(Stream stream) const;

 private:
  friend class Runtime;
  const void* entry_ = nullptr;
  const void* api_ = nullptr;
  std::array<LaunchGeometry, OpDefinition::max_stages> geometries_;
  Call call_;
};

/// One runtime serves all threads and all devices of a process. Every method is thread-safe.
class KERNCAST_API Runtime {
 public:
  explicit Runtime(RuntimeOptions options = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// The process-wide runtime with default options, made on first use.
  static Runtime& instance();

  /// Launches `call` of `op` on `stream`. Hot path: one hash, one probe, one launch; no allocation, no lock.
  /// Zero rows succeed without a launch. Throws Error.
  void dispatch(const OpDefinition& op, const Call& call, Stream stream);

  /// Binds named tensors, checks that they are device memory, and dispatches.
  void run(const OpDefinition& op, const Bindings& bindings, Stream stream);

  /// Resolves the kernel of `call` and binds its arguments for repeated launches. Here and below, `tunables`
  /// that are given win over those tuned and the op's own; they throw Error(invalid_argument) where they are
  /// not among the op's choices.
  [[nodiscard]] PreparedLaunch prepare(const OpDefinition& op, const Call& call,
                                       const std::optional<Tunables>& tunables = std::nullopt);

  /// Makes the kernel of `call` ready on its device, and says how it came to be.
  KernelReport ensure(const OpDefinition& op, const Call& call,
                      const std::optional<Tunables>& tunables = std::nullopt);

  /// Compiles for `arch` ("sm_100a") into the cache without a device; `rows` selects the row bucket.
  KernelReport compile(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                       std::int64_t rows, const std::optional<Tunables>& tunables = std::nullopt);

  /// The key of what compile() would look for, without looking. Where no NVRTC is found the key is that of no
  /// compiler.
  [[nodiscard]] KeyReport identify(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                                   std::int64_t rows, const std::optional<Tunables>& tunables = std::nullopt);

  /// As compile, but nothing where the cache has none; where there is no NVRTC, that of any version.
  [[nodiscard]] std::optional<KernelReport> find(const OpDefinition& op, const Specialisation& spec,
                                                 std::string_view arch, std::int64_t rows,
                                                 const std::optional<Tunables>& tunables = std::nullopt);

  /// What launches of `rows` rows are built with on a device of `arch` with `sm_count` multiprocessors (0:
  /// the most common): the tuned tunables where there are any, then the op's own, which serve where those
  /// cannot.
  [[nodiscard]] std::vector<Tunables> tunables(const OpDefinition& op, const Specialisation& spec,
                                               std::string_view arch, std::int64_t rows, int sm_count = 0);

  /// Multiprocessor counts of the devices of `arch` that this library knows of, the most common first.
  [[nodiscard]] static std::vector<int> sm_counts(std::string_view arch);

  /// As compile, but leaves the store alone: for inspection.
  KernelReport inspect(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                       std::int64_t rows, const std::optional<Tunables>& tunables = std::nullopt);

  /// Architecture of device `ordinal`, as "sm_90a".
  [[nodiscard]] std::string arch(int ordinal);
  [[nodiscard]] DeviceTraits traits(int ordinal);

  /// What this runtime's cache has done so far.
  [[nodiscard]] CacheCounters cache_counters() const;

  /// Makes the primary context of device `ordinal` current on this thread, as launching needs. Hosts that use
  /// the CUDA runtime or a framework have done so already.
  void make_current(int ordinal);
  /// The Driver API function called `symbol` ("cuMemAlloc_v2") of the driver in use; null where it has none.
  [[nodiscard]] void* driver_symbol(const char* symbol) const;

  struct Parts;
  /// The parts behind the runtime, for the tools and tests of this project.
  [[nodiscard]] Parts& parts() noexcept { return *parts_; }

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace kerncast
