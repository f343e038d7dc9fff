#pragma once

#include <cstdint>
#include <vector>

#include "kerncast/reference.hpp"

namespace kerncast::reference {

/// Number of rows of one expert that masked_m counts.
struct CountedRows {
  std::int64_t expert = -1;  ///< -1 if there is no mask; then all rows count
  std::int64_t rows = 0;
};

/// The counted rows of each expert if the call has a tensor masked_m, else all rows of `x` as one part.
[[nodiscard]] std::vector<CountedRows> counted_rows(const ReferenceInput& input, const HostTensor& x);

/// The slice of `tensor`, [experts, ...], that belongs to `expert`; the whole tensor if `expert` is -1.
[[nodiscard]] HostTensor expert_of(const HostTensor& tensor, std::int64_t expert);

}  // namespace kerncast::reference
