#include <fmt/format.h>

#include <limits>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

void decode_branch(DecodeContext& c) {
  c.mods().take("uni");
  c.expect_operands(1);
  const Scalar& target = c.operand(0).one();
  if (c.operand(0).kind != Operand::Kind::scalar || target.text.empty() ||
      target.kind == Scalar::Kind::number) {
    c.fail("needs a label");
  }
  c.emit(Code::bra, Type::none);
  c.labels.refer(target.text, static_cast<std::uint32_t>(c.body.ops.size() - 1), c.line());
}

void decode_branch_table(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (!mods.take("idx")) {
    c.fail("needs .idx");
  }
  mods.take("uni");
  c.expect_operands(2);
  c.emit(Code::brx, Type::none);
  c.read(Field::a, c.operand(0).one(), Type::u32);
  c.labels.refer(c.operand(1).one().text, static_cast<std::uint32_t>(c.body.ops.size() - 1), c.line());
}

void decode_exit(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (mods.base() == "ret") {
    mods.take("uni");
  }
  c.expect_operands(0);
  c.emit(mods.base() == "exit" || c.function.entry ? Code::exit : Code::ret, Type::none);
}

void decode_trap(DecodeContext& c) {
  c.expect_operands(0);
  c.emit(Code::trap, Type::none);
}

namespace {

void check_barrier(DecodeContext& c, std::size_t first, bool counted, bool arrives) {
  c.check_constant(first, 0, 15);
  if (counted) {
    c.check_constant(first + 1, arrives ? lane_count : 0, std::numeric_limits<std::uint32_t>::max(),
                     lane_count);
  }
}

}  // namespace

namespace {

/// The type of the address that an instruction takes: a shared one, or a generic one of 64 bits.
Type take_cluster_address(DecodeContext& c) {
  Modifiers& mods = c.mods();
  mods.take("shared::cluster");
  const Type type = mods.need_type();
  if (type != Type::u32 && type != Type::u64) {
    c.fail("needs .u32 or .u64");
  }
  return type;
}

void decode_cluster_barrier(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const bool arrives = mods.take("arrive");
  if (!arrives && !mods.take("wait")) {
    c.fail("needs .arrive or .wait");
  }
  if (arrives) {
    static constexpr std::array<std::string_view, 2> orders{"release", "relaxed"};
    mods.take_any(orders);
  } else {
    mods.take("acquire");
  }
  c.expect_operands(0);
  Op& op = c.emit(arrives ? Code::cluster_arrive : Code::cluster_wait, Type::none);
  op.flags = mods.take("aligned") ? flag::aligned : 0U;
}

}  // namespace

void decode_map_address(DecodeContext& c) {
  const Type type = take_cluster_address(c);
  c.expect_operands(3);
  c.check_word(2);
  c.emit(Code::mapa, type);
  c.write(Field::d, c.operand(0).one(), type);
  c.read_register(Field::a, c.operand(1).one(), type);
  c.read(Field::b, c.operand(2).one(), Type::u32);
}

void decode_cluster_rank(DecodeContext& c) {
  const bool shared = c.mods().has("shared::cluster");
  // The type is that of the result with a state space, and of the address without.
  const Type type = take_cluster_address(c);
  if (!shared && type != Type::u64) {
    c.fail("needs .u64 for a generic address");
  }
  c.expect_operands(2);
  c.emit(Code::cta_rank, type);
  c.write(Field::d, c.operand(0).one(), Type::u32);
  c.read_register(Field::a, c.operand(1).one(), type);
}

void decode_barrier(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const bool short_name = mods.base() == "bar";
  if (!short_name && mods.take("cluster")) {
    decode_cluster_barrier(c);
    return;
  }
  if (short_name && mods.take("warp")) {
    if (!mods.take("sync")) {
      c.fail("needs .sync");
    }
    c.expect_operands(1);
    c.emit(Code::warp_sync, Type::u32);
    c.read(Field::a, c.operand(0).one(), Type::u32);
    return;
  }
  mods.take("cta");
  // bar is barrier.aligned.
  const std::uint32_t aligned = short_name || mods.take("aligned") ? flag::aligned : 0U;
  if (mods.take("sync") || mods.take("arrive")) {
    const bool arrive = c.mods().opcode().find(".arrive") != std::string_view::npos;
    c.expect_operands(arrive ? 2 : 1, 2);
    check_barrier(c, 0, c.count() == 2, arrive);
    Op& op = c.emit(arrive ? Code::barrier_arrive : Code::barrier_sync, Type::u32);
    op.count = c.count() == 2 ? 1 : 0;
    op.flags |= aligned;
    c.read(Field::a, c.operand(0).one(), Type::u32);
    if (op.count != 0) {
      c.read(Field::b, c.operand(1).one(), Type::u32);
    }
    return;
  }
  if (!mods.take("red")) {
    c.fail("needs .sync, .arrive or .red");
  }
  static constexpr std::array<std::string_view, 3> kinds{"popc", "and", "or"};
  const int kind = mods.take_any(kinds);
  const Type type = mods.need_type();
  if (kind < 0 || type != (kind == 0 ? Type::u32 : Type::pred)) {
    c.fail("needs .popc.u32, .and.pred or .or.pred");
  }
  c.expect_operands(3, 4);
  check_barrier(c, 1, c.count() == 4, false);
  Op& op = c.emit(Code::barrier_red, type);
  op.sub = static_cast<std::uint8_t>(kind);
  op.count = c.count() == 4 ? 1 : 0;
  op.flags |= aligned;
  if (kind == 0) {
    c.write(Field::d, c.operand(0).one(), Type::u32);
  } else {
    c.write_predicate(Field::d, c.operand(0).one());
  }
  c.read(Field::a, c.operand(1).one(), Type::u32);
  if (op.count != 0) {
    c.read(Field::b, c.operand(2).one(), Type::u32);
  }
  c.read_predicate(Field::c, c.operand(c.count() - 1).one(), flag::neg_c);
}

