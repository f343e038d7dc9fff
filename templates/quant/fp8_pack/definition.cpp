#include <kerncast/ops/quant/fp8_pack.hpp>

#include "templates/quant/shared/packed_rows.hpp"

namespace kerncast::quant {
namespace {

constexpr PackedRowsVariant variant{.op = Fp8Pack::op_name, .wide = "x", .packs = true};

void describe(host::NamedArguments& named, Fp8Pack& call) {
  named.input("x", call.x, wide_doc);
  named.output("packed", call.packed, packed_doc);
}

}  // namespace

Call bind(const Fp8Pack& arguments) {
  return packed_rows_call(variant, arguments.x, arguments.packed);
}

}  // namespace kerncast::quant

KERNCAST_OP(quant, fp8_pack) {
  return quant::packed_rows_definition<quant::Fp8Pack, quant::variant, quant::describe>(
      "Rows as fp8 bytes followed by their scale, for one all-to-all",
      "packed = e4m3(x / s) for each of D elements, then s = max(amax(row), 1e-10) / 448, f32, little endian "
      "(FP8 "
      "Ulysses)");
}
