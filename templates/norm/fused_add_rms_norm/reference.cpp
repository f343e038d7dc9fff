#include "templates/host/define_op.hpp"
#include "templates/norm/shared/rms_params.hpp"
#include "templates/norm/shared/rms_reference.hpp"

KERNCAST_REFERENCE(norm, fused_add_rms_norm) {
  const reference::AddedRows sums(input);
  const reference::HostRows y(reference::require(input, "y"));
  const reference::RmsNormReference norm(input);
  const bool twice = input.spec[norm::rms_params::hf_rounding] != 0;

  reference::Verdict verdict;
  for (std::int64_t row = 0; reference::same_shape(verdict, sums.x(), y) && row < y.rows(); ++row) {
    sums.check(verdict, row);
    // The squares are those of the sums as f32 holds them.
    norm.check(verdict, row, sums.row(row), norm.scale(sums.held_row(row)), y,
               twice ? std::optional(sums.x().dtype()) : std::nullopt);
  }
  return verdict.result();
}
