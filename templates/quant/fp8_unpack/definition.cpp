#include <kerncast/ops/quant/fp8_unpack.hpp>

#include "templates/quant/shared/packed_rows.hpp"

namespace kerncast::quant {
namespace {

constexpr PackedRowsVariant variant{.op = Fp8Unpack::op_name, .wide = "y", .packs = false};

void describe(host::NamedArguments& named, Fp8Unpack& call) {
  named.input("packed", call.packed, packed_doc);
  named.output("y", call.y, wide_doc);
}

}  // namespace

Call bind(const Fp8Unpack& arguments) {
  return packed_rows_call(variant, arguments.y, arguments.packed);
}

}  // namespace kerncast::quant

KERNCAST_OP(quant, fp8_unpack) {
  return quant::packed_rows_definition<quant::Fp8Unpack, quant::variant, quant::describe>(
      "Rows that fp8_pack packed, as floats",
      "y = float(e4m3) * s, of rows of D e4m3 and the f32 s behind them, little endian (FP8 Ulysses)");
}
