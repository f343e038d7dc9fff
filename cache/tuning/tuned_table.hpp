#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// Describes the kernel whose tunables are wanted.
struct TunedQuery {
  std::string op;
  std::string spec;
  std::string arch;
  std::int64_t rows_low = 1;  ///< first row count that the record must cover
  std::int64_t rows_high = 1;
  std::string device;  ///< device whose measurements are preferred; empty: none
};

/// A record and the name of its layer.
struct TunedMatch {
  const TunedRecord* record = nullptr;
  std::string layer;
};

/// The tuned records of all layers, in memory.
class TunedTable {
 public:
  /// Adds the records of a layer. Layers must be added in order of search.
  void add(const std::string& layer, std::vector<TunedRecord> records);

  /// The records that cover all rows of `query`, best first: measurements before estimates, measurements on
  /// the query's device before others, then by layer, then the newest, then the one with the fewest rows.
  [[nodiscard]] std::vector<TunedMatch> find(const TunedQuery& query) const;
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
