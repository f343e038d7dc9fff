#include <bit>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

// Every call of a module that uses alloca, stacksave or stackrestore has an area in local memory. A register
// says how much of it is given out.
namespace kerncast::simulator {

void reserve_alloca_area(DecodeContext& c, int line) {
  if (!c.uses_stack) {
    return;
  }
  FunctionState& function = c.function;
  function.stack_area = (function.local_top + 15) / 16 * 16;
  function.local_top = function.stack_area + stack_area_bytes;
  c.begin_outside(line);
  function.stack_top = c.new_register(4);
  c.emit(Code::mov, Type::u32).a = c.constant(0, 4);
  c.reference(Field::d, function.stack_top, true);
}

void decode_alloca(DecodeContext& c) {
  if (c.mods().need_type() != Type::u64) {
    c.fail("needs .u64");
  }
  c.expect_operands(2, 3);
  std::uint64_t alignment = 8;
  if (c.count() == 3) {
    const Scalar& given = c.operand(2).one();
    if (given.kind != Scalar::Kind::number || !std::has_single_bit(given.bits) ||
        given.bits > stack_area_bytes) {
      c.fail("needs a power of two as the alignment");
    }
    alignment = given.bits;
  }
  Op& op = c.emit(Code::reserve, Type::u64);
  op.imm = static_cast<std::int64_t>(c.function.stack_area);
  op.count = static_cast<std::uint8_t>(std::countr_zero(alignment));
  c.write(Field::d, c.operand(0).one(), Type::u64);
  c.read(Field::a, c.operand(1).one(), Type::u64);
  c.reference(Field::d2, c.function.stack_top, false);
  c.reference(Field::d2, c.function.stack_top, true);
}

void decode_stack_pointer(DecodeContext& c) {
  if (c.mods().need_type() != Type::u64) {
    c.fail("needs .u64");
  }
  c.expect_operands(1);
  const bool saves = c.mods().base() == "stacksave";
  Op& op = c.emit(Code::cvt, saves ? Type::u64 : Type::u32);
  op.source = saves ? Type::u32 : Type::u64;
  op.width = saves ? 4 : 8;
  op.count = saves ? 8 : 4;
  if (saves) {
    c.write(Field::d, c.operand(0).one(), Type::u64);
    c.reference(Field::a, c.function.stack_top, false);
  } else {
    c.reference(Field::d, c.function.stack_top, true);
    c.read(Field::a, c.operand(0).one(), Type::u64);
  }
}

}  // namespace kerncast::simulator
