#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// Describes the kernel whose tunables are wanted.
struct TunedQuery {
  std::string op;
  std::string spec;
  std::string arch;
  std::int64_t rows_low = 1;  ///< first row count that the record should cover
  std::int64_t rows_high = 1;
  std::string device;  ///< device whose measurements are preferred; empty: none
};

/// A record and the name of its layer.
struct TunedMatch {
  const TunedRecord* record = nullptr;
  std::string layer;
  bool covers = true;  ///< false: the record holds for other rows than all of the query's
};

/// The tuned records of all layers, in memory.
class TunedTable {
 public:
  /// Adds the records of a layer. Layers must be added in order of search.
  void add(const std::string& layer, std::vector<TunedRecord> records);

  /// The records of the query's op, specialisation and architecture, best first:
  ///
  /// 1. measured on the query's device, measured on another, estimated; what the virtual GPU measured follows
  ///    a cost model, so for another device it is an estimate;
  /// 2. those that cover all rows of the query, those that cover some, then the nearest by the ratio of rows;
  /// 3. the first layer;
  /// 4. the most rows, then the smallest range, then the newest, then by the name of the device.
  ///
  /// The order depends on the records and layers alone, and on no clock, so processes that read the same
  /// layers choose alike.
  [[nodiscard]] std::vector<TunedMatch> find(const TunedQuery& query) const;
  /// The devices that records of this op, specialisation and architecture were measured on, each once.
  [[nodiscard]] std::vector<std::string> devices(std::string_view op, std::string_view spec,
                                                 std::string_view arch) const;
  [[nodiscard]] bool empty() const { return records_.empty(); }

 private:
  struct Item {
    TunedRecord record;
    std::size_t layer = 0;
  };
  std::vector<std::string> layers_;
  /// The key is op, specialisation and architecture, each followed by a line feed.
  std::map<std::string, std::vector<Item>> records_;
};

}  // namespace kerncast::cache
