#include "templates/host/define_op.hpp"
#include "templates/norm/fused_add_rms_norm/spec_index.hpp"
#include "templates/norm/shared/rms_reference.hpp"

KERNCAST_REFERENCE(norm, fused_add_rms_norm) {
  const reference::AddedRows sums(input);
  const reference::HostRows y(reference::require(input, "y"));
  const reference::RmsNormReference norm(input);
  const bool twice = input.spec[norm::rms_params::hf_rounding] != 0;
  const bool rounds = input.spec[norm::fused_add_rms_norm_params::round_residual] != 0;

  reference::Verdict verdict;
  for (std::int64_t row = 0; reference::same_shape(verdict, sums.x(), y) && row < y.rows(); ++row) {
    sums.check(verdict, row);
    // The squares are those of the sums as f32 holds them.
    const std::vector<double> held = rounds ? sums.rounded_row(row) : sums.held_row(row);
    norm.check(verdict, row, rounds ? held : sums.row(row), norm.scale(held), y,
               twice ? std::optional(sums.x().dtype()) : std::nullopt);
  }
  return verdict.result();
}
