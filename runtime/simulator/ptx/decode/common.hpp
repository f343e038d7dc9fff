#pragma once

#include <array>
#include <string_view>

#include "runtime/simulator/ptx/decode_context.hpp"

/// Parts of opcodes that instructions of several families have.
namespace kerncast::simulator {

/// Takes rounding, .ftz, .sat and .relu.
void float_flags(DecodeContext& c, Op& op);
/// Fails for roundings and modifiers that sums, products and fused ones of op's type do not have.
void check_arithmetic(const DecodeContext& c, const Op& op);
/// Takes the state space; Space::generic if none is named.
Space take_space(DecodeContext& c);
/// Takes what an atomic says of order, scope and caches. True if it has an operand for a cache policy.
bool take_atomic_order(DecodeContext& c, Space space, bool returns);
/// Takes .v2, .v4 or .v8; returns the number of elements.
unsigned take_vector(DecodeContext& c);

}  // namespace kerncast::simulator
