#include <fmt/format.h>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

namespace {

bool is_half(Type type) {
  return type == Type::f16 || type == Type::f16x2 || type == Type::bf16 || type == Type::bf16x2;
}

}  // namespace

void decode_fma(DecodeContext& c) {
  c.expect_operands(4);
  Modifiers& mods = c.mods();
  Op& op = c.emit(Code::fma, mods.need_type());
  float_flags(c, op);
  check_arithmetic(c, op);
  const bool wide = op.type == Type::f32 || op.type == Type::f64;
  if (is_integer(op.type) || op.rounding == Rounding::none || (mods.base() == "mad" && !wide)) {
    c.fail("needs a rounding and a float type");
  }
  c.write(Field::d, c.operand(0).one(), op.type);
  c.read_all(op.type, 1, 3);
}

void decode_reciprocal(DecodeContext& c) {
  c.expect_operands(2);
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  Op& op = c.emit(base == "rcp" ? Code::rcp : base == "sqrt" ? Code::sqrt : Code::rsqrt, mods.need_type());
  float_flags(c, op);
  const bool known =
      op.rounding >= Rounding::rn && op.rounding != Rounding::rna && op.rounding != Rounding::full;
  const bool gross = op.type == Type::f64 && op.rounding == Rounding::approx;
  const std::uint32_t allowed = op.type == Type::f32 || (gross && base != "sqrt") ? flag::ftz : 0U;
  if ((op.type != Type::f32 && op.type != Type::f64) || !known || (op.flags & ~allowed) != 0 ||
      (gross && (base == "sqrt" || (base == "rcp" && op.flags == 0))) ||
      (base == "rsqrt" && op.rounding != Rounding::approx)) {
    c.fail("needs .f32 or .f64 and a rounding it knows");
  }
  c.write(Field::d, c.operand(0).one(), op.type);
  c.read(Field::a, c.operand(1).one(), op.type);
}

void decode_approximate(DecodeContext& c) {
  c.expect_operands(2);
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  Op& op = c.emit(base == "ex2"   ? Code::ex2
                  : base == "lg2" ? Code::lg2
                  : base == "sin" ? Code::sin
                  : base == "cos" ? Code::cos
                                  : Code::tanh,
                  mods.need_type());
  float_flags(c, op);
  const bool half_allowed = op.code == Code::ex2 || op.code == Code::tanh;
  const bool brain = op.type == Type::bf16 || op.type == Type::bf16x2;
  const bool flushes = op.code != Code::tanh && (op.type == Type::f32 || brain);
  if (op.rounding != Rounding::approx || !(op.type == Type::f32 || (half_allowed && is_half(op.type))) ||
      (op.flags & ~(flushes ? flag::ftz : 0U)) != 0 || (op.code == Code::ex2 && brain && op.flags == 0)) {
    c.fail("needs .approx and a type it knows");
  }
  c.write(Field::d, c.operand(0).one(), op.type);
  c.read(Field::a, c.operand(1).one(), op.type);
}

void decode_testp(DecodeContext& c) {
  c.expect_operands(2);
  Modifiers& mods = c.mods();
  static constexpr std::array<std::string_view, 6> tests{"finite",     "infinite", "number",
                                                         "notanumber", "normal",   "subnormal"};
  const int test = mods.take_any(tests);
  const Type type = mods.need_type();
  if (test < 0 || (type != Type::f32 && type != Type::f64)) {
    c.fail("needs a test and .f32 or .f64");
  }
  Op& op = c.emit(Code::testp, type);
  op.sub = static_cast<std::uint8_t>(test);
  c.write_predicate(Field::d, c.operand(0).one());
  c.read(Field::a, c.operand(1).one(), type);
}

void decode_copysign(DecodeContext& c) {
  c.expect_operands(3);
  const Type type = c.mods().need_type();
  if (type != Type::f32 && type != Type::f64) {
    c.fail("needs .f32 or .f64");
  }
  c.emit(Code::copysign, type);
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, 2);
}

}  // namespace kerncast::simulator
