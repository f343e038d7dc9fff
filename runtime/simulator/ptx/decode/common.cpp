#include "runtime/simulator/ptx/decode/common.hpp"

#include <fmt/format.h>

#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

void float_flags(DecodeContext& c, Op& op) {
  Modifiers& mods = c.mods();
  op.rounding = mods.take_rounding();
  op.flags |= (mods.take("ftz") ? flag::ftz : 0U) | (mods.take("sat") ? flag::sat : 0U) |
              (mods.take("relu") ? flag::relu : 0U);
  if ((op.flags & flag::sat) != 0 && op.type == Type::f64) {
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
  std::uint32_t allowed = op.type == Type::f32 || half ? flag::ftz | flag::sat : integer ? flag::sat : 0U;
  allowed |= op.code == Code::fma && (half || brain) ? flag::relu : 0U;
  const Rounding most = integer ? Rounding::none : half || brain ? Rounding::rn : Rounding::rp;
  if ((op.flags & ~allowed) != 0 || op.rounding > most ||
      (op.flags & (flag::sat | flag::relu)) == (flag::sat | flag::relu)) {
    c.fail(fmt::format("modifier not allowed for .{}", name_of(op.type)));
  }
}

}  // namespace kerncast::simulator
