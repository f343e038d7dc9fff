#include <fmt/format.h>

#include <utility>

#include "runtime/simulator/ptx/decoder.hpp"

// Arithmetic beyond two operands of one plain type: pairs in one register, mixed precision, three inputs.
namespace kerncast::simulator {

void Decoder::decode_arithmetic() {
  const std::string_view opcode = instruction_.mods.opcode();
  const std::string_view base = instruction_.mods.base();
  const bool chooses = base == "min" || base == "max";
  if (opcode.ends_with(".f32x2")) {
    decode_float_pair();
  } else if (opcode.ends_with(".u16x2") || opcode.ends_with(".s16x2") || opcode.ends_with(".s16x2.relu")) {
    decode_integer_pair();
  } else if (opcode.ends_with(".f32.f16") || opcode.ends_with(".f32.bf16")) {
    decode_mixed_precision();
  } else if (chooses && instruction_.count == 4) {
    decode_three_way();
  } else if (chooses && (opcode.ends_with(".relu.s32") || opcode.ends_with(".s32.relu"))) {
    decode_relu_integer();
  } else if (chooses) {
    decode_min_max();
  } else if (base == "fma") {
    decode_fma();
  } else if (base == "mul") {
    decode_mul();
  } else {
    decode_add_sub();
  }
}

void Decoder::decode_float_pair() {
  Modifiers& mods = instruction_.mods;
  const std::string_view base = mods.base();
  const bool fused = base == "fma";
  if (base == "min" || base == "max") {
    unsupported("min and max of .f32x2");
  }
  expect_operands(fused ? 4 : 3);
  Op& op = emit(fused           ? Code::fma
                : base == "mul" ? Code::mul
                : base == "add" ? Code::add
                                : Code::sub,
                mods.need_type());
  op.rounding = mods.take_rounding();
  op.flags = mods.take("ftz") ? kFtz : 0U;
  if (op.rounding > Rounding::rp || (fused && op.rounding == Rounding::none)) {
    fail("needs .rn, .rz, .rm or .rp");
  }
  write(Field::d, operand(0).one(), Type::f32x2);
  read_all(Type::f32x2, 1, fused ? 3 : 2);
}

void Decoder::decode_integer_pair() {
  Modifiers& mods = instruction_.mods;
  const std::string_view base = mods.base();
  if (base != "add" && base != "min" && base != "max") {
    unsupported(fmt::format("{} of 16-bit integer pairs", base));
  }
  expect_operands(3);
  Op& op = emit(base == "add" ? Code::add : base == "min" ? Code::min : Code::max, mods.need_type());
  if (base != "add" && op.type == Type::s16x2 && mods.take("relu")) {
    op.flags = kRelu;
  }
  const Type type = op.type;
  write(Field::d, operand(0).one(), type);
  read_all(type, 1, 2);
}

void Decoder::decode_mixed_precision() {
  Modifiers& mods = instruction_.mods;
  const std::string_view base = mods.base();
  if (base != "add" && base != "sub" && base != "fma") {
    unsupported(fmt::format("{} in mixed precision", base));
  }
  const bool fused = base == "fma";
  expect_operands(fused ? 4 : 3);
  mods.need_type();
  const Type narrow = mods.need_type();
  // Widening is exact, so the operation on widened operands is the mixed one.
  for (std::size_t i = 1; i <= (fused ? 2U : 1U); ++i) {
    const std::uint32_t wide = new_register(4);
    const bool guarded = std::exchange(instruction_.guarded, false);
    Op& op = emit(Code::cvt, Type::f32);
    instruction_.guarded = guarded;
    op.source = narrow;
    op.width = 2;
    op.count = 4;
    reference(Field::d, wide, true);
    // The assembler takes integers for bf16 here.
    read(Field::a, operand(i).one(), narrow == Type::bf16 ? Type::u16 : narrow);
    Scalar& scalar = instruction_.operands[i].parts[0];
    scalar = Scalar{};
    scalar.kind = Scalar::Kind::reg;
    scalar.bytes = 4;
    scalar.reg = wide;
  }
  Op& op = emit(fused ? Code::fma : base == "add" ? Code::add : Code::sub, Type::f32);
  float_flags(op);
  if ((op.flags & ~kSat) != 0 || op.rounding > Rounding::rp || (fused && op.rounding == Rounding::none)) {
    fail("modifier not allowed in mixed precision");
  }
  write(Field::d, operand(0).one(), Type::f32);
  read_all(Type::f32, 1, fused ? 3 : 2);
}

void Decoder::decode_three_way() {
  Modifiers& mods = instruction_.mods;
  const Code code = mods.base() == "min" ? Code::min : Code::max;
  const std::uint32_t flags = (mods.take("ftz") ? kFtz : 0U) | (mods.take("NaN") ? kNan : 0U);
  const bool absolute = mods.take("abs");
  if (mods.need_type() != Type::f32) {
    fail("three inputs need .f32");
  }
  need({100, 88}, "with three inputs");
  const bool guarded = std::exchange(instruction_.guarded, false);
  for (std::size_t i = 1; absolute && i <= 3; ++i) {
    const std::uint32_t magnitude = new_register(4);
    emit(Code::abs, Type::f32);
    reference(Field::d, magnitude, true);
    read(Field::a, operand(i).one(), Type::f32);
    Scalar& scalar = instruction_.operands[i].parts[0];
    scalar = Scalar{};
    scalar.kind = Scalar::Kind::reg;
    scalar.bytes = 4;
    scalar.reg = magnitude;
  }
  const std::uint32_t first = new_register(4);
  emit(code, Type::f32).flags = flags;
  instruction_.guarded = guarded;
  reference(Field::d, first, true);
  read_all(Type::f32, 1, 2);
  emit(code, Type::f32).flags = flags;
  write(Field::d, operand(0).one(), Type::f32);
  reference(Field::a, first, false);
  read(Field::b, operand(3).one(), Type::f32);
}

void Decoder::decode_relu_integer() {
  Modifiers& mods = instruction_.mods;
  mods.take("relu");
  expect_operands(3);
  const Type type = mods.need_type();
  const std::uint32_t first = new_register(4);
  const bool guarded = std::exchange(instruction_.guarded, false);
  emit(mods.base() == "min" ? Code::min : Code::max, type);
  instruction_.guarded = guarded;
  reference(Field::d, first, true);
  read_all(type, 1, 2);
  emit(Code::max, type).b = constant(0, 4);
  write(Field::d, operand(0).one(), type);
  reference(Field::a, first, false);
}

void Decoder::decode_vabsdiff4() {
  Modifiers& mods = instruction_.mods;
  expect_operands(4);
  for (int i = 0; i < 3; ++i) {
    if (mods.need_type() != Type::u32) {
      unsupported("this form of vabsdiff4");
    }
  }
  Op& op = emit(Code::vabsdiff4, Type::u32);
  op.sub = mods.take("add") ? 1 : 0;
  write(Field::d, operand(0).one(), Type::u32);
  read_all(Type::u32, 1, 3);
}

}  // namespace kerncast::simulator
