#include "templates/host/define_op.hpp"
#include "templates/norm/shared/quantised_reference.hpp"

KERNCAST_REFERENCE(norm, fused_add_rms_norm_quant) {
  const reference::AddedRows sums(input);
  reference::Verdict verdict;
  for (std::int64_t row = 0; row < sums.x().rows(); ++row) {
    sums.check(verdict, row);
  }
  // The op normalises the sums as f32 holds them.
  reference::check_quantised_norm(verdict, input, sums.x(),
                                  [&](std::int64_t row) { return sums.held_row(row); });
  return verdict.result();
}
