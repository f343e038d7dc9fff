#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

/// Choices of the largest, where values that f32 cannot tell apart may come in either order.
namespace kerncast::reference {

/// What is chosen by.
struct Rank {
  double value = 0;
  double scale = 0;  ///< magnitude whose rounding error the value inherits
};

/// Whether f32 may order them either way: different, but by less than 1e-6 of the larger, or by no more than
/// two of f32's least steps, 2^-149.
[[nodiscard]] bool confusable(const Rank& a, const Rank& b);

/// Whether `a` comes before `b` whatever the rounding: it is larger by enough, or equal and of lower index.
[[nodiscard]] bool beats(const Rank& a, std::size_t a_index, const Rank& b, std::size_t b_index);

/// The first `slots` ids of a row; empty when one is out of range or comes twice, which is then recorded.
[[nodiscard]] std::vector<std::size_t> distinct_ids(Verdict& verdict, const HostRows& ids, std::int64_t row,
                                                    std::size_t slots, std::size_t experts);

/// As distinct_ids, and the ids must be of the largest of `ranks` in order.
[[nodiscard]] std::vector<std::size_t> largest_ids(Verdict& verdict, const HostRows& ids, std::int64_t row,
                                                   std::size_t slots, const std::vector<Rank>& ranks);

}  // namespace kerncast::reference
