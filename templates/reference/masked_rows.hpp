#pragma once

#include <cstdint>
#include <vector>

#include "kerncast/reference.hpp"

namespace kerncast::reference {

/// The rows of one expert that count.
struct CountedRows {
  std::int64_t expert = -1;  ///< -1: no mask, all rows
  std::int64_t rows = 0;
};

/// By expert where the input has a tensor masked_m, else all rows of `x` at once.
[[nodiscard]] std::vector<CountedRows> counted_rows(const ReferenceInput& input, const HostTensor& x);

/// The part of `tensor`, [experts, ...], that is `expert`'s; all of it for -1.
[[nodiscard]] HostTensor expert_of(const HostTensor& tensor, std::int64_t expert);

}  // namespace kerncast::reference
