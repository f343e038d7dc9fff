#include "templates/activation/shared/gated_reference.hpp"
#include "templates/host/define_op.hpp"
#include "templates/reference/activation.hpp"

KERNCAST_REFERENCE(activation, silu_and_mul) {
  const auto limit = static_cast<float>(input.scalar("limit", 0.0));
  return activation::check_gated(
      input, [limit](double gate, double up) { return reference::limited_silu_and_mul(gate, up, limit); },
      GateOrder::halves);
}
