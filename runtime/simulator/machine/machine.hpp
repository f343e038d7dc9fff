#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulator/machine/memory.hpp"

/// The machine as the driver front end sees it: modules decoded from PTX, and launches executed to their end.
/// The front end knows streams, contexts and handles; the machine does not.
namespace kerncast::simulator {

/// Thrown for PTX that the decoder refuses. Names the construct and its PTX line, counted from 1.
class DecodeError : public std::runtime_error {
 public:
  DecodeError(const std::string& what, int ptx_line) : std::runtime_error(what), line(ptx_line) {}
  int line;
};

/// The reason why a launch stopped. Kinds map one to one to the driver's error codes in the front end.
enum class FaultKind : std::uint8_t {
  none,
  illegal_address,
  misaligned_address,
  illegal_instruction,
  trap,
  assertion,
  deadlock,
  launch_timeout,
  stack_overflow,
  violation,  ///< an error that hardware lets pass: a race, a read of memory that nobody wrote, a divergent
              ///< barrier
};

/// The first fault of a launch; `message` names kernel, block, thread, address and PTX line.
struct Fault {
  FaultKind kind = FaultKind::none;
  std::string message;
};

/// One kernel parameter: its place in the packed parameter buffer, in bytes.
struct KernelParameter {
  std::size_t offset;
  std::size_t size;
};

/// The needs of a kernel, for function attributes and launch checks.
struct KernelInfo {
  std::string name;
  std::vector<KernelParameter> parameters;
  std::size_t parameter_bytes = 0;
  std::size_t static_shared_bytes = 0;
  std::size_t local_bytes = 0;
  std::uint32_t virtual_registers = 0;
  std::uint32_t max_threads_per_block = 0;  ///< product of .maxntid; 0 if the PTX sets none
  std::string refusal;                      ///< why it cannot run: it needs what is not modelled; else empty
  bool triggers = false;                    ///< it may execute griddepcontrol.launch_dependents
  std::array<std::uint32_t, 3> required_block{};    ///< .reqntid; zeros if the PTX sets none
  std::array<std::uint32_t, 3> required_cluster{};  ///< .reqnctapercluster; zeros if the PTX sets none
  bool explicit_cluster = false;  ///< .explicitcluster: a launch must say the cluster's size
};

/// A module-scope variable of the PTX (.global or .const), placed in device memory when the module loads.
struct GlobalVariable {
  std::string name;
  std::byte* address;
  std::size_t size;
};

class Program;

/// A PTX module, decoded once and immutable but for the contents of its variables. Thread-safe to launch
/// from.
class Module {
 public:
  /// Decodes `ptx` (text, without terminating null) and places its variables in `memory` on `device`.
  /// Throws DecodeError for anything malformed or newer than the target. A kernel that needs what is not
  /// modelled is there, with a refusal. `sm` is the device's compute capability, as 90.
  static std::shared_ptr<Module> decode(std::string_view ptx, int sm, Memory& memory, int device);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// Index of the kernel called `name`, or -1.
  [[nodiscard]] int find_kernel(std::string_view name) const;
  [[nodiscard]] std::span<const KernelInfo> kernels() const;
  [[nodiscard]] const GlobalVariable* find_variable(std::string_view name) const;
  /// Size of the module's .const variables as they lie one after the other.
  [[nodiscard]] std::size_t constant_bytes() const;
  [[nodiscard]] const Program& program() const { return *program_; }

 private:
  explicit Module(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

/// One PTX module of several, which may declare what others define. Names that are a module's own stay apart.
/// Throws DecodeError for malformed text, and for a name that two modules define. `texts` is not empty.
std::string link_ptx(const std::vector<std::string>& texts);

struct LaunchProfile;
class GridLink;

/// The device's time as the warps of a launch read it: it passes with the instructions that they execute.
struct KernelClock {
  std::uint64_t start_ps = 0;  ///< when the launch began, in picoseconds
  double ghz = 1;
  double clocks_per_instruction = 1;  ///< of a warp
};

/// One launch. `parameters` is the packed parameter buffer, laid out as KernelInfo::parameters says.
struct Launch {
  const Module* module = nullptr;
  int kernel = -1;
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::array<std::uint32_t, 3> block{1, 1, 1};
  std::array<std::uint32_t, 3> cluster{1, 1, 1};  ///< blocks of a cluster; each divides the grid's
  std::uint32_t dynamic_shared_bytes = 0;
  std::span<const std::byte> parameters;
  int device = 0;
  std::uint64_t reachable = 0;  ///< other devices whose memory may be accessed, a bit each
  std::uint32_t sm_count = 132;
  std::uint64_t stack_limit =
      0;  ///< bytes of a thread's stack in kernels that recur; 0: the machine's own bound
  std::uint64_t heap_bytes = std::uint64_t{8} << 20;  ///< that kernels may hold by malloc
  bool cooperative = false;  ///< its blocks may wait for each other by cooperative groups' grid barrier
  bool checks = false;       ///< more than bounds and alignment: see strict.hpp
  /// If set, the launch goes on after a violation and adds its text here, once for each PTX instruction.
  std::vector<std::string>* findings = nullptr;
  /// A warp that has executed more by the end of a turn ends the launch with launch_timeout; 0: no bound.
  std::uint64_t most_warp_instructions = 0;
  std::uint64_t clock_offset = 0;      ///< nanoseconds by which the device's clock is ahead of the host's
  const KernelClock* clock = nullptr;  ///< what kernels read as time; null: the host's clock
  LaunchProfile* profile = nullptr;    ///< receives counts by instruction; null: none are made
  bool footprint = false;              ///< the profile also receives the memory that was touched
  GridLink* link = nullptr;            ///< its place among launches that may overlap; null: it stands alone
};

/// Exact counts of one launch, the same on every run and machine.
struct LaunchCounts {
  std::uint64_t warp_instructions = 0;
  std::uint64_t thread_instructions = 0;
  std::uint64_t slept = 0;  ///< nanoseconds that the warp slept that slept longest
};

/// Executes `launch` to its end on the machine's host threads and returns its first fault, if any. When a
/// launch with a link returns, it has triggered and the launches before it have completed, unless it could
/// not begin. Safe to call from several threads at once. `counts` may be null.
Fault execute(const Launch& launch, Memory& memory, LaunchCounts* counts);

/// Name of the executor build in use: "x86-64-v2", "x86-64-v3" or "x86-64-v4" (KERNCAST_SIM_ISA=v2|v3|v4
/// overrides).
std::string_view executor_name();

}  // namespace kerncast::simulator
