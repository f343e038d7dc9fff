#pragma once

#include <functional>

#include "kerncast/reference.hpp"
#include "templates/device/gate_order.h"

/// The reference of all gated activations.
namespace kerncast::activation {

/// Compares y with `function` of each gate and up of x, in double, rounded once.
[[nodiscard]] ReferenceResult check_gated(const ReferenceInput& input,
                                          const std::function<double(double, double)>& function,
                                          GateOrder order);

}  // namespace kerncast::activation
