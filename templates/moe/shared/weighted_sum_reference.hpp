#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "kerncast/reference.hpp"

#include "templates/reference/host_rows.hpp"

/// The reference of sum_reduce and unpermute.
namespace kerncast::moe {

/// An element of x of a token's slot; empty if the slot is skipped.
using SlotElement =
    std::function<std::optional<double>(std::int64_t token, std::int64_t slot, std::int64_t column)>;

/// The element x[token, slot, column] of a tensor [..., K, hidden] whose leading dimensions are flattened.
[[nodiscard]] double element_of_slot(const HostTensor& x, std::int64_t token, std::int64_t slot,
                                     std::int64_t column);

/// Compares y with the sum over the slots, in double.
[[nodiscard]] ReferenceResult check_weighted_sum(const ReferenceInput& input, const SlotElement& x);

}  // namespace kerncast::moe
