#include <fmt/format.h>

#include <limits>
#include "runtime/simulator/machine/tensor_map.hpp"
#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

// Asynchronous copies and the barriers they report to. The virtual GPU does a copy at once, which is one of
// the times the ISA allows, so there is never a group to wait for.
namespace kerncast::simulator {

namespace {

struct MbarrierName {
  std::string_view name;
  MbarrierOp plain;
  MbarrierOp expect_tx;
  MbarrierOp no_complete;
};

constexpr std::array<MbarrierName, 2> arrivals{{
    {"arrive", MbarrierOp::arrive, MbarrierOp::arrive_expect_tx, MbarrierOp::arrive_no_complete},
    {"arrive_drop", MbarrierOp::arrive_drop, MbarrierOp::arrive_drop_expect_tx,
     MbarrierOp::arrive_drop_no_complete},
}};

void expect_group(DecodeContext& c) {
  c.expect_operands(1);
  if (c.operand(0).kind != Operand::Kind::scalar || c.operand(0).one().kind != Scalar::Kind::number) {
    c.fail("needs a constant number of groups");
  }
  c.check_constant(0, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
}

void decode_cp_async(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (mods.take("commit_group") || mods.take("wait_all")) {
    c.expect_operands(0);
    return;
  }
  if (mods.take("wait_group")) {
    expect_group(c);
    return;
  }
  const bool all = mods.take("ca");
  if ((!all && !mods.take("cg")) || (!mods.take("shared") && !mods.take("shared::cta")) ||
      !mods.take("global")) {
    c.fail("needs .ca or .cg and .shared.global");
  }
  static constexpr std::array<std::string_view, 3> prefetch_sizes{"L2::64B", "L2::128B", "L2::256B"};
  const bool has_policy = mods.take("L2::cache_hint");
  mods.take_any(prefetch_sizes);
  c.expect_operands(has_policy ? 4 : 3, has_policy ? 5 : 4);
  if (has_policy) {
    c.check_policy(c.count() - 1);
  }
  const Scalar& size = c.operand(2).one();
  if (size.kind != Scalar::Kind::number ||
      (size.bits != 16 && (!all || (size.bits != 4 && size.bits != 8)))) {
    c.fail("copies 4, 8 or 16 bytes with .ca and 16 bytes with .cg");
  }
  const std::int64_t offset = c.operand(1).offset;
  if (offset > std::numeric_limits<std::int32_t>::max() ||
      offset < std::numeric_limits<std::int32_t>::min()) {
    c.fail("source offset over 31 bits");
  }
  // The fourth operand is the number of bytes to read, or a predicate that says to read none; the rest is
  // zeros.
  Scalar real;
  if (c.count() > (has_policy ? 4U : 3U)) {
    real = c.operand(3).one();
    c.check_constant(3, 0, 16);
    if (real.kind == Scalar::Kind::reg && real.bytes == 0) {
      c.need({80, 75}, "with a predicate");
      const std::uint32_t bytes = c.new_register(4);
      Op& op = c.emit_unguarded(Code::selp, Type::b32);
      op.a = c.constant(0, 4);
      op.b = c.constant(size.bits, 4);
      c.reference(Field::d, bytes, true);
      c.read_predicate(Field::c, real, flag::neg_c);
      real.reg = bytes;
      real.bytes = 4;
      real.type = Type::none;
      real.negated = false;
    }
  }
  Op& op = c.emit(Code::cp_async, Type::b8);
  op.count = static_cast<std::uint8_t>(size.bits);
  c.address(c.operand(0), Space::shared, size.bits);
  op.d2 = static_cast<std::uint32_t>(static_cast<std::int32_t>(offset));
  const Operand& source = c.operand(1);
  if (source.kind != Operand::Kind::address || source.one().kind == Scalar::Kind::number) {
    c.fail("the source must be a global address");
  }
  if (source.one().kind == Scalar::Kind::variable) {
    c.check_space(source.one(), Space::global);
    op.b = c.constant(source.one().variable->address + source.one().bits, 8);
  } else {
    c.read_register(Field::b, source.one(), Type::u64);
  }
  if (real.kind != Scalar::Kind::none) {
    op.flags |= flag::copy_sized;
    c.read(Field::c, real, Type::u32);
  }
}

void decode_cp_async_arrive(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (!mods.take("arrive")) {
    c.fail("needs .arrive");
  }
  const bool no_inc = mods.take("noinc");
  if (mods.take("shared::cluster")) {
    c.fail("needs the block's own shared memory");
  }
  const Space space = take_space(c);
  if (mods.need_type() != Type::b64 || (space != Space::shared && space != Space::generic)) {
    c.fail("needs .b64 and shared memory");
  }
  c.expect_operands(1);
  Op& op = c.emit(Code::mbarrier, Type::b64);
  op.count = static_cast<std::uint8_t>(no_inc ? MbarrierOp::copies_arrive_no_inc : MbarrierOp::copies_arrive);
  op.flags = flag::strong;
  c.address(c.operand(0), space, 8);
}

Scalar address_value(DecodeContext& c, const Operand& operand, Space space) {
  if (operand.kind != Operand::Kind::address) {
    c.fail("needs an address operand in brackets");
  }
  Scalar value = operand.one();
  const auto offset = static_cast<std::uint64_t>(operand.offset);
  if (value.kind == Scalar::Kind::variable) {
    const Variable& variable = *value.variable;
    c.check_space(value, space);
    if (variable.frame_relative) {
      c.fail(fmt::format("'{}' is not in memory that can be copied", value.text));
    }
    value.bits += variable.address + offset;
    if (space == Space::generic && variable.space == Space::shared) {
      value.bits |= shared_window;
    }
    value.kind = Scalar::Kind::number;
    return value;
  }
  if (value.kind != Scalar::Kind::reg || (value.bytes != 4 && value.bytes != 8)) {
    c.fail(fmt::format("'{}' is not an address", value.text));
  }
  c.check_address_type(value);
  if (value.bytes == 4) {
    const std::uint32_t wide = c.new_register(8);
    Op& op = c.emit_unguarded(Code::cvt, Type::u64);
    op.source = Type::u32;
    op.width = 4;
    op.count = 8;
    c.reference(Field::d, wide, true);
    c.reference(Field::a, value.reg, false);
    value.reg = wide;
    value.bytes = 8;
    value.type = Type::none;
  }
  if (offset != 0) {
    const std::uint32_t sum = c.new_register(8);
    Op& op = c.emit_unguarded(Code::add, Type::u64);
    op.b = c.constant(offset, 8);
    c.reference(Field::d, sum, true);
    c.reference(Field::a, value.reg, false);
    value.reg = sum;
  }
  return value;
}

/// Takes the number of dimensions and checks the coordinates of the tensor at operand `at`.
unsigned take_tensor(DecodeContext& c, std::size_t at) {
  static constexpr std::array<std::string_view, most_tensor_dimensions> names{"1d", "2d", "3d", "4d", "5d"};
  const int index = c.mods().take_any(names);
  if (index < 0) {
    c.fail("needs a number of dimensions, .1d to .5d");
  }
  const Operand& tensor = c.operand(at);
  const auto dimensions = static_cast<unsigned>(index) + 1;
  if (tensor.kind != Operand::Kind::address || tensor.count != dimensions + 1) {
    c.fail(fmt::format("operand {} must be a tensor map and {} coordinates", at + 1, dimensions));
  }
  for (std::size_t i = 1; i <= dimensions; ++i) {
    const Scalar& given = tensor.parts[i];
    if (given.kind == Scalar::Kind::reg ? given.bytes != 4
                                        : given.kind != Scalar::Kind::number || given.float_bytes != 0) {
      c.fail(fmt::format("coordinate {} must be an integer of 32 bits", i));
    }
    c.check_type(given, Type::s32);
  }
  return dimensions;
}

void decode_tensor_copy(DecodeContext& c) {
  Modifiers& mods = c.mods();
  mods.take("tensor");
  if (mods.take("prefetch")) {
    take_tensor(c, 0);
    if (!mods.take("L2") || !mods.take("global")) {
      c.fail("needs .L2.global");
    }
    mods.take("tile");
    const bool hinted = mods.take("L2::cache_hint");
    c.expect_operands(hinted ? 2 : 1);
    if (hinted) {
      c.check_policy(1);
    }
    return;
  }
  const bool stores = mods.take("bulk_group");
  const unsigned dimensions = take_tensor(c, stores ? 0 : 1);
  mods.take("tile");
  const bool reports = mods.take("mbarrier::complete_tx::bytes");
  const bool multicasts = mods.take("multicast::cluster");
  const bool hinted = mods.take("L2::cache_hint");
  const std::string_view target = mods.take_next();
  const std::string_view source = mods.take_next();
  const bool to_cluster = target == "shared::cluster";
  if (stores ? target != "global" || source != "shared::cta" || reports || multicasts
             : (!to_cluster && target != "shared::cta") || source != "global" || !reports ||
                   (multicasts && !to_cluster)) {
    c.fail(
        "copies from .global to .shared::cluster or .shared::cta with .mbarrier::complete_tx::bytes, or from "
        ".shared::cta to .global with .bulk_group");
  }
  const std::size_t fixed = stores ? 2 : 3;
  c.expect_operands(fixed + (multicasts ? 1 : 0) + (hinted ? 1 : 0));
  if (hinted) {
    c.check_policy(c.count() - 1);
  }
  const Operand& tensor = c.operand(stores ? 0 : 1);
  const Scalar map = address_value(c, tensor, Space::generic);
  const Scalar shared = address_value(c, c.operand(stores ? 1 : 0), Space::shared);
  const Scalar barrier = stores ? Scalar{} : address_value(c, c.operand(2), Space::shared);
  Op& op = c.emit(Code::cp_tensor, Type::b8);
  op.count = static_cast<std::uint8_t>(dimensions);
  op.width = stores ? 0 : 1;
  op.flags = multicasts ? flag::multicast : 0U;
  op.d2 = static_cast<std::uint32_t>(c.program.lists.size());
  c.read_register(Field::a, shared, Type::u64);
  c.read_register(Field::b, map, Type::u64);
  for (std::size_t i = 1; i <= dimensions; ++i) {
    c.list_entry(tensor.parts[i], 4, false);
  }
  if (!stores) {
    c.list_entry(barrier, 8, false);
  }
  if (multicasts) {
    c.check_type(c.operand(3).one(), Type::u16);
    c.list_entry(c.operand(3).one(), 2, false);
  }
}

void decode_bulk_copy(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (mods.take("commit_group")) {
    c.expect_operands(0);
    return;
  }
  if (mods.take("wait_group")) {
    mods.take("read");
    expect_group(c);
    return;
  }
  if (mods.has("tensor")) {
    decode_tensor_copy(c);
    return;
  }
  if (mods.take("prefetch")) {
    if (!mods.take("L2") || !mods.take("global")) {
      c.unsupported("this prefetch");
    }
    const bool hinted = mods.take("L2::cache_hint");
    c.expect_operands(hinted ? 3 : 2);
    c.expect_address(0);
    if (hinted) {
      c.check_policy(2);
    }
    c.check_constant(1, 0, std::numeric_limits<std::int32_t>::max(), 16);
    return;
  }
  const std::string_view target_name = mods.take_next();
  const std::string_view source_name = mods.take_next();
  const bool from_global = source_name == "global";
  const bool to_shared = target_name == "shared::cluster" || (target_name == "shared::cta" && from_global);
  const bool between = target_name == "shared::cluster" && source_name == "shared::cta";
  if (to_shared ? !from_global && !between : target_name != "global" || source_name != "shared::cta") {
    c.fail("copies from global to shared memory, or from .shared::cta to .global or .shared::cluster");
  }
  const bool reports = mods.take("mbarrier::complete_tx::bytes");
  const bool multicasts = target_name == "shared::cluster" && from_global && mods.take("multicast::cluster");
  const bool has_policy = !between && mods.take("L2::cache_hint");
  if (reports != to_shared || (!reports && !mods.take("bulk_group"))) {
    c.fail("needs .mbarrier::complete_tx::bytes to shared memory and .bulk_group from it");
  }
  c.expect_operands((reports ? 4 : 3) + (multicasts ? 1 : 0) + (has_policy ? 1 : 0));
  if (has_policy) {
    c.check_policy(c.count() - 1);
  }
  c.check_constant(2, 0, std::numeric_limits<std::int32_t>::max(), 16);
  const Space target = to_shared ? Space::shared : Space::global;
  const Space source = from_global ? Space::global : Space::shared;
  const Scalar to = address_value(c, c.operand(0), target);
  const Scalar from = address_value(c, c.operand(1), source);
  const Scalar barrier = reports ? address_value(c, c.operand(3), Space::shared) : Scalar{};
  Op& op = c.emit(Code::cp_bulk, Type::b8);
  op.sub = static_cast<std::uint8_t>(target);
  op.width = static_cast<std::uint8_t>(source);
  op.count = reports ? 1 : 0;
  op.flags = multicasts ? flag::multicast : 0U;
  c.read_register(Field::a, to, Type::u64);
  c.read_register(Field::b, from, Type::u64);
  c.read(Field::c, c.operand(2).one(), Type::u32);
  if (reports) {
    op.d2 = c.list_entry(barrier, 8, false);
  }
  if (multicasts) {
    c.check_type(c.operand(4).one(), Type::u16);
    c.list_entry(c.operand(4).one(), 2, false);
  }
}

}  // namespace

void decode_copy(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (!mods.take("async")) {
    c.unsupported("this copy");
  }
  if (mods.take("bulk")) {
    decode_bulk_copy(c);
  } else if (mods.take("mbarrier")) {
    decode_cp_async_arrive(c);
  } else {
    decode_cp_async(c);
  }
}

namespace {

/// Takes order, scope, state space and type, and returns the space. One host thread runs a whole block, so
/// every order and scope holds by itself. `order` is the one that the operation takes beside .relaxed; if it
/// is empty, the operation takes neither. `others` says that the barrier may belong to another block of the
/// cluster.
Space take_barrier_space(DecodeContext& c, std::string_view order, bool others) {
  Modifiers& mods = c.mods();
  const bool ordered = !order.empty() && (mods.take("relaxed") || mods.take(order));
  const bool scoped = ordered && (mods.take("cta") || mods.take("cluster"));
  if (ordered != scoped) {
    c.fail("an order needs .cta or .cluster");
  }
  if (!others && mods.take("shared::cluster")) {
    c.fail("needs the block's own shared memory");
  }
  const Space space = take_space(c);
  if (mods.need_type() != Type::b64 || (space != Space::shared && space != Space::generic)) {
    c.fail("needs .b64 and shared memory");
  }
  return space;
}

/// Emits the op for the barrier at address operand `at`.
Op& emit_mbarrier(DecodeContext& c, MbarrierOp what, Space space, std::size_t at) {
  Op& op = c.emit(Code::mbarrier, Type::b64);
  op.count = static_cast<std::uint8_t>(what);
  op.flags = flag::strong;
  c.address(c.operand(at), space, 8);
  return op;
}

void decode_arrival(DecodeContext& c, const MbarrierName& arrival) {
  Modifiers& mods = c.mods();
  const MbarrierOp what = mods.take("expect_tx")    ? arrival.expect_tx
                          : mods.take("noComplete") ? arrival.no_complete
                                                    : arrival.plain;
  const bool completes = what != arrival.no_complete;
  const bool elsewhere = mods.opcode().find(".shared::cluster") != std::string_view::npos;
  if (!completes && (mods.take("relaxed") || mods.take("cluster"))) {
    c.fail("takes no order but .release.cta");
  }
  const Space space = take_barrier_space(c, "release", completes);
  c.expect_operands(what == arrival.plain ? 2 : 3, 3);
  const bool drops_state = c.operand(0).one().kind == Scalar::Kind::sink;
  if (elsewhere && !drops_state) {
    c.fail("gives no state of a barrier elsewhere in the cluster");
  }
  const bool counted = c.count() == 3;
  if (counted && what != arrival.expect_tx) {
    c.check_constant(2, 1, std::numeric_limits<std::uint32_t>::max());
  }
  if (arrival.name == "arrive" && drops_state) {
    c.need({80, 71}, "without a destination");
  }
  if (counted && completes) {
    c.need({90, 78}, "with a count");
  }
  Op& op = emit_mbarrier(c, what, space, 1);
  c.write(Field::d, c.operand(0).one(), Type::u64);
  if (counted) {
    c.read(Field::b, c.operand(2).one(), Type::u32);
  } else {
    op.b = c.constant(1, 4);
  }
}

void decode_pending_count(DecodeContext& c) {
  if (c.mods().need_type() != Type::b64) {
    c.fail("needs .b64");
  }
  c.expect_operands(2);
  if (c.operand(0).one().kind != Scalar::Kind::reg || c.operand(1).kind != Operand::Kind::scalar) {
    c.fail("needs a register and a state");
  }
  Op& op = c.emit(Code::mbarrier, Type::b64);
  op.count = static_cast<std::uint8_t>(MbarrierOp::pending_count);
  c.write(Field::d, c.operand(0).one(), Type::u32);
  c.read(Field::a, c.operand(1).one(), Type::u64);
}

void decode_barrier_wait(DecodeContext& c, bool tries) {
  const bool parity = c.mods().take("parity");
  const Space space = take_barrier_space(c, "acquire", false);
  c.expect_operands(3, tries ? 4 : 3);
  if (parity) {
    c.check_constant(2, 0, 1);
  }
  if (c.operand(0).one().kind != Scalar::Kind::reg) {
    c.fail("needs a predicate");
  }
  emit_mbarrier(c,
                tries ? (parity ? MbarrierOp::try_wait_parity : MbarrierOp::try_wait)
                      : (parity ? MbarrierOp::test_wait_parity : MbarrierOp::test_wait),
                space, 1);
  c.write_predicate(Field::d, c.operand(0).one());
  c.read(Field::b, c.operand(2).one(), parity ? Type::u32 : Type::u64);
}

}  // namespace

void decode_mbarrier(DecodeContext& c) {
  Modifiers& mods = c.mods();
  for (const MbarrierName& arrival : arrivals) {
    if (mods.take(arrival.name)) {
      decode_arrival(c, arrival);
      return;
    }
  }
  if (mods.take("pending_count")) {
    decode_pending_count(c);
    return;
  }
  const bool tries = mods.take("try_wait");
  if (tries || mods.take("test_wait")) {
    decode_barrier_wait(c, tries);
    return;
  }
  // In the order of MbarrierOp.
  static constexpr std::array<std::string_view, 4> plain_operations{"init", "inval", "expect_tx",
                                                                    "complete_tx"};
  const int index = mods.take_any(plain_operations);
  if (index < 0) {
    c.unsupported("this mbarrier operation");
  }
  const auto what = static_cast<MbarrierOp>(index);
  const bool counts = what == MbarrierOp::expect_tx || what == MbarrierOp::complete_tx;
  const Space space = take_barrier_space(c, counts ? "relaxed" : "", counts);
  c.expect_operands(what == MbarrierOp::inval ? 1 : 2);
  Op& op = emit_mbarrier(c, what, space, 0);
  if (what == MbarrierOp::inval) {
    op.b = c.constant(0, 4);
  } else {
    c.read(Field::b, c.operand(1).one(), Type::u32);
  }
}

}  // namespace kerncast::simulator
