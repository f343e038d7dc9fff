#include <kerncast/ops/quant/per_token_int8.hpp>

#include "templates/quant/shared/row_scaled.hpp"

kerncast::Call kerncast::quant::bind(const PerTokenInt8& arguments) {
  return row_scaled_call(arguments);
}

KERNCAST_OP(quant, per_token_int8) {
  return quant::row_scaled_definition<quant::PerTokenInt8>(
      "Quantisation to int8 with one scale per row",
      "s = max(amax(row), 1e-10) / 127; q = sat(x / s), to nearest even. amax ignores NaN, which gives 0 "
      "(sgl-kernel per_token_quant_int8, but rounded to nearest even)");
}
