#include "templates/norm/shared/quantised_reference.hpp"

namespace kerncast::ops {

ReferenceResult norm_rms_norm_quant_reference(const ReferenceInput& input);

ReferenceResult norm_rms_norm_quant_reference(const ReferenceInput& input) {
  const reference::HostRows x(reference::require(input, "x"));
  reference::Verdict verdict;
  reference::check_quantised_norm(verdict, input, x,
                                  [&](std::int64_t row) { return reference::row_values(x, row); });
  return verdict.result();
}

}  // namespace kerncast::ops
