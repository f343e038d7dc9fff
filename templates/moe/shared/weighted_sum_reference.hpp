#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "kerncast/reference.hpp"

#include "templates/reference/host_rows.hpp"

/// What the references of sum_reduce and unpermute share.
namespace kerncast::moe {

/// x of a token's slot; nothing where the slot is skipped.
using SlotElement =
    std::function<std::optional<double>(std::int64_t token, std::int64_t slot, std::int64_t column)>;

/// x[..., slot, column] of a tensor [..., K, hidden] whose leading dimensions flatten.
[[nodiscard]] double element_of_slot(const HostTensor& x, std::int64_t token, std::int64_t slot,
                                     std::int64_t column);

/// Compares y with the sum over the slots.
[[nodiscard]] ReferenceResult check_weighted_sum(const ReferenceInput& input, const SlotElement& x);

}  // namespace kerncast::moe
