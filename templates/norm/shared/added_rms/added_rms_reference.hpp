#pragma once

#include "kerncast/reference.hpp"

namespace kerncast::reference {

/// Compares "residual_out" and "y" with the sum of "x" and "residual" and with its norm.
[[nodiscard]] ReferenceResult check_added_rms(const ReferenceInput& input);

}  // namespace kerncast::reference
