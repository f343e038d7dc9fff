#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace kerncast::tools {

/// Seconds of an age such as 12h or 30d; the units are s, m, h, d and w. Throws UsageError, which names
/// `option`, `what` the value is to be, and `examples`, if `text` is none.
[[nodiscard]] std::int64_t parse_age(std::string_view option, const std::string& text,
                                     std::string_view what = "age", std::string_view examples = "12h or 30d");

/// A duration such as 500ms, 5s, 10m or 2h, which is not 0. Throws UsageError, which names `option`, if
/// `text` is none.
[[nodiscard]] std::chrono::milliseconds parse_duration(std::string_view option, const std::string& text);

/// Seconds since the Unix epoch of a time in UTC, such as 2026-01-31, "2026-01-31 13:05" or
/// 2026-01-31T13:05:09Z, or of the moment that lies an age back, such as 12h. Throws UsageError, which names
/// `option`, if `text` is neither.
[[nodiscard]] std::int64_t parse_moment(std::string_view option, const std::string& text);

}  // namespace kerncast::tools
