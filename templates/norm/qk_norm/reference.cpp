#include "templates/norm/shared/qk_norm_heads_reference.hpp"

namespace kerncast::ops {

ReferenceResult norm_qk_norm_reference(const ReferenceInput& input);

ReferenceResult norm_qk_norm_reference(const ReferenceInput& input) {
  return reference::check_heads(input, {});
}

}  // namespace kerncast::ops
