#include "cache/tuning/tuned_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

namespace kerncast::cache {
namespace {

std::string place(std::string_view op, std::string_view spec, std::string_view arch) {
  return fmt::format("{}\n{}\n{}\n", op, spec, arch);
}

/// The distance of a record's rows from those of a query. Smaller is nearer.
struct Distance {
  enum class Kind : std::uint8_t { covers, overlaps, apart };
  Kind kind = Kind::covers;
  /// The ratio of the row counts that enclose the gap. It orders as its logarithm does, and a division gives
  /// the same bits on every machine.
  double ratio = 1;
};

Distance distance(const TunedRecord& record, const TunedQuery& query) {
  if (record.rows_low <= query.rows_low && record.rows_high >= query.rows_high) {
    return {};
  }
  // A range begins behind the last row count of the one before: nothing lies between 3 to 4 rows and 5 to 8.
  const auto ratio = [](std::int64_t low, std::int64_t high) {
    return static_cast<double>(low - 1) / static_cast<double>(high);
  };
  if (record.rows_high < query.rows_low) {
    return {Distance::Kind::apart, ratio(query.rows_low, record.rows_high)};
  }
  if (record.rows_low > query.rows_high) {
    return {Distance::Kind::apart, ratio(record.rows_low, query.rows_high)};
  }
  return {Distance::Kind::overlaps, 1};
}

/// The beginning of the virtual GPU's name.
constexpr std::string_view virtual_device = "Kerncast virtual GPU";

int source_rank(const TunedRecord& record, const TunedQuery& query) {
  const bool measured = record.source == TunedSource::measured;
  if (measured && record.device == query.device) {
    return 0;
  }
  return measured && !record.device.starts_with(virtual_device) ? 1 : 2;
}

}  // namespace

void TunedTable::add(const std::string& layer, std::vector<TunedRecord> records) {
  layers_.push_back(layer);
  for (TunedRecord& record : records) {
    std::vector<Item>& items = records_[place(record.op, record.spec, record.arch)];
    items.push_back({std::move(record), layers_.size() - 1});
  }
}

std::vector<TunedMatch> TunedTable::find(const TunedQuery& query) const {
  const auto found = records_.find(place(query.op, query.spec, query.arch));
  if (found == records_.end()) {
    return {};
  }
  struct Ranked {
    std::tuple<int, Distance::Kind, double, std::size_t, std::int64_t, std::int64_t, std::int64_t,
               std::string_view>
        rank;
    const Item* item;
  };
  std::vector<Ranked> items;
  items.reserve(found->second.size());
  for (const Item& item : found->second) {
    const TunedRecord& record = item.record;
    const Distance away = distance(record, query);
    // The complement of a number descends as the number ascends, and unlike its negative it exists for all.
    items.push_back({{source_rank(record, query), away.kind, away.ratio, item.layer, ~record.rows_low,
                      record.rows_high - record.rows_low, ~record.recorded_us, record.device},
                     &item});
  }
  std::sort(items.begin(), items.end(), [](const Ranked& a, const Ranked& b) { return a.rank < b.rank; });
  std::vector<TunedMatch> matches;
  matches.reserve(items.size());
  for (const Ranked& ranked : items) {
    matches.push_back({&ranked.item->record, layers_[ranked.item->layer],
                       std::get<Distance::Kind>(ranked.rank) == Distance::Kind::covers});
  }
  return matches;
}

std::vector<std::string> TunedTable::devices(std::string_view op, std::string_view spec,
                                             std::string_view arch) const {
  std::set<std::string> names;
  if (const auto found = records_.find(place(op, spec, arch)); found != records_.end()) {
    for (const Item& item : found->second) {
      if (item.record.source == TunedSource::measured) {
        names.insert(item.record.device);
      }
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace kerncast::cache
