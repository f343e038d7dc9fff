#include <fmt/format.h>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

// Arithmetic beyond two operands of one plain type: pairs in one register, mixed precision, three inputs.
namespace kerncast::simulator {

namespace {

void decode_float_pair(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  const bool fused = base == "fma";
  if (base == "min" || base == "max") {
    c.unsupported("min and max of .f32x2");
  }
  c.expect_operands(fused ? 4 : 3);
  Op& op = c.emit(fused           ? Code::fma
                  : base == "mul" ? Code::mul
                  : base == "add" ? Code::add
                                  : Code::sub,
                  mods.need_type());
  op.rounding = mods.take_rounding();
  op.flags = mods.take("ftz") ? flag::ftz : 0U;
  if (op.rounding > Rounding::rp || (fused && op.rounding == Rounding::none)) {
    c.fail("needs .rn, .rz, .rm or .rp");
  }
  c.write(Field::d, c.operand(0).one(), Type::f32x2);
  c.read_all(Type::f32x2, 1, fused ? 3 : 2);
}

void decode_integer_pair(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  if (base != "add" && base != "min" && base != "max") {
    c.unsupported(fmt::format("{} of 16-bit integer pairs", base));
  }
  c.expect_operands(3);
  Op& op = c.emit(base == "add" ? Code::add : base == "min" ? Code::min : Code::max, mods.need_type());
  if (base != "add" && op.type == Type::s16x2 && mods.take("relu")) {
    op.flags = flag::relu;
  }
  const Type type = op.type;
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, 2);
}

void decode_mixed_precision(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  if (base != "add" && base != "sub" && base != "fma") {
    c.unsupported(fmt::format("{} in mixed precision", base));
  }
  const bool fused = base == "fma";
  c.expect_operands(fused ? 4 : 3);
  mods.need_type();
  const Type narrow = mods.need_type();
  // Widening is exact, so the operation on widened operands is the mixed one.
  for (std::size_t i = 1; i <= (fused ? 2U : 1U); ++i) {
    const std::uint32_t wide = c.new_register(4);
    Op& op = c.emit_unguarded(Code::cvt, Type::f32);
    op.source = narrow;
    op.width = 2;
    op.count = 4;
    c.reference(Field::d, wide, true);
    // The assembler takes integers for bf16 here.
    c.read(Field::a, c.operand(i).one(), narrow == Type::bf16 ? Type::u16 : narrow);
    c.replace_operand(i, wide, 4);
  }
  Op& op = c.emit(fused ? Code::fma : base == "add" ? Code::add : Code::sub, Type::f32);
  float_flags(c, op);
  if ((op.flags & ~flag::sat) != 0 || op.rounding > Rounding::rp ||
      (fused && op.rounding == Rounding::none)) {
    c.fail("modifier not allowed in mixed precision");
  }
  c.write(Field::d, c.operand(0).one(), Type::f32);
  c.read_all(Type::f32, 1, fused ? 3 : 2);
}

void decode_three_way(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const Code code = mods.base() == "min" ? Code::min : Code::max;
  const std::uint32_t flags = (mods.take("ftz") ? flag::ftz : 0U) | (mods.take("NaN") ? flag::nan : 0U);
  const bool absolute = mods.take("abs");
  if (mods.need_type() != Type::f32) {
    c.fail("three inputs need .f32");
  }
  c.need({100, 88}, "with three inputs");
  for (std::size_t i = 1; absolute && i <= 3; ++i) {
    const std::uint32_t magnitude = c.new_register(4);
    c.emit_unguarded(Code::abs, Type::f32);
    c.reference(Field::d, magnitude, true);
    c.read(Field::a, c.operand(i).one(), Type::f32);
    c.replace_operand(i, magnitude, 4);
  }
  const std::uint32_t first = c.new_register(4);
  c.emit_unguarded(code, Type::f32).flags = flags;
  c.reference(Field::d, first, true);
  c.read_all(Type::f32, 1, 2);
  c.emit(code, Type::f32).flags = flags;
  c.write(Field::d, c.operand(0).one(), Type::f32);
  c.reference(Field::a, first, false);
  c.read(Field::b, c.operand(3).one(), Type::f32);
}

void decode_relu_integer(DecodeContext& c) {
  Modifiers& mods = c.mods();
  mods.take("relu");
  c.expect_operands(3);
  const Type type = mods.need_type();
  const std::uint32_t first = c.new_register(4);
  c.emit_unguarded(mods.base() == "min" ? Code::min : Code::max, type);
  c.reference(Field::d, first, true);
  c.read_all(type, 1, 2);
  c.emit(Code::max, type).b = c.constant(0, 4);
  c.write(Field::d, c.operand(0).one(), type);
  c.reference(Field::a, first, false);
}

}  // namespace

void decode_arithmetic(DecodeContext& c) {
  const std::string_view opcode = c.mods().opcode();
  const std::string_view base = c.mods().base();
  const bool chooses = base == "min" || base == "max";
  if (opcode.ends_with(".f32x2")) {
    decode_float_pair(c);
  } else if (opcode.ends_with(".u16x2") || opcode.ends_with(".s16x2") || opcode.ends_with(".s16x2.relu")) {
    decode_integer_pair(c);
  } else if (opcode.ends_with(".f32.f16") || opcode.ends_with(".f32.bf16")) {
    decode_mixed_precision(c);
  } else if (chooses && c.count() == 4) {
    decode_three_way(c);
  } else if (chooses && (opcode.ends_with(".relu.s32") || opcode.ends_with(".s32.relu"))) {
    decode_relu_integer(c);
  } else if (chooses) {
    decode_min_max(c);
  } else if (base == "fma") {
    decode_fma(c);
  } else if (base == "mul") {
    decode_mul(c);
  } else {
    decode_add_sub(c);
  }
}

void decode_vabsdiff4(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(4);
  for (int i = 0; i < 3; ++i) {
    if (mods.need_type() != Type::u32) {
      c.unsupported("this form of vabsdiff4");
    }
  }
  Op& op = c.emit(Code::vabsdiff4, Type::u32);
  op.sub = mods.take("add") ? 1 : 0;
  c.write(Field::d, c.operand(0).one(), Type::u32);
  c.read_all(Type::u32, 1, 3);
}

}  // namespace kerncast::simulator
