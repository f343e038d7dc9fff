#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulator/watch/profile_abi.hpp"

/// A launch as the virtual GPU counted it, and its counts seen by class, by memory and by line.
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
  std::uint64_t longest_warp = 0;           ///< instructions of the warp that ran most of them
  std::uint64_t longest_warp_requests = 0;  ///< its global requests
  std::vector<ProfiledInstruction> instructions;

  [[nodiscard]] std::uint64_t blocks() const;
  [[nodiscard]] std::uint32_t threads_per_block() const;
  [[nodiscard]] std::uint32_t warps_per_block() const;
};

/// A copy that outlives the recording.
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

/// Global memory traffic by what asked for it.
struct GlobalTraffic {
  KerncastSimCounts loads{};
  KerncastSimCounts stores{};
  KerncastSimCounts atomics{};
};
/// Asynchronous copies and whatever else is neither a store nor an atomic count as loads.
[[nodiscard]] GlobalTraffic global_traffic(const LaunchProfile& profile);

/// Lanes that took part in a warp instruction, of 32: 0 to 1; 0 where nothing ran.
[[nodiscard]] double thread_utilisation(const KerncastSimCounts& counts);
/// `moved` over `least`; 1 where neither is.
[[nodiscard]] double ratio_to_least(std::uint64_t moved, std::uint64_t least);

/// Counts of one line of a source file, or of the PTX where `file` is empty.
struct LineCounts {
  std::string file;
  std::uint32_t line = 0;
  KerncastSimCounts counts{};
};
/// True where any instruction has line info.
[[nodiscard]] bool has_line_info(const LaunchProfile& profile);
/// By source line where there is line info, else by PTX line; instructions without line info are then told by
/// their PTX line. In order of file and line; lines that never ran are left out.
[[nodiscard]] std::vector<LineCounts> counts_by_line(const LaunchProfile& profile);

/// Multiply-adds of 16-bit operands that one warp-wide mma instruction is worth: m*n*k, halved for 8-bit
/// operands, doubled for tf32, 16 times for f64. 0 for text that is no mma.
[[nodiscard]] double tensor_fma(std::string_view ptx);
/// Sum of tensor_fma over what ran.
[[nodiscard]] double total_tensor_fma(const LaunchProfile& profile);

}  // namespace kerncast::tools
