#include "templates/norm/shared/modulation_reference.hpp"
#include "templates/norm/shared/rms_reference.hpp"

namespace kerncast::ops {

ReferenceResult norm_scale_shift_reference(const ReferenceInput& input);

ReferenceResult norm_scale_shift_reference(const ReferenceInput& input) {
  const reference::HostRows x(reference::require(input, "x"));
  reference::Verdict verdict;
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    reference::check_modulated(verdict, input, x.rows(), row, reference::row_values(x, row));
  }
  return verdict.result();
}

}  // namespace kerncast::ops
