#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// One record as a line of JSON, in ASCII and without its newline:
///
///     {"op":"norm.rms_norm","spec":"x_dtype=bf16 hidden=7168","arch":"sm_90a","rows_low":33,"rows_high":64,
///      "source":"measured","device":"NVIDIA H100","tunables":"threads=256 rows_per_block=2","time_us":3.25,
///      "templates":"...","recorded_us":1764000000000000,
///      "low_us":3.2,"high_us":3.3,"default_us":3.5,"trials":12,"policy":"graph of 20, cold L2","data":"",
///      "compiler":"NVRTC 13.0","driver":"580.65","tool":"kerncast 0.1.0",
///      "signatures":[{"signer":"64 hex digits","bytes":"128 hex digits"}]}
///
/// rows_high is null if the range has no end. The details are left out if there are none, and so are the
/// signatures. The line gives back exactly this record, so its signatures stay valid. Empty if a text of
/// `record` is not UTF-8, which JSON cannot hold.
[[nodiscard]] std::string format_line(const TunedRecord& record);

/// A record, and the line of its text that it was on, counted from 1.
struct TunedLine {
  std::size_t number = 0;
  TunedRecord record;
};
/// A line that is no sound record, and the reason: "it has no op".
struct LineDefect {
  std::size_t number = 0;
  std::string reason;
};
/// The lines of a text. Empty ones are in neither list.
struct TunedLines {
  std::vector<TunedLine> records;
  std::vector<LineDefect> defects;
};

/// Parses lines that format_line() writes. The order of fields is free; a field that this build does not know
/// is a defect, since a signature would not cover it here.
[[nodiscard]] TunedLines parse_lines(std::string_view text);

}  // namespace kerncast::cache
