#include "templates/host/define_op.hpp"
#include "templates/norm/shared/added_rms/added_rms_reference.hpp"

KERNCAST_REFERENCE(norm, fused_add_rms_norm) {
  return reference::check_added_rms(input);
}
