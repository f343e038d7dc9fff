#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kerncast/reference.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::reference {

/// Turns a normalised head, and returns by how much its elements may be off, 0 if they are right to the last
/// place.
using TurnHead = std::function<double(std::int64_t token, std::vector<double>& head)>;

/// Compares "qkv_out" with the normalised heads of "qkv", each after `turn`. The v heads must be unchanged.
[[nodiscard]] ReferenceResult check_heads(const ReferenceInput& input, const TurnHead& turn);

}  // namespace kerncast::reference
