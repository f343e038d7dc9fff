#include "templates/norm/shared/added_rms/added_rms_reference.hpp"

#include <optional>
#include <vector>

#include "templates/norm/shared/added_rms/added_rms_params.hpp"
#include "templates/norm/shared/rms_reference.hpp"

namespace kerncast::reference {

ReferenceResult check_added_rms(const ReferenceInput& input) {
  const AddedRows sums(input);
  const HostRows y(require(input, "y"));
  const RmsNormReference normed(input);
  const bool twice = input.spec[norm::rms_params::hf_rounding] != 0;
  const bool rounds = input.spec[norm::added_rms_params::round_residual] != 0;

  Verdict verdict;
  for (std::int64_t row = 0; same_shape(verdict, sums.x(), y) && row < y.rows(); ++row) {
    sums.check(verdict, row);
    // The squares are those of the sums as f32 holds them.
    const std::vector<double> held = rounds ? sums.rounded_row(row) : sums.held_row(row);
    normed.check(verdict, row, rounds ? held : sums.row(row), normed.scale(held), y,
                 twice ? std::optional(sums.x().dtype()) : std::nullopt);
  }
  return verdict.result();
}

}  // namespace kerncast::reference
