#include "templates/host/define_op.hpp"
#include "templates/norm/shared/added_rms/added_rms_reference.hpp"

// A world of one rank: the sum over the ranks is the rank's own row.
KERNCAST_REFERENCE(comm, all_reduce_add_rms_norm) {
  return reference::check_added_rms(input);
}
