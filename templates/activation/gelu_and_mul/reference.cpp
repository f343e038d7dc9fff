#include "templates/activation/shared/gated_reference.hpp"
#include "templates/host/define_op.hpp"
#include "templates/reference/activation.hpp"

KERNCAST_REFERENCE(activation, gelu_and_mul) {
  return activation::check_gated(input, reference::gelu_and_mul, GateOrder::halves);
}
