#include <kerncast/ops/quant/fp8_unpack.hpp>

#include <string>

#include "templates/host/checks.hpp"
#include "templates/quant/shared/packed_rows.hpp"

namespace kerncast {
namespace quant {
namespace {
constexpr PackedRowsVariant variant{
    "fp8_unpack",
    "quant.fp8_unpack",
    "y",
    false,
    "What fp8_pack packed, as floats",
    "y = float(e4m3) * s, of rows of D e4m3 and the f32 s behind them, little endian (FP8 Ulysses)"};
}  // namespace

const OpDefinition& fp8_unpack_op() {
  static const OpDefinition& op = OpRegistry::instance().require(variant.op);
  return op;
}
Call fp8_unpack_call(const Fp8Unpack& arguments) {
  return packed_rows_call(variant, arguments.y, arguments.packed);
}
void fp8_unpack(Runtime& runtime, const Fp8Unpack& arguments, Stream stream) {
  runtime.dispatch(fp8_unpack_op(), fp8_unpack_call(arguments), stream);
}
PreparedLaunch prepare_fp8_unpack(Runtime& runtime, const Fp8Unpack& arguments) {
  return runtime.prepare(fp8_unpack_op(), fp8_unpack_call(arguments));
}
}  // namespace quant

namespace ops {
OpDefinition quant_fp8_unpack_definition();
OpDefinition quant_fp8_unpack_definition() {
  return quant::packed_rows_definition<quant::variant>();
}
}  // namespace ops
}  // namespace kerncast
