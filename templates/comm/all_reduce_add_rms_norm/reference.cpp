#include "templates/comm/all_reduce_add_rms_norm/spec_index.hpp"
#include "templates/host/define_op.hpp"
#include "templates/norm/shared/rms_reference.hpp"

// A world of one rank: the sum over the ranks is the rank's own row.
KERNCAST_REFERENCE(comm, all_reduce_add_rms_norm) {
  const reference::AddedRows sums(input);
  const reference::HostRows y(reference::require(input, "y"));
  const reference::RmsNormReference reference(input);
  const bool twice = input.spec[norm::rms_params::hf_rounding] != 0;
  const bool rounds = input.spec[comm::all_reduce_add_rms_norm_params::round_residual] != 0;

  reference::Verdict verdict;
  for (std::int64_t row = 0; reference::same_shape(verdict, sums.x(), y) && row < y.rows(); ++row) {
    sums.check(verdict, row);
    // The squares are those of the sums as f32 holds them.
    const std::vector<double> held = rounds ? sums.rounded_row(row) : sums.held_row(row);
    reference.check(verdict, row, rounds ? held : sums.row(row), reference.scale(held), y,
                    twice ? std::optional(sums.x().dtype()) : std::nullopt);
  }
  return verdict.result();
}
