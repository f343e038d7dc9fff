#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// What tunables are looked for.
struct TunedQuery {
  std::string op;
  std::string spec;
  std::string arch;
  std::int64_t rows_low = 1;  ///< the rows they must hold for
  std::int64_t rows_high = 1;
  std::string device;  ///< whose measurements are preferred; empty: nobody's
};

/// A record, and the layer it is of.
struct TunedMatch {
  const TunedRecord* record = nullptr;
  std::string layer;
};

/// The tuned records of all layers in memory.
class TunedTable {
 public:
  /// Layers are added in order of search.
  void add(const std::string& layer, std::vector<TunedRecord> records);

  /// The records that hold for all rows of `query`, best first: what was measured before any estimate, what
  /// was measured on the query's device before another's, then by layer, then the newest, then the fewest
  /// rows.
  [[nodiscard]] std::vector<TunedMatch> find(const TunedQuery& query) const;
  [[nodiscard]] bool empty() const { return records_.empty(); }

 private:
  struct Item {
    TunedRecord record;
    std::size_t layer = 0;
  };
  std::vector<std::string> layers_;
  /// By op, specialisation and architecture, each with a line feed behind it.
  std::map<std::string, std::vector<Item>> records_;
};

}  // namespace kerncast::cache
