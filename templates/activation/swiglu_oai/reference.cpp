#include "templates/activation/shared/gated_reference.hpp"
#include "templates/host/define_op.hpp"
#include "templates/reference/activation.hpp"

KERNCAST_REFERENCE(activation, swiglu_oai) {
  const auto limit = static_cast<float>(input.scalar("limit", 7.0));
  const auto alpha = static_cast<float>(input.scalar("alpha", 1.702));
  return activation::check_gated(
      input, [limit, alpha](double gate, double up) { return reference::swiglu_oai(gate, up, limit, alpha); },
      GateOrder::interleaved);
}
