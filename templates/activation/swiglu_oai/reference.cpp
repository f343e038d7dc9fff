#include "templates/activation/shared/gated_reference.hpp"
#include "templates/host/define_op.hpp"
#include "templates/reference/activation.hpp"

KERNCAST_REFERENCE(activation, swiglu_oai) {
  return activation::check_gated(input, reference::swiglu_oai, GateOrder::interleaved);
}
