#include "runtime/simulator/ptx/decode/common.hpp"

#include <fmt/format.h>

#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

void float_flags(DecodeContext& c, Op& op) {
  Modifiers& mods = c.mods();
  op.rounding = mods.take_rounding();
  op.flags |=
      (mods.take("ftz") ? kFtz : 0U) | (mods.take("sat") ? kSat : 0U) | (mods.take("relu") ? kRelu : 0U);
  if ((op.flags & kSat) != 0 && op.type == Type::f64) {
    c.fail(".sat is not for f64");
  }
}

void check_arithmetic(const DecodeContext& c, const Op& op) {
  const bool half = op.type == Type::f16 || op.type == Type::f16x2;
  const bool brain = op.type == Type::bf16 || op.type == Type::bf16x2;
  const bool integer = is_integer(op.type);
  if (!integer && !half && !brain && op.type != Type::f32 && op.type != Type::f64) {
    c.fail(fmt::format("is not for .{}", name_of(op.type)));
  }
  std::uint32_t allowed = op.type == Type::f32 || half ? kFtz | kSat : integer ? kSat : 0U;
  allowed |= op.code == Code::fma && (half || brain) ? kRelu : 0U;
  const Rounding most = integer ? Rounding::none : half || brain ? Rounding::rn : Rounding::rp;
  if ((op.flags & ~allowed) != 0 || op.rounding > most || (op.flags & (kSat | kRelu)) == (kSat | kRelu)) {
    c.fail(fmt::format("modifier not allowed for .{}", name_of(op.type)));
  }
}

}  // namespace kerncast::simulator
