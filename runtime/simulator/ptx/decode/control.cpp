#include <fmt/format.h>

#include <limits>

#include "runtime/simulator/ptx/decoder.hpp"

namespace kerncast::simulator {

void Decoder::decode_branch() {
  instruction_.mods.take("uni");
  expect_operands(1);
  const Scalar& target = operand(0).one();
  if (operand(0).kind != Operand::Kind::scalar || target.text.empty() ||
      target.kind == Scalar::Kind::number) {
    fail("needs a label");
  }
  emit(Code::bra, Type::none);
  fixups_.push_back({target.text, static_cast<std::uint32_t>(body_.ops.size() - 1), 0, false, scopes_.back(),
                     instruction_.line});
}

void Decoder::decode_branch_table() {
  Modifiers& mods = instruction_.mods;
  if (!mods.take("idx")) {
    fail("needs .idx");
  }
  mods.take("uni");
  expect_operands(2);
  emit(Code::brx, Type::none);
  read(Field::a, operand(0).one(), Type::u32);
  fixups_.push_back({operand(1).one().text, static_cast<std::uint32_t>(body_.ops.size() - 1), 0, false,
                     scopes_.back(), instruction_.line});
}

void Decoder::decode_exit() {
  Modifiers& mods = instruction_.mods;
  if (mods.base() == "ret") {
    mods.take("uni");
  }
  expect_operands(0);
  emit(mods.base() == "exit" || function_->entry ? Code::exit : Code::ret, Type::none);
}

void Decoder::decode_trap() {
  expect_operands(0);
  emit(Code::trap, Type::none);
}

void Decoder::check_barrier(std::size_t first, bool counted, bool arrives) {
  check_constant(first, 0, 15);
  if (counted) {
    check_constant(first + 1, arrives ? kLanes : 0, std::numeric_limits<std::uint32_t>::max(), kLanes);
  }
}

void Decoder::decode_barrier() {
  Modifiers& mods = instruction_.mods;
  const bool short_name = mods.base() == "bar";
  if (short_name && mods.take("warp")) {
    if (!mods.take("sync")) {
      fail("needs .sync");
    }
    expect_operands(1);
    emit(Code::warp_sync, Type::u32);
    read(Field::a, operand(0).one(), Type::u32);
    return;
  }
  if (mods.take("cluster")) {
    unsupported("cluster barriers");
  }
  mods.take("cta");
  // bar is barrier.aligned.
  const std::uint32_t aligned = short_name || mods.take("aligned") ? kAligned : 0U;
  if (mods.take("sync") || mods.take("arrive")) {
    const bool arrive = instruction_.mods.opcode().find(".arrive") != std::string_view::npos;
    expect_operands(arrive ? 2 : 1, 2);
    check_barrier(0, instruction_.count == 2, arrive);
    Op& op = emit(arrive ? Code::barrier_arrive : Code::barrier_sync, Type::u32);
    op.count = instruction_.count == 2 ? 1 : 0;
    op.flags |= aligned;
    read(Field::a, operand(0).one(), Type::u32);
    if (op.count != 0) {
      read(Field::b, operand(1).one(), Type::u32);
    }
    return;
  }
  if (!mods.take("red")) {
    fail("needs .sync, .arrive or .red");
  }
  static constexpr std::array<std::string_view, 3> kKinds{"popc", "and", "or"};
  const int kind = mods.take_any(kKinds);
  const Type type = mods.need_type();
  if (kind < 0 || type != (kind == 0 ? Type::u32 : Type::pred)) {
    fail("needs .popc.u32, .and.pred or .or.pred");
  }
  expect_operands(3, 4);
  check_barrier(1, instruction_.count == 4, false);
  Op& op = emit(Code::barrier_red, type);
  op.sub = static_cast<std::uint8_t>(kind);
  op.count = instruction_.count == 4 ? 1 : 0;
  op.flags |= aligned;
  if (kind == 0) {
    write(Field::d, operand(0).one(), Type::u32);
  } else {
    write_predicate(Field::d, operand(0).one());
  }
  read(Field::a, operand(1).one(), Type::u32);
  if (op.count != 0) {
    read(Field::b, operand(2).one(), Type::u32);
  }
  read_predicate(Field::c, operand(instruction_.count - 1).one(), kNegC);
}

void Decoder::decode_shuffle() {
  Modifiers& mods = instruction_.mods;
  if (!mods.take("sync")) {
    unsupported("shuffles without .sync");
  }
  static constexpr std::array<std::string_view, 4> kModes{"up", "down", "bfly", "idx"};
  const int mode = mods.take_any(kModes);
  if (mode < 0 || mods.need_type() != Type::b32) {
    fail("needs .up, .down, .bfly or .idx, and .b32");
  }
  expect_operands(5);
  Op& op = emit(Code::shfl, Type::u32);
  op.sub = static_cast<std::uint8_t>(mode);
  write(Field::d, operand(0).one(), Type::b32);
  write_predicate(Field::d2, operand(0).pair);
  read_all(Type::b32, 1, 3);
  op.imm = word_entry(4);
}

void Decoder::decode_vote() {
  Modifiers& mods = instruction_.mods;
  if (!mods.take("sync")) {
    unsupported("votes without .sync");
  }
  static constexpr std::array<std::string_view, 4> kModes{"all", "any", "uni", "ballot"};
  const int mode = mods.take_any(kModes);
  const Type type = mods.need_type();
  if (mode < 0 || type != (mode == 3 ? Type::b32 : Type::pred)) {
    fail("needs .all, .any or .uni with .pred, or .ballot with .b32");
  }
  expect_operands(3);
  Op& op = emit(Code::vote, type);
  op.sub = static_cast<std::uint8_t>(mode);
  if (mode == 3) {
    write(Field::d, operand(0).one(), Type::b32);
  } else {
    write_predicate(Field::d, operand(0).one());
  }
  read_predicate(Field::a, operand(1).one(), kNegA);
  op.imm = word_entry(2);
}

void Decoder::decode_match() {
  Modifiers& mods = instruction_.mods;
  const bool all = mods.take("all");
  if ((!all && !mods.take("any")) || !mods.take("sync")) {
    fail("needs .any or .all, and .sync");
  }
  const Type type = mods.need_type();
  if (type != Type::b32 && type != Type::b64) {
    fail("needs .b32 or .b64");
  }
  expect_operands(3);
  Op& op = emit(Code::match, type);
  op.sub = all ? 1 : 0;
  if (!all && operand(0).pair.kind != Scalar::Kind::none) {
    fail("gives a predicate with .all only");
  }
  write(Field::d, operand(0).one(), Type::u32);
  if (all) {
    write_predicate(Field::d2, operand(0).pair);
  }
  read(Field::a, operand(1).one(), type);
  op.imm = word_entry(2);
}

void Decoder::decode_redux() {
  Modifiers& mods = instruction_.mods;
  if (!mods.take("sync")) {
    fail("needs .sync");
  }
  static constexpr std::array<std::string_view, 6> kKinds{"add", "min", "max", "and", "or", "xor"};
  const int kind = mods.take_any(kKinds);
  const bool absolute = mods.take("abs");
  const bool nan = mods.take("NaN");
  const Type type = mods.need_type();
  const bool logic = kind >= 3;
  const bool fits =
      logic ? type == Type::b32
            : type == Type::u32 || type == Type::s32 || (type == Type::f32 && (kind == 1 || kind == 2));
  if (kind < 0 || !fits || ((absolute || nan) && type != Type::f32)) {
    fail("operation and type do not go together");
  }
  expect_operands(3);
  Op& op = emit(Code::redux, type);
  op.sub = static_cast<std::uint8_t>(kind);
  op.flags = (absolute ? kXorSign : 0U) | (nan ? kNan : 0U);
  const Type held = logic ? Type::u32 : type;
  write(Field::d, operand(0).one(), held);
  read(Field::a, operand(1).one(), held);
  op.imm = word_entry(2);
}

void Decoder::decode_activemask() {
  if (instruction_.mods.need_type() != Type::b32) {
    fail("needs .b32");
  }
  expect_operands(1);
  emit(Code::activemask, Type::u32);
  write(Field::d, operand(0).one(), Type::b32);
}

void Decoder::decode_elect() {
  if (!instruction_.mods.take("sync")) {
    fail("needs .sync");
  }
  expect_operands(2);
  if (operand(0).pair.kind != Scalar::Kind::reg) {
    fail("needs a predicate as in d|p");
  }
  Op& op = emit(Code::elect, Type::u32);
  write(Field::d, operand(0).one(), Type::u32);
  write_predicate(Field::d2, operand(0).pair);
  op.imm = word_entry(1);
}

}  // namespace kerncast::simulator
