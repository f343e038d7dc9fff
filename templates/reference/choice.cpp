#include "templates/reference/choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace kerncast::reference {

bool confusable(const Rank& a, const Rank& b) {
  const double scale = std::max({std::fabs(a.value), std::fabs(b.value), a.scale, b.scale});
  return std::isfinite(scale) && a.value != b.value &&
         std::fabs(a.value - b.value) <= std::max(1e-6 * scale, 0x1p-148);
}

bool beats(const Rank& a, std::size_t a_index, const Rank& b, std::size_t b_index) {
  return a.value == b.value ? a_index < b_index : a.value > b.value && !confusable(a, b);
}

std::vector<std::size_t> distinct_ids(Verdict& verdict, const HostRows& ids, std::int64_t row,
                                      std::size_t slots, std::size_t experts) {
  std::vector<std::size_t> got;
  for (std::size_t k = 0; k < slots; ++k) {
    const auto column = static_cast<std::int64_t>(k);
    const double id = ids(row, column);
    if (id < 0 || id >= static_cast<double>(experts)) {
      verdict.fail("ids", row, column, fmt::format("is {}, out of range for {} experts", id, experts));
      return {};
    }
    const auto expert = static_cast<std::size_t>(id);
    if (std::find(got.begin(), got.end(), expert) != got.end()) {
      verdict.fail("ids", row, column, fmt::format("repeats {}", expert));
      return {};
    }
    got.push_back(expert);
  }
  return got;
}

std::vector<std::size_t> largest_ids(Verdict& verdict, const HostRows& ids, std::int64_t row,
                                     std::size_t slots, const std::vector<Rank>& ranks) {
  std::vector<std::size_t> got = distinct_ids(verdict, ids, row, slots, ranks.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    const auto chosen = got.begin() + static_cast<std::ptrdiff_t>(k);
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      if (beats(ranks[i], i, ranks[*chosen], *chosen) && std::find(got.begin(), chosen, i) == chosen) {
        verdict.fail("ids", row, static_cast<std::int64_t>(k),
                     fmt::format("is {} (ranked by {:.9g}), but {} (ranked by {:.9g}) must come before it",
                                 *chosen, ranks[*chosen].value, i, ranks[i].value));
        return {};
      }
    }
  }
  return got;
}

}  // namespace kerncast::reference
