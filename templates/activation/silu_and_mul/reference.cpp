#include "templates/activation/shared/gated_reference.hpp"
#include "templates/host/define_op.hpp"
#include "templates/reference/activation.hpp"

KERNCAST_REFERENCE(activation, silu_and_mul) {
  return activation::check_gated(input, reference::silu_and_mul, GateOrder::halves);
}
