#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

/// Checks of top-k choices. Values that f32 may order either way are accepted in both orders.
namespace kerncast::reference {

/// The value that a candidate is ranked by.
struct Rank {
  double value = 0;
  double scale = 0;  ///< magnitude whose rounding error the value carries
};

/// True if f32 may order `a` and `b` either way: they differ, but by at most 1e-6 of the larger magnitude or
/// by at most two of f32's smallest steps (2^-149 each).
[[nodiscard]] bool confusable(const Rank& a, const Rank& b);

/// True if `a` comes before `b` under any rounding: it is larger by enough, or equal with the lower index.
[[nodiscard]] bool beats(const Rank& a, std::size_t a_index, const Rank& b, std::size_t b_index);

/// The first `slots` ids of a row. If one is out of range or repeated, records a failure and returns nothing.
[[nodiscard]] std::vector<std::size_t> distinct_ids(Verdict& verdict, const HostRows& ids, std::int64_t row,
                                                    std::size_t slots, std::size_t experts);

/// Like distinct_ids, and the ids must name the largest of `ranks` in descending order.
[[nodiscard]] std::vector<std::size_t> largest_ids(Verdict& verdict, const HostRows& ids, std::int64_t row,
                                                   std::size_t slots, const std::vector<Rank>& ranks);

}  // namespace kerncast::reference
