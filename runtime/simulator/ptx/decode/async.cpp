#include <fmt/format.h>

#include <limits>
#include <utility>

#include "runtime/simulator/ptx/decoder.hpp"

// Asynchronous copies and the barriers they report to. The virtual GPU does a copy at once, which is one of
// the times the ISA allows, so there is never a group to wait for.
namespace kerncast::simulator {

Scalar Decoder::address_value(const Operand& operand, Space space) {
  if (operand.kind != Operand::Kind::address) {
    fail("needs an address operand in brackets");
  }
  Scalar value = operand.one();
  const auto offset = static_cast<std::uint64_t>(operand.offset);
  if (value.kind == Scalar::Kind::variable) {
    const Variable& variable = *value.variable;
    check_space(value, space);
    if (variable.frame_relative) {
      fail(fmt::format("'{}' is not in memory that can be copied", value.text));
    }
    value.bits += variable.address + offset;
    if (space == Space::generic && variable.space == Space::shared) {
      value.bits |= kSharedWindow;
    }
    value.kind = Scalar::Kind::number;
    return value;
  }
  if (value.kind != Scalar::Kind::reg || (value.bytes != 4 && value.bytes != 8)) {
    fail(fmt::format("'{}' is not an address", value.text));
  }
  check_address_type(value);
  const bool guarded = std::exchange(instruction_.guarded, false);
  if (value.bytes == 4) {
    const std::uint32_t wide = new_register(8);
    Op& op = emit(Code::cvt, Type::u64);
    op.source = Type::u32;
    op.width = 4;
    op.count = 8;
    reference(Field::d, wide, true);
    reference(Field::a, value.reg, false);
    value.reg = wide;
    value.bytes = 8;
    value.type = Type::none;
  }
  if (offset != 0) {
    const std::uint32_t sum = new_register(8);
    Op& op = emit(Code::add, Type::u64);
    op.b = constant(offset, 8);
    reference(Field::d, sum, true);
    reference(Field::a, value.reg, false);
    value.reg = sum;
  }
  instruction_.guarded = guarded;
  return value;
}

void Decoder::decode_copy() {
  Modifiers& mods = instruction_.mods;
  if (mods.take("reduce") || !mods.take("async")) {
    unsupported("this copy");
  }
  if (mods.take("bulk")) {
    decode_bulk_copy();
  } else if (mods.take("mbarrier")) {
    decode_cp_async_arrive();
  } else {
    decode_cp_async();
  }
}

void Decoder::expect_group() {
  expect_operands(1);
  if (operand(0).kind != Operand::Kind::scalar || operand(0).one().kind != Scalar::Kind::number) {
    fail("needs a constant number of groups");
  }
  check_constant(0, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
}

void Decoder::decode_cp_async() {
  Modifiers& mods = instruction_.mods;
  if (mods.take("commit_group") || mods.take("wait_all")) {
    expect_operands(0);
    return;
  }
  if (mods.take("wait_group")) {
    expect_group();
    return;
  }
  const bool all = mods.take("ca");
  if ((!all && !mods.take("cg")) || (!mods.take("shared") && !mods.take("shared::cta")) ||
      !mods.take("global")) {
    fail("needs .ca or .cg and .shared.global");
  }
  static constexpr std::array<std::string_view, 3> kPrefetchSizes{"L2::64B", "L2::128B", "L2::256B"};
  const bool has_policy = mods.take("L2::cache_hint");
  mods.take_any(kPrefetchSizes);
  expect_operands(has_policy ? 4 : 3, has_policy ? 5 : 4);
  if (has_policy) {
    check_policy(instruction_.count - 1);
  }
  const Scalar& size = operand(2).one();
  if (size.kind != Scalar::Kind::number ||
      (size.bits != 16 && (!all || (size.bits != 4 && size.bits != 8)))) {
    fail("copies 4, 8 or 16 bytes with .ca and 16 bytes with .cg");
  }
  const std::int64_t offset = operand(1).offset;
  if (offset > std::numeric_limits<std::int32_t>::max() ||
      offset < std::numeric_limits<std::int32_t>::min()) {
    fail("source offset over 31 bits");
  }
  // The fourth operand is the number of bytes to read, or a predicate that says to read none; the rest is
  // zeros.
  Scalar real;
  if (instruction_.count > (has_policy ? 4U : 3U)) {
    real = operand(3).one();
    check_constant(3, 0, 16);
    if (real.kind == Scalar::Kind::reg && real.bytes == 0) {
      need({80, 75}, "with a predicate");
      const std::uint32_t bytes = new_register(4);
      const bool guarded = std::exchange(instruction_.guarded, false);
      Op& op = emit(Code::selp, Type::b32);
      instruction_.guarded = guarded;
      op.a = constant(0, 4);
      op.b = constant(size.bits, 4);
      reference(Field::d, bytes, true);
      read_predicate(Field::c, real, kNegC);
      real.reg = bytes;
      real.bytes = 4;
      real.type = Type::none;
      real.negated = false;
    }
  }
  Op& op = emit(Code::cp_async, Type::b8);
  op.count = static_cast<std::uint8_t>(size.bits);
  address(operand(0), Space::shared, size.bits);
  op.d2 = static_cast<std::uint32_t>(static_cast<std::int32_t>(offset));
  const Operand& source = operand(1);
  if (source.kind != Operand::Kind::address || source.one().kind == Scalar::Kind::number) {
    fail("the source must be a global address");
  }
  if (source.one().kind == Scalar::Kind::variable) {
    check_space(source.one(), Space::global);
    op.b = constant(source.one().variable->address + source.one().bits, 8);
  } else {
    read_register(Field::b, source.one(), Type::u64);
  }
  if (real.kind != Scalar::Kind::none) {
    op.flags |= kCopySized;
    read(Field::c, real, Type::u32);
  }
}

void Decoder::decode_cp_async_arrive() {
  Modifiers& mods = instruction_.mods;
  if (!mods.take("arrive")) {
    fail("needs .arrive");
  }
  const bool no_inc = mods.take("noinc");
  if (mods.take("shared::cluster")) {
    fail("needs the block's own shared memory");
  }
  const Space space = take_space();
  if (mods.need_type() != Type::b64 || (space != Space::shared && space != Space::generic)) {
    fail("needs .b64 and shared memory");
  }
  expect_operands(1);
  Op& op = emit(Code::mbarrier, Type::b64);
  op.count = static_cast<std::uint8_t>(no_inc ? MbarrierOp::copies_arrive_no_inc : MbarrierOp::copies_arrive);
  op.flags = kStrong;
  address(operand(0), space, 8);
}

void Decoder::decode_bulk_copy() {
  Modifiers& mods = instruction_.mods;
  if (mods.take("commit_group")) {
    expect_operands(0);
    return;
  }
  if (mods.take("wait_group")) {
    mods.take("read");
    expect_group();
    return;
  }
  if (mods.take("prefetch")) {
    if (mods.take("tensor") || !mods.take("L2") || !mods.take("global")) {
      unsupported("this prefetch");
    }
    const bool hinted = mods.take("L2::cache_hint");
    expect_operands(hinted ? 3 : 2);
    expect_address(0);
    if (hinted) {
      check_policy(2);
    }
    check_constant(1, 0, std::numeric_limits<std::int32_t>::max(), 16);
    return;
  }
  if (mods.take("tensor")) {
    unsupported("tensor maps");
  }
  if (mods.take_prefix("multicast")) {
    unsupported("clusters");
  }
  const std::string_view target_name = mods.take_next();
  const std::string_view source_name = mods.take_next();
  const bool from_global = source_name == "global";
  const bool to_shared = target_name == "shared::cluster" || (target_name == "shared::cta" && from_global);
  const bool between = target_name == "shared::cluster" && source_name == "shared::cta";
  if (to_shared ? !from_global && !between : target_name != "global" || source_name != "shared::cta") {
    fail("copies from global to shared memory, or from .shared::cta to .global or .shared::cluster");
  }
  const bool reports = mods.take("mbarrier::complete_tx::bytes");
  const bool has_policy = !between && mods.take("L2::cache_hint");
  if (reports != to_shared || (!reports && !mods.take("bulk_group"))) {
    fail("needs .mbarrier::complete_tx::bytes to shared memory and .bulk_group from it");
  }
  expect_operands((reports ? 4 : 3) + (has_policy ? 1 : 0));
  if (has_policy) {
    check_policy(instruction_.count - 1);
  }
  check_constant(2, 0, std::numeric_limits<std::int32_t>::max(), 16);
  const Space target = to_shared ? Space::shared : Space::global;
  const Space source = from_global ? Space::global : Space::shared;
  const Scalar to = address_value(operand(0), target);
  const Scalar from = address_value(operand(1), source);
  const Scalar barrier = reports ? address_value(operand(3), Space::shared) : Scalar{};
  Op& op = emit(Code::cp_bulk, Type::b8);
  op.sub = static_cast<std::uint8_t>(target);
  op.width = static_cast<std::uint8_t>(source);
  op.count = reports ? 1 : 0;
  read_register(Field::a, to, Type::u64);
  read_register(Field::b, from, Type::u64);
  read(Field::c, operand(2).one(), Type::u32);
  if (reports) {
    op.d2 = list_entry(barrier, 8, false);
  }
}

namespace {

struct MbarrierName {
  std::string_view name;
  MbarrierOp plain;
  MbarrierOp expect_tx;
  MbarrierOp no_complete;
};

constexpr std::array<MbarrierName, 2> kArrivals{{
    {"arrive", MbarrierOp::arrive, MbarrierOp::arrive_expect_tx, MbarrierOp::arrive_no_complete},
    {"arrive_drop", MbarrierOp::arrive_drop, MbarrierOp::arrive_drop_expect_tx,
     MbarrierOp::arrive_drop_no_complete},
}};

}  // namespace

void Decoder::decode_mbarrier() {
  Modifiers& mods = instruction_.mods;
  // One host thread runs a whole block, so every order and scope holds by itself. `order` is the one beside
  // .relaxed; none of both is taken where it is empty.
  const auto finish_modifiers = [&](std::string_view order, bool others) {
    const bool ordered = !order.empty() && (mods.take("relaxed") || mods.take(order));
    const bool scoped = ordered && (mods.take("cta") || mods.take("cluster"));
    if (ordered != scoped) {
      fail("an order needs .cta or .cluster");
    }
    if (!others && mods.take("shared::cluster")) {
      fail("needs the block's own shared memory");
    }
    const Space space = take_space();
    if (mods.need_type() != Type::b64 || (space != Space::shared && space != Space::generic)) {
      fail("needs .b64 and shared memory");
    }
    return space;
  };
  const auto begin = [&](MbarrierOp what, Space space, std::size_t at) -> Op& {
    Op& op = emit(Code::mbarrier, Type::b64);
    op.count = static_cast<std::uint8_t>(what);
    op.flags = kStrong;
    address(operand(at), space, 8);
    return op;
  };
  for (const MbarrierName& arrival : kArrivals) {
    if (!mods.take(arrival.name)) {
      continue;
    }
    const MbarrierOp what = mods.take("expect_tx")    ? arrival.expect_tx
                            : mods.take("noComplete") ? arrival.no_complete
                                                      : arrival.plain;
    const bool completes = what != arrival.no_complete;
    const bool elsewhere = mods.opcode().find(".shared::cluster") != std::string_view::npos;
    if (!completes && (mods.take("relaxed") || mods.take("cluster"))) {
      fail("takes no order but .release.cta");
    }
    const Space space = finish_modifiers("release", completes);
    expect_operands(what == arrival.plain ? 2 : 3, 3);
    if (elsewhere && operand(0).one().kind != Scalar::Kind::sink) {
      fail("gives no state of a barrier elsewhere in the cluster");
    }
    if (instruction_.count == 3 && what != arrival.expect_tx) {
      check_constant(2, 1, std::numeric_limits<std::uint32_t>::max());
    }
    if (arrival.name == "arrive" && operand(0).one().kind == Scalar::Kind::sink) {
      need({80, 71}, "without a destination");
    }
    if (instruction_.count == 3 && completes) {
      need({90, 78}, "with a count");
    }
    Op& op = begin(what, space, 1);
    write(Field::d, operand(0).one(), Type::u64);
    if (instruction_.count == 3) {
      read(Field::b, operand(2).one(), Type::u32);
    } else {
      op.b = constant(1, 4);
    }
    return;
  }
  if (mods.take("pending_count")) {
    if (mods.need_type() != Type::b64) {
      fail("needs .b64");
    }
    expect_operands(2);
    if (operand(0).one().kind != Scalar::Kind::reg || operand(1).kind != Operand::Kind::scalar) {
      fail("needs a register and a state");
    }
    Op& op = emit(Code::mbarrier, Type::b64);
    op.count = static_cast<std::uint8_t>(MbarrierOp::pending_count);
    write(Field::d, operand(0).one(), Type::u32);
    read(Field::a, operand(1).one(), Type::u64);
    return;
  }
  const bool tries = mods.take("try_wait");
  if (tries || mods.take("test_wait")) {
    const bool parity = mods.take("parity");
    const Space space = finish_modifiers("acquire", false);
    expect_operands(3, tries ? 4 : 3);
    if (parity) {
      check_constant(2, 0, 1);
    }
    if (operand(0).one().kind != Scalar::Kind::reg) {
      fail("needs a predicate");
    }
    begin(tries ? (parity ? MbarrierOp::try_wait_parity : MbarrierOp::try_wait)
                : (parity ? MbarrierOp::test_wait_parity : MbarrierOp::test_wait),
          space, 1);
    write_predicate(Field::d, operand(0).one());
    read(Field::b, operand(2).one(), parity ? Type::u32 : Type::u64);
    return;
  }
  static constexpr std::array<std::string_view, 4> kPlain{"init", "inval", "expect_tx", "complete_tx"};
  const int index = mods.take_any(kPlain);
  if (index < 0) {
    unsupported("this mbarrier operation");
  }
  const auto what = static_cast<MbarrierOp>(index);
  const bool counts = what == MbarrierOp::expect_tx || what == MbarrierOp::complete_tx;
  const Space space = finish_modifiers(counts ? "relaxed" : "", counts);
  expect_operands(what == MbarrierOp::inval ? 1 : 2);
  Op& op = begin(what, space, 0);
  if (what == MbarrierOp::inval) {
    op.b = constant(0, 4);
  } else {
    read(Field::b, operand(1).one(), Type::u32);
  }
}

}  // namespace kerncast::simulator
