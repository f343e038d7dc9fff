#include "templates/norm/shared/quantised_reference.hpp"

namespace kerncast::ops {

ReferenceResult norm_fused_add_rms_norm_quant_reference(const ReferenceInput& input);

ReferenceResult norm_fused_add_rms_norm_quant_reference(const ReferenceInput& input) {
  const reference::AddedRows sums(input);
  reference::Verdict verdict;
  for (std::int64_t row = 0; row < sums.x().rows(); ++row) {
    sums.check(verdict, row);
  }
  reference::check_quantised_norm(verdict, input, sums.x(), [&](std::int64_t row) { return sums.row(row); });
  return verdict.result();
}

}  // namespace kerncast::ops
