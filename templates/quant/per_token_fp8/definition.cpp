#include <kerncast/ops/quant/per_token_fp8.hpp>

#include "templates/quant/shared/row_scaled.hpp"

kerncast::Call kerncast::quant::bind(const PerTokenFp8& arguments) {
  return row_scaled_call(arguments);
}

KERNCAST_OP(quant, per_token_fp8) {
  return quant::row_scaled_definition<quant::PerTokenFp8>(
      "Quantisation to fp8 with one scale per row",
      "s = max(amax(row), 1e-10) / 448; q = sat(x / s), to nearest even. amax ignores NaN, which gives 0x7f "
      "(sgl-kernel per_token_quant_fp8)");
}
