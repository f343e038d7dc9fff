#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace kerncast::tools {

/// The sums of a trace for the kernels of one op and specialisation on one architecture.
struct TracedKernel {
  std::string op;
  std::string spec;
  std::string arch;
  std::uint64_t launches = 0;
  double launch_us = 0;  ///< time of the host in the driver's launch calls
  std::uint64_t misses = 0;
  std::uint64_t compiles = 0;
  std::uint64_t failed_compiles = 0;
  double compile_ms = 0;
  std::uint64_t loads = 0;
  double load_us = 0;
  std::uint64_t replaced = 0;     ///< tuned kernels that could not be had
  std::set<std::string> streams;  ///< as the trace names them
  std::set<std::int64_t> rows;    ///< of its launches
};

struct TraceSummary {
  std::vector<TracedKernel> kernels;  ///< the longest compile first, then the most launches
  double seconds = 0;                 ///< from the first event to the end of the last
  std::size_t events = 0;
  std::size_t bad_lines = 0;  ///< a killed process may leave half of a line
};

/// Summarises the text of a file that KERNCAST_TRACE names. Throws Error(io_error) that names `path` if no
/// line is an event of such a file.
[[nodiscard]] TraceSummary summarise_trace(const std::string& text, const std::string& path);

}  // namespace kerncast::tools
