#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulator/watch/profile_abi.hpp"

/// A launch that the virtual GPU counted, and its counts by class of instruction, by memory and by line.
namespace kerncast::tools {

struct ProfiledInstruction {
  std::uint32_t ptx_line = 0;     ///< 1-based
  std::uint32_t source_line = 0;  ///< 0 without line info
  std::string source_file;
  std::string text;
  std::string unit;  ///< as KerncastSimInstruction names it
  KerncastSimCounts counts{};
};

struct LaunchProfile {
  std::string kernel;
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::array<std::uint32_t, 3> block{1, 1, 1};
  std::uint32_t static_shared = 0;          ///< bytes
  std::uint32_t dynamic_shared = 0;         ///< bytes
  std::uint64_t longest_warp = 0;           ///< instructions of the warp that executed the most
  std::uint64_t longest_warp_requests = 0;  ///< global requests of that warp
  std::vector<ProfiledInstruction> instructions;

  [[nodiscard]] std::uint64_t blocks() const;
  [[nodiscard]] std::uint32_t threads_per_block() const;
  [[nodiscard]] std::uint32_t warps_per_block() const;
};

/// Copies a launch, so that it outlives the recording.
[[nodiscard]] LaunchProfile copy_launch(const KerncastSimLaunch& launch);

void add_counts(KerncastSimCounts& sum, const KerncastSimCounts& more);
[[nodiscard]] KerncastSimCounts total_counts(const LaunchProfile& profile);

struct UnitCounts {
  std::string unit;
  KerncastSimCounts counts{};
};
/// Counts by class of instruction, most warp instructions first; classes that never ran are left out.
[[nodiscard]] std::vector<UnitCounts> counts_by_unit(const LaunchProfile& profile);
/// Sum over the instructions of class `unit`.
[[nodiscard]] KerncastSimCounts counts_of_unit(const LaunchProfile& profile, std::string_view unit);

/// Global memory traffic by kind of instruction.
struct GlobalTraffic {
  KerncastSimCounts loads{};
  KerncastSimCounts stores{};
  KerncastSimCounts atomics{};
};
/// The global traffic of a launch. Everything that is neither a store nor an atomic counts as a load, for
/// example asynchronous copies.
[[nodiscard]] GlobalTraffic global_traffic(const LaunchProfile& profile);

/// Mean share of the 32 lanes that were active in a warp instruction, from 0 to 1; 0 if nothing was executed.
[[nodiscard]] double thread_utilisation(const KerncastSimCounts& counts);
/// `moved` divided by `least`; 1 if `least` is 0.
[[nodiscard]] double ratio_to_least(std::uint64_t moved, std::uint64_t least);

/// The counts of one line of a source file, or of the PTX if `file` is empty.
struct LineCounts {
  std::string file;
  std::uint32_t line = 0;
  KerncastSimCounts counts{};
};
/// True if any instruction has line info.
[[nodiscard]] bool has_line_info(const LaunchProfile& profile);
/// The counts of each line that was executed, in order of file and line. An instruction with line info counts
/// for its source line, another one for its PTX line.
[[nodiscard]] std::vector<LineCounts> counts_by_line(const LaunchProfile& profile);

/// The sum of devices::tensor_fma over all executed instructions.
[[nodiscard]] double total_tensor_fma(const LaunchProfile& profile);

}  // namespace kerncast::tools
