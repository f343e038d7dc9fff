#include "templates/host/define_op.hpp"
#include "templates/norm/shared/qk_norm_heads_reference.hpp"

KERNCAST_REFERENCE(norm, qk_norm) {
  return reference::check_heads(input, {});
}
