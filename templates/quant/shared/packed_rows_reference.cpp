#include <cmath>

#include "templates/host/define_op.hpp"
#include "templates/reference/group_quant.hpp"
#include "templates/reference/host_float.hpp"

namespace kerncast::ops {
namespace {

/// Element `column` of a packed row.
double element(const HostTensor& packed, const reference::HostRows& rows, std::int64_t row,
               std::int64_t column) {
  return reference::decode(DType::fp8_e4m3, packed.bytes.data() + rows.offset(row, column));
}

/// The scale of a packed row.
double scale(const HostTensor& packed, const reference::HostRows& rows, std::int64_t row) {
  return reference::decode(DType::f32, packed.bytes.data() + rows.offset(row, rows.width() - 4));
}

}  // namespace
}  // namespace kerncast::ops

KERNCAST_REFERENCE(quant, fp8_pack) {
  const reference::HostRows x(reference::require(input, "x"));
  const HostTensor& tensor = reference::require(input, "packed");
  const reference::HostRows packed(tensor);
  reference::Verdict verdict;
  if (packed.rows() != x.rows() || packed.width() != x.width() + 4) {
    verdict.fail("packed", 0, 0, "has a shape that does not match x");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    double amax = 0;
    for (std::int64_t i = 0; i < x.width(); ++i) {
      amax = std::fmax(amax, std::fabs(x(row, i)));
    }
    const double s = scale(tensor, packed, row);
    reference::check_scale(verdict, quant::ScaleFormat::f32, row, x.width(), s, amax, 448.0);
    for (std::int64_t i = 0; i < x.width(); ++i) {
      reference::check_quantised(verdict, row, i, DType::fp8_e4m3, element(tensor, packed, row, i), x(row, i),
                                 s);
    }
  }
  return verdict.result();
}

KERNCAST_REFERENCE(quant, fp8_unpack) {
  const HostTensor& tensor = reference::require(input, "packed");
  const reference::HostRows packed(tensor);
  const reference::HostRows y(reference::require(input, "y"));
  reference::Verdict verdict;
  if (packed.rows() != y.rows() || packed.width() != y.width() + 4) {
    verdict.fail("y", 0, 0, "has a shape that does not match packed");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < y.rows(); ++row) {
    const double s = scale(tensor, packed, row);
    for (std::int64_t i = 0; i < y.width(); ++i) {
      const double exact = element(tensor, packed, row, i) * s;
      verdict.compare("y", row, i, y.dtype(), y(row, i), reference::rounded(y.dtype(), exact), 1);
    }
  }
  return verdict.result();
}
