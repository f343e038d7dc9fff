#include <bit>

#include "runtime/simulator/ptx/decoder.hpp"

// alloca: every call has an area in local memory, of which a register tells how much is given out.
namespace kerncast::simulator {

void Decoder::begin_alloca() {
  if (!uses_alloca_) {
    return;
  }
  stack_area_ = (local_top_ + 15) / 16 * 16;
  local_top_ = stack_area_ + kStackArea;
  instruction_ = Instruction{};
  instruction_.line = lex_.line();
  emitted_ = false;
  stack_top_ = new_register(4);
  emit(Code::mov, Type::u32).a = constant(0, 4);
  reference(Field::d, stack_top_, true);
}

void Decoder::decode_alloca() {
  if (instruction_.mods.need_type() != Type::u64) {
    fail("needs .u64");
  }
  expect_operands(2, 3);
  std::uint64_t alignment = 8;
  if (instruction_.count == 3) {
    const Scalar& given = operand(2).one();
    if (given.kind != Scalar::Kind::number || !std::has_single_bit(given.bits) || given.bits > kStackArea) {
      fail("needs a power of two as the alignment");
    }
    alignment = given.bits;
  }
  Op& op = emit(Code::reserve, Type::u64);
  op.imm = static_cast<std::int64_t>(stack_area_);
  op.count = static_cast<std::uint8_t>(std::countr_zero(alignment));
  write(Field::d, operand(0).one(), Type::u64);
  read(Field::a, operand(1).one(), Type::u64);
  reference(Field::d2, stack_top_, false);
  reference(Field::d2, stack_top_, true);
}

void Decoder::decode_stack_pointer() {
  if (instruction_.mods.need_type() != Type::u64) {
    fail("needs .u64");
  }
  if (!uses_alloca_) {
    unsupported("saving the stack pointer without alloca");
  }
  expect_operands(1);
  const bool saves = instruction_.mods.base() == "stacksave";
  Op& op = emit(Code::cvt, saves ? Type::u64 : Type::u32);
  op.source = saves ? Type::u32 : Type::u64;
  op.width = saves ? 4 : 8;
  op.count = saves ? 8 : 4;
  if (saves) {
    write(Field::d, operand(0).one(), Type::u64);
    reference(Field::a, stack_top_, false);
  } else {
    reference(Field::d, stack_top_, true);
    read(Field::a, operand(0).one(), Type::u64);
  }
}

}  // namespace kerncast::simulator
