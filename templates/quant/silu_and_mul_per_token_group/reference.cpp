#include <cmath>

#include "templates/host/define_op.hpp"
#include "templates/quant/shared/group_scaled_spec_index.hpp"
#include "templates/reference/activation.hpp"
#include "templates/reference/group_quant.hpp"
#include "templates/reference/host_float.hpp"
#include "templates/reference/masked_rows.hpp"

namespace kerncast::quant {
namespace {

/// Steps of f32 by which a scale may be off: the exponential of gates below -64 is two steps less exact.
int scale_steps(const reference::HostRows& x, std::int64_t width) {
  constexpr double far = -64.0;
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    for (std::int64_t column = 0; column < width; ++column) {
      if (x(row, column) < far) {
        return 6;
      }
    }
  }
  return 4;
}

}  // namespace
}  // namespace kerncast::quant

KERNCAST_REFERENCE(quant, silu_and_mul_per_token_group) {
  namespace params = quant::group_scaled_params;
  const HostTensor& x_tensor = reference::require(input, "x");
  const auto limit = static_cast<float>(input.scalar("limit", 0.0));
  reference::Verdict verdict;
  for (const reference::CountedRows& part : reference::counted_rows(input, x_tensor)) {
    const HostTensor x_part = reference::expert_of(x_tensor, part.expert);
    const HostTensor q_part = reference::expert_of(reference::require(input, "q"), part.expert);
    const HostTensor s_part = reference::expert_of(reference::require(input, "s"), part.expert);
    const reference::HostRows x(x_part);
    const reference::HostRows q(q_part);
    const std::int64_t width = x.width() / 2;
    if (q.rows() != x.rows() || q.width() != width) {
      verdict.fail("q", 0, 0, "has a shape that does not match x");
      return verdict.result();
    }
    // Only a call without a mask clears the padding rows; rows that a mask leaves out are not written.
    reference::check_groups(
        verdict,
        [&](std::int64_t row, std::int64_t column) {
          const double value = reference::limited_silu_and_mul(x(row, column), x(row, width + column), limit);
          // A value that f32 cannot hold is infinite.
          const double held = reference::rounded(DType::f32, value);
          return std::isinf(held) ? held : value;
        },
        part.rows, q, s_part, input.spec[params::group],
        static_cast<quant::ScaleFormat>(input.spec[params::scale_format]),
        {.value = 0x1p-20, .scale_steps = quant::scale_steps(x, width)}, part.expert < 0);
  }
  return verdict.result();
}