void decode_shuffle(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (!mods.take("sync")) {
    c.unsupported("shuffles without .sync");
  }
  static constexpr std::array<std::string_view, 4> modes{"up", "down", "bfly", "idx"};
  const int mode = mods.take_any(modes);
  if (mode < 0 || mods.need_type() != Type::b32) {
    c.fail("needs .up, .down, .bfly or .idx, and .b32");
  }
  c.expect_operands(5);
  Op& op = c.emit(Code::shfl, Type::u32);
  op.sub = static_cast<std::uint8_t>(mode);
  c.write(Field::d, c.operand(0).one(), Type::b32);
  c.write_predicate(Field::d2, c.operand(0).pair);
  c.read_all(Type::b32, 1, 3);
  op.imm = c.word_entry(4);
}

void decode_vote(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (!mods.take("sync")) {
    c.unsupported("votes without .sync");
  }
  static constexpr std::array<std::string_view, 4> modes{"all", "any", "uni", "ballot"};
  const int mode = mods.take_any(modes);
  const Type type = mods.need_type();
  if (mode < 0 || type != (mode == 3 ? Type::b32 : Type::pred)) {
    c.fail("needs .all, .any or .uni with .pred, or .ballot with .b32");
  }
  c.expect_operands(3);
  Op& op = c.emit(Code::vote, type);
  op.sub = static_cast<std::uint8_t>(mode);
  if (mode == 3) {
    c.write(Field::d, c.operand(0).one(), Type::b32);
  } else {
    c.write_predicate(Field::d, c.operand(0).one());
  }
  c.read_predicate(Field::a, c.operand(1).one(), flag::neg_a);
  op.imm = c.word_entry(2);
}

void decode_match(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const bool all = mods.take("all");
  if ((!all && !mods.take("any")) || !mods.take("sync")) {
    c.fail("needs .any or .all, and .sync");
  }
  const Type type = mods.need_type();
  if (type != Type::b32 && type != Type::b64) {
    c.fail("needs .b32 or .b64");
  }
  c.expect_operands(3);
  Op& op = c.emit(Code::match, type);
  op.sub = all ? 1 : 0;
  if (!all && c.operand(0).pair.kind != Scalar::Kind::none) {
    c.fail("gives a predicate with .all only");
  }
  c.write(Field::d, c.operand(0).one(), Type::u32);
  if (all) {
    c.write_predicate(Field::d2, c.operand(0).pair);
  }
  c.read(Field::a, c.operand(1).one(), type);
  op.imm = c.word_entry(2);
}

void decode_redux(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (!mods.take("sync")) {
    c.fail("needs .sync");
  }
  static constexpr std::array<std::string_view, 6> kinds{"add", "min", "max", "and", "or", "xor"};
  const int kind = mods.take_any(kinds);
  const bool absolute = mods.take("abs");
  const bool nan = mods.take("NaN");
  const Type type = mods.need_type();
  const bool logic = kind >= 3;
  const bool fits =
      logic ? type == Type::b32
            : type == Type::u32 || type == Type::s32 || (type == Type::f32 && (kind == 1 || kind == 2));
  if (kind < 0 || !fits || ((absolute || nan) && type != Type::f32)) {
    c.fail("operation and type do not go together");
  }
  c.expect_operands(3);
  Op& op = c.emit(Code::redux, type);
  op.sub = static_cast<std::uint8_t>(kind);
  op.flags = (absolute ? flag::xor_sign : 0U) | (nan ? flag::nan : 0U);
  const Type held = logic ? Type::u32 : type;
  c.write(Field::d, c.operand(0).one(), held);
  c.read(Field::a, c.operand(1).one(), held);
  op.imm = c.word_entry(2);
}

void decode_activemask(DecodeContext& c) {
  if (c.mods().need_type() != Type::b32) {
    c.fail("needs .b32");
  }
  c.expect_operands(1);
  c.emit(Code::activemask, Type::u32);
  c.write(Field::d, c.operand(0).one(), Type::b32);
}

void decode_elect(DecodeContext& c) {
  if (!c.mods().take("sync")) {
    c.fail("needs .sync");
  }
  c.expect_operands(2);
  if (c.operand(0).pair.kind != Scalar::Kind::reg) {
    c.fail("needs a predicate as in d|p");
  }
  Op& op = c.emit(Code::elect, Type::u32);
  c.write(Field::d, c.operand(0).one(), Type::u32);
  c.write_predicate(Field::d2, c.operand(0).pair);
  op.imm = c.word_entry(1);
}

}  // namespace kerncast::simulator
