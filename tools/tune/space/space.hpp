#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/tune/search/search_space.hpp"
#include "tools/tune/space/point.hpp"

namespace kerncast::tools {

/// One choice of tunables.
struct Candidate {
  /// Place in the enumeration of the op's tunables. It is the same on every machine; ties go to the lowest.
  std::uint32_t id = 0;
  Tunables tunables;
  std::string text;  ///< "threads=256 rows_per_block=1"
};

/// A candidate that is left out before anything is compiled.
struct Pruned {
  Candidate candidate;
  std::string why;
};

/// The candidates of a point, in the order of their identifiers.
struct Space {
  std::vector<Candidate> valid;
  std::vector<Pruned> pruned;
  std::size_t first = 0;  ///< index of the op's own choice in `valid`

  [[nodiscard]] const Candidate& own() const { return valid[first]; }
  /// Index in `valid` of the candidate that `text` names; the size of `valid` if there is none.
  [[nodiscard]] std::size_t find(const std::string& text) const;
};

/// Every combination of the op's tunables. Left out are those that the op, the geometry of a launch or the
/// device refuses at any row count of the bucket, and blocks of more rows than the bucket has. The op's own
/// choice always stays. Throws Error(internal) if that is none of the combinations.
[[nodiscard]] Space space_of(const Point& point);

/// The valid candidates as a strategy sees them, without a model.
[[nodiscard]] SearchSpace search_space_of(const Point& point, const Space& space);

}  // namespace kerncast::tools
