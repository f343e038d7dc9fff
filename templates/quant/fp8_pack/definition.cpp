#include <kerncast/ops/quant/fp8_pack.hpp>

#include <string>

#include "templates/host/checks.hpp"
#include "templates/quant/shared/packed_rows.hpp"

namespace kerncast {
namespace quant {
namespace {
constexpr PackedRowsVariant variant{
    "fp8_pack",
    "quant.fp8_pack",
    "x",
    true,
    "Rows as fp8 bytes with their scale behind them, for one all-to-all",
    "packed = e4m3(x / s) for each of D elements, then s = max(amax(row), 1e-10) / "
    "448, f32, little endian (FP8 Ulysses)"};
}  // namespace

const OpDefinition& fp8_pack_op() {
  static const OpDefinition& op = OpRegistry::instance().require(variant.op);
  return op;
}
Call fp8_pack_call(const Fp8Pack& arguments) {
  return packed_rows_call(variant, arguments.x, arguments.packed);
}
void fp8_pack(Runtime& runtime, const Fp8Pack& arguments, Stream stream) {
  runtime.dispatch(fp8_pack_op(), fp8_pack_call(arguments), stream);
}
PreparedLaunch prepare_fp8_pack(Runtime& runtime, const Fp8Pack& arguments) {
  return runtime.prepare(fp8_pack_op(), fp8_pack_call(arguments));
}
}  // namespace quant

namespace ops {
OpDefinition quant_fp8_pack_definition();
OpDefinition quant_fp8_pack_definition() {
  return quant::packed_rows_definition<quant::variant>();
}
}  // namespace ops
}  // namespace kerncast
