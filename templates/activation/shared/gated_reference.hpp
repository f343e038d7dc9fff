#pragma once

#include "kerncast/reference.hpp"
#include "templates/device/gate_order.h"

/// The reference of all gated activations.
namespace kerncast::activation {

/// Compares y with `function` of each gate and up of x, in double, rounded once.
[[nodiscard]] ReferenceResult check_gated(const ReferenceInput& input, double (*function)(double, double),
                                          GateOrder order);

}  // namespace kerncast::activation
