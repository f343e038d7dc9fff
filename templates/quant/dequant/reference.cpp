#include <kerncast/ops/quant/dequant.hpp>
#include "templates/host/define_op.hpp"
#include "templates/quant/dequant/spec_index.hpp"
#include "templates/reference/block_scaled.hpp"
#include "templates/reference/host_float.hpp"

namespace kerncast::ops {
namespace {

using quant::DequantScheme;

/// The scale that applies to element `column` of row `row`.
double scale_of(const ReferenceInput& input, const HostTensor& tensor, const reference::HostRows& s,
                std::int64_t row, std::int64_t column) {
  const auto byte = [&](std::int64_t at) {
    return reference::decode(tensor.dtype, tensor.bytes.data() + at);
  };
  const auto layout = static_cast<quant::SfLayout>(input.spec[quant::dequant_params::sf_layout]);
  switch (static_cast<DequantScheme>(input.spec[quant::dequant_params::scheme])) {
    case DequantScheme::per_tensor:
      return s(0, 0);
    case DequantScheme::per_token:
      return s(row, 0);
    case DequantScheme::per_token_group: {
      const std::int64_t group = column / input.spec[quant::dequant_params::group];
      return static_cast<quant::ScaleFormat>(input.spec[quant::dequant_params::scale_format]) ==
                     quant::ScaleFormat::packed_ue8m0
                 ? reference::decode(DType::ue8m0,
                                     tensor.bytes.data() + s.offset(row, group / 4) * 4 + group % 4)
                 : s(row, group);
    }
    case DequantScheme::nvfp4:
      return byte(reference::scale_byte(s, layout, row, column / 16)) /
             reference::decode(DType::f32, reference::require(input, "global_scale").bytes.data());
    case DequantScheme::mxfp4:
    case DequantScheme::mxfp8:
      return byte(reference::scale_byte(s, layout, row, column / 32));
  }
  return 0;
}

}  // namespace
}  // namespace kerncast::ops

KERNCAST_REFERENCE(quant, dequant) {
  const reference::HostRows q(reference::require(input, "q"));
  const HostTensor& s_tensor = reference::require(input, "s");
  const reference::HostRows s(s_tensor);
  const reference::HostRows y(reference::require(input, "y"));
  const bool fp4 = q.dtype() == DType::u8;
  reference::Verdict verdict;
  if (q.rows() != y.rows() || q.width() * (fp4 ? 2 : 1) != y.width()) {
    verdict.fail("y", 0, 0, "has a shape that does not match q");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < y.rows(); ++row) {
    for (std::int64_t i = 0; i < y.width(); ++i) {
      const double exact = reference::block_value(q, fp4, row, i) * scale_of(input, s_tensor, s, row, i);
      verdict.compare("y", row, i, y.dtype(), y(row, i), reference::rounded(y.dtype(), exact), 1);
    }
  }
  return verdict.result();
}
