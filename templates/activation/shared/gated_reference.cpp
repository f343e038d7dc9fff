#include "templates/activation/shared/gated_reference.hpp"

#include "templates/reference/compare.hpp"
#include "templates/reference/host_float.hpp"
#include "templates/reference/host_rows.hpp"
#include "templates/reference/masked_rows.hpp"

namespace kerncast::activation {

ReferenceResult check_gated(const ReferenceInput& input,
                            const std::function<double(double, double)>& function, GateOrder order) {
  reference::Verdict verdict;
  const HostTensor& x_tensor = reference::require(input, "x");
  const HostTensor& y_tensor = reference::require(input, "y");
  const bool interleaved = order == GateOrder::interleaved;
  for (const reference::CountedRows& part : reference::counted_rows(input, x_tensor)) {
    const HostTensor x_part = reference::expert_of(x_tensor, part.expert);
    const HostTensor y_part = reference::expert_of(y_tensor, part.expert);
    const reference::HostRows x(x_part);
    const reference::HostRows y(y_part);
    const std::int64_t width = x.width() / 2;
    if (y.rows() != x.rows() || y.width() != width) {
      verdict.fail("y", 0, 0, "has another shape than x asks for");
      return verdict.result();
    }
    for (std::int64_t row = 0; row < part.rows; ++row) {
      for (std::int64_t i = 0; i < width; ++i) {
        const double gate = x(row, interleaved ? 2 * i : i);
        const double up = x(row, interleaved ? 2 * i + 1 : width + i);
        verdict.compare("y", row, i, y.dtype(), y(row, i), reference::rounded(y.dtype(), function(gate, up)),
                        1);
      }
    }
  }
  return verdict.result();
}

}  // namespace kerncast::activation
