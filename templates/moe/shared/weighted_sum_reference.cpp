#include "templates/moe/shared/weighted_sum_reference.hpp"

#include <cmath>

#include "templates/moe/shared/weighted_sum_spec_index.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_float.hpp"

namespace kerncast::moe {

double element_of_slot(const HostTensor& x, std::int64_t token, std::int64_t slot, std::int64_t column) {
  const std::size_t rank = x.shape.size();
  std::int64_t offset = slot * x.strides[rank - 2] + column * x.strides[rank - 1];
  for (std::size_t i = rank - 2; i-- > 0;) {
    offset += token % x.shape[i] * x.strides[i];
    token /= x.shape[i];
  }
  return reference::decode(x.dtype, x.bytes.data() + offset * size_of(x.dtype));
}

ReferenceResult check_weighted_sum(const ReferenceInput& input, const SlotElement& x) {
  const reference::HostRows y(reference::require(input, "y"));
  std::optional<reference::HostRows> weights;
  std::optional<reference::HostRows> addend;
  if (input.spec[weighted_sum_params::has_weights] != 0) {
    weights.emplace(reference::require(input, "weights"));
  }
  if (input.spec[weighted_sum_params::has_addend] != 0) {
    addend.emplace(reference::require(input, "addend"));
  }
  const std::int64_t slots = input.spec[weighted_sum_params::top_k];
  const auto factor = static_cast<double>(static_cast<float>(input.scalar("routed_scaling_factor", 1.0)));
  const bool wide = y.dtype() == DType::f32;

  reference::Verdict verdict;
  for (std::int64_t row = 0; row < y.rows(); ++row) {
    for (std::int64_t column = 0; column < y.width(); ++column) {
      double sum = 0;
      double magnitude = 0;
      for (std::int64_t k = 0; k < slots; ++k) {
        if (const std::optional<double> element = x(row, k, column)) {
          const double product = *element * (weights ? (*weights)(row, k) : 1.0);
          sum += product;
          magnitude += std::fabs(product);
        }
      }
      const double added = addend ? (*addend)(row, column) : 0.0;
      const double want = factor * sum + added;
      const double got = y(row, column);
      // If terms cancel, the sum is only as accurate as f32 at their magnitude: two units for f32 output, and
      // half a unit more per slot for narrower types.
      const double level = std::fabs(factor) * magnitude + std::fabs(added);
      const double slack =
          (wide ? 2.0 : 2.0 + 0.5 * static_cast<double>(slots)) * reference::unit(DType::f32, level);
      const double half_unit = wide ? 0.0 : 0.5 * reference::unit(y.dtype(), got);
      if (std::isfinite(got) && std::fabs(got - want) <= slack + half_unit) {
        verdict.note(std::fabs(got - want) / reference::unit(y.dtype(), std::fmax(level, std::fabs(got))));
        continue;
      }
      verdict.compare("y", row, column, y.dtype(), got, want, 1);
    }
  }
  return verdict.result();
}

}  // namespace kerncast::moe
