#include "tools/tune/space/point.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "tools/tune/search/seeded_order.hpp"
#include "tools/tune/space/call_shape.hpp"

namespace kerncast::tools {
namespace {

/// True if a call of `rows` rows has the specialisation and the bucket of `point`.
bool belongs_to(const Point& point, std::int64_t rows) {
  try {
    const Call call = call_of(point.workload, rows);
    return call.spec == point.spec && call.rows >= point.rows_low && call.rows <= point.rows_high;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

Point point_of(const Workload& workload, const std::string& arch, const DeviceTraits& traits,
               std::int64_t rows) {
  const Call call = call_of(workload, rows);
  const RowRange range = row_range(row_bucket(call.rows));
  Point point;
  point.workload = workload;
  point.spec = call.spec;
  point.spec_text = format_specialisation(*workload.op, call.spec);
  point.arch = arch;
  point.traits = traits;
  point.rows = rows;
  point.rows_low = range.lowest;
  point.rows_high = range.highest;
  return point;
}

std::string format_traits(const DeviceTraits& traits) {
  return fmt::format("sm={} sm_count={} shared={}", traits.sm, traits.sm_count, traits.max_shared_per_block);
}

std::optional<DeviceTraits> parse_traits(const std::string& text) {
  DeviceTraits traits;
  const std::pair<std::string_view, int*> parts[] = {
      {"sm=", &traits.sm}, {" sm_count=", &traits.sm_count}, {" shared=", &traits.max_shared_per_block}};
  std::string_view rest = text;
  for (const auto& [name, value] : parts) {
    if (!rest.starts_with(name)) {
      return std::nullopt;
    }
    rest.remove_prefix(name.size());
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), *value);
    if (error != std::errc()) {
      return std::nullopt;
    }
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  }
  return rest.empty() ? std::optional(traits) : std::nullopt;
}

std::string describe(const Point& point) {
  return fmt::format("{} [{}] for {}, {} row{}", point.op().name, point.spec_text, point.arch,
                     row_range_text(point.rows_low, point.rows_high), point.rows_high == 1 ? "" : "s");
}

std::vector<std::int64_t> validation_rows(const Point& point, std::uint64_t seed) {
  // A call of a masked op has the rows of all experts, so the bucket is a multiple of the workload's rows.
  const std::int64_t times = std::max<std::int64_t>(call_of(point.workload, point.rows).rows / point.rows, 1);
  const std::int64_t last =
      point.rows_high == std::numeric_limits<std::int64_t>::max() ? 2 * point.rows_low : point.rows_high;
  const std::int64_t low = (point.rows_low + times - 1) / times;
  const std::int64_t high = std::max(last / times, low);
  std::set<std::int64_t> rows = {low, high};
  if (high - low > 1) {
    SeededRandom random(seed ^ static_cast<std::uint64_t>(low));
    rows.insert(low + 1 + static_cast<std::int64_t>(random.below(static_cast<std::size_t>(high - low - 1))));
  }
  rows.erase(point.rows);
  std::vector<std::int64_t> out(rows.begin(), rows.end());
  std::erase_if(out, [&](std::int64_t count) { return !belongs_to(point, count); });
  return out;
}

}  // namespace kerncast::tools
