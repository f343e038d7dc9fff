#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/measure/statistics.hpp"

namespace kerncast::tools {

/// The outcome of trying a candidate.
enum class Outcome : std::uint8_t {
  timed,
  does_not_compile,
  spills,         ///< registers spill to memory, more than the default's do
  low_occupancy,  ///< an SM holds far fewer warps than of the default
  wrong_result,   ///< its outputs are not those of the default, bit for bit
  failed,         ///< the device, the driver or the machine failed; it is tried again by the next run
  timed_out,      ///< it did not end in time
  not_held,       ///< it won, and does not hold at other row counts of its bucket
};
[[nodiscard]] std::string_view name_of(Outcome outcome);
[[nodiscard]] std::optional<Outcome> outcome_called(std::string_view name);

/// One candidate tried at one row count. Every trial is kept.
struct Trial {
  std::string tunables;  ///< "threads=256 rows_per_block=1"
  Outcome outcome = Outcome::timed;
  std::string why;                 ///< the reason of any other outcome than `timed`
  std::vector<double> samples_us;  ///< by round; one for an estimate
  /// Samples of the default in the same rounds; empty for the default itself.
  std::vector<double> default_us;
  /// True if it was measured again, with the few others that were left. Only such trials decide.
  bool is_final = false;
  int registers = 0;       ///< per thread; 0 if it was not compiled
  int spill_bytes = 0;     ///< per thread, stored and loaded
  std::int64_t at_us = 0;  ///< microseconds since the Unix epoch
  double took_ms = 0;      ///< host time that the trial took

  [[nodiscard]] bool timed() const { return outcome == Outcome::timed && !samples_us.empty(); }
  /// Its time in multiples of the default's; infinity if it was not timed.
  [[nodiscard]] double relative_time() const;

  [[nodiscard]] bool operator==(const Trial&) const = default;
};

/// The time now, as Trial::at_us has it.
[[nodiscard]] std::int64_t now_us();

/// A trial as one line of JSON, without a line feed, and back. Empty if `text` is none.
[[nodiscard]] std::string format_trial(const Trial& trial);
[[nodiscard]] std::optional<Trial> parse_trial(std::string_view text);

}  // namespace kerncast::tools
