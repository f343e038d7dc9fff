#include "tools/io/time_text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <ctime>
#include <map>
#include <optional>

#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

std::optional<std::int64_t> age_of(const std::string& text) {
  static const std::map<char, std::int64_t> units = {
      {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
  if (text.empty()) {
    return std::nullopt;
  }
  std::uint32_t count = 0;
  const char* last = text.data() + text.size() - 1;
  const auto [end, error] = std::from_chars(text.data(), last, count);
  const auto unit = units.find(text.back());
  if (error != std::errc() || end != last || unit == units.end()) {
    return std::nullopt;
  }
  return count * unit->second;
}

/// Seconds since the epoch of a text that `format` describes completely.
std::optional<std::int64_t> time_of(const std::string& text, const char* format) {
  tm parts{};
  const char* end = ::strptime(text.c_str(), format, &parts);
  if (end == nullptr || *end != '\0') {
    return std::nullopt;
  }
  const tm asked = parts;
  const std::int64_t seconds = ::timegm(&parts);
  // The thirtieth of February would become a day in March.
  return parts.tm_mday == asked.tm_mday && parts.tm_mon == asked.tm_mon ? std::optional(seconds)
                                                                        : std::nullopt;
}

}  // namespace

std::int64_t parse_age(std::string_view option, const std::string& text, std::string_view what,
                       std::string_view examples) {
  const std::optional<std::int64_t> age = age_of(text);
  if (!age) {
    throw UsageError(
        fmt::format("{} {} is no {}; write it as {}, with s, m, h, d or w", option, text, what, examples));
  }
  return *age;
}

std::chrono::milliseconds parse_duration(std::string_view option, const std::string& text) {
  std::uint32_t count = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, count);
  const std::map<std::string_view, std::int64_t> units = {
      {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
  const auto unit = units.find(std::string_view(end, static_cast<std::size_t>(last - end)));
  if (error != std::errc() || unit == units.end()) {
    throw UsageError(fmt::format("{} {} is no duration; write it as 500ms, 5s, 10m or 2h", option, text));
  }
  if (count == 0) {
    throw UsageError(fmt::format("{} {} leaves no time; the least is 1ms", option, text));
  }
  return std::chrono::milliseconds(count * unit->second);
}

std::int64_t parse_moment(std::string_view option, const std::string& text) {
  if (const std::optional<std::int64_t> age = age_of(text)) {
    return std::time(nullptr) - *age;
  }
  for (const char* format : {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                             "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"}) {
    if (const std::optional<std::int64_t> time = time_of(text, format)) {
      return *time;
    }
  }
  throw UsageError(fmt::format(
      "{} {} is neither a time in UTC, such as 2026-01-31 or 2026-01-31T13:05:09, nor an age, such as 12h",
      option, text));
}

}  // namespace kerncast::tools
