#include "templates/host/define_op.hpp"
#include "templates/norm/rms_norm_quant/spec_index.hpp"
#include "templates/norm/shared/quantised/quantised_reference.hpp"

KERNCAST_REFERENCE(norm, fused_add_rms_norm_quant) {
  const reference::AddedRows sums(input);
  reference::Verdict verdict;
  for (std::int64_t row = 0; row < sums.x().rows(); ++row) {
    sums.check(verdict, row);
  }
  const bool rounds = input.spec[norm::rms_norm_quant_params::round_residual] != 0;
  // The op normalises the sums as f32 holds them.
  reference::check_quantised_norm(verdict, input, sums.x(), [&](std::int64_t row) {
    return rounds ? sums.rounded_row(row) : sums.held_row(row);
  });
  return verdict.result();
}
