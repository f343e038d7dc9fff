#include <kerncast/ops/quant/fp8_unpack.hpp>

#include <string>

#include "templates/host/checks.hpp"
#include "templates/quant/shared/fp8_packed.hpp"

namespace kerncast {
namespace quant {
namespace {
constexpr Fp8PackedKind kind{
    "fp8_unpack",
    "quant.fp8_unpack",
    "y",
    false,
    "What fp8_pack packed, as floats",
    "y = float(e4m3) * s, of rows of D e4m3 and the f32 s behind them, little endian (FP8 Ulysses)"};
}  // namespace

const OpDefinition& fp8_unpack_op() {
  static const OpDefinition& op = OpRegistry::instance().require(kind.op);
  return op;
}
Call fp8_unpack_call(const Fp8Unpack& arguments) {
  return fp8_packed_call(kind, arguments.y, arguments.packed);
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
  return quant::fp8_packed_definition<quant::kind>();
}
}  // namespace ops
}  // namespace kerncast
