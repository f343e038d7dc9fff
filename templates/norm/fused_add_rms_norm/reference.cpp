#include "templates/norm/fused_add_rms_norm/spec_index.hpp"
#include "templates/norm/shared/rms_reference.hpp"

namespace kerncast::ops {

ReferenceResult norm_fused_add_rms_norm_reference(const ReferenceInput& input);

ReferenceResult norm_fused_add_rms_norm_reference(const ReferenceInput& input) {
  const reference::AddedRows sums(input);
  const reference::HostRows y(reference::require(input, "y"));
  const reference::RmsNormReference norm(input);
  const bool twice = input.spec[norm::fused_add_rms_norm_params::hf_rounding] != 0;

  reference::Verdict verdict;
  if (y.rows() != sums.x().rows() || y.width() != sums.x().width()) {
    verdict.fail("y", 0, 0, "has another shape than x");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < y.rows(); ++row) {
    sums.check(verdict, row);
    norm.check(verdict, row, sums.row(row), y, twice ? std::optional(sums.x().dtype()) : std::nullopt);
  }
  return verdict.result();
}

}  // namespace kerncast::ops
