#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kerncast/reference.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::reference {

/// Compares "qkv_out" with the normalised heads of "qkv", each after `turn(token, head)`. The v heads must be
/// unchanged.
[[nodiscard]] ReferenceResult check_heads(
    const ReferenceInput& input, const std::function<void(std::int64_t, std::vector<double>&)>& turn);

}  // namespace kerncast::reference
