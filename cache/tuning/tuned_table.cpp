#include "cache/tuning/tuned_table.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace kerncast::cache {
namespace {

std::string place(const std::string& op, const std::string& spec, const std::string& arch) {
  return op + '\n' + spec + '\n' + arch + '\n';
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
  std::vector<const Item*> items;
  if (const auto found = records_.find(place(query.op, query.spec, query.arch)); found != records_.end()) {
    for (const Item& item : found->second) {
      if (item.record.rows_low <= query.rows_low && item.record.rows_high >= query.rows_high) {
        items.push_back(&item);
      }
    }
  }
  const auto rank = [&](const Item* item) {
    const TunedRecord& record = item->record;
    const bool measured = record.source == TunedSource::measured;
    return std::tuple(!measured, !(measured && record.device == query.device), item->layer, -dated_us(record),
                      record.rows_high - record.rows_low);
  };
  std::stable_sort(items.begin(), items.end(),
                   [&](const Item* a, const Item* b) { return rank(a) < rank(b); });
  std::vector<TunedMatch> matches;
  matches.reserve(items.size());
  for (const Item* item : items) {
    matches.push_back({&item->record, layers_[item->layer]});
  }
  return matches;
}

}  // namespace kerncast::cache
