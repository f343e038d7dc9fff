#include <fmt/format.h>

#include <array>
#include <bit>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

// Fences, what orders launches, and hints without an effect on results. What they say is checked as strictly
// as anything else.
namespace kerncast::simulator {

namespace {

/// Copies read the tensor map as it lies in memory when they are issued, so the fence has nothing to do.
void decode_tensor_map_fence(DecodeContext& c) {
  Modifiers& mods = c.mods();
  static constexpr std::array<std::string_view, 4> scopes{"cta", "cluster", "gpu", "sys"};
  const bool acquires = mods.take("acquire");
  if ((!acquires && !mods.take("release")) || mods.take_any(scopes) < 0) {
    c.fail("needs .acquire or .release, and a scope such as .gpu");
  }
  c.expect_operands(acquires ? 2 : 0);
  if (acquires) {
    c.expect_address(0);
    c.check_constant(1, 128, 128);
  }
}

}  // namespace

void decode_fence(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (!mods.has("tensormap::generic")) {
    c.expect_operands(0);
  }
  Op& op = c.emit(Code::fence, Type::none);
  const bool proxy = mods.take("proxy");
  if (mods.base() == "membar") {
    static constexpr std::array<std::string_view, 3> levels{"cta", "gl", "sys"};
    if (proxy ? !mods.take("alias") : mods.take_any(levels) < 0) {
      c.fail("needs .cta, .gl, .sys or .proxy.alias");
    }
    return;
  }
  if (proxy && mods.take("alias")) {
    return;
  }
  if (proxy && mods.take("async")) {
    // The op is told of fences for shared memory.
    static constexpr std::array<std::string_view, 3> spaces{"global", "shared::cta", "shared::cluster"};
    op.sub = mods.take_any(spaces) == 0 ? 0 : 1;
    return;
  }
  if (proxy && mods.take("tensormap::generic")) {
    decode_tensor_map_fence(c);
    return;
  }
  if (proxy && !mods.take("async::generic")) {
    c.unsupported("fences of this proxy");
  }
  static constexpr std::array<std::string_view, 4> orders{"acquire", "release", "sc", "acq_rel"};
  static constexpr std::array<std::string_view, 4> scopes{"cluster", "cta", "gpu", "sys"};
  const bool initialises = mods.take("mbarrier_init");
  const int order = mods.take_any(orders);
  const bool restricted = (order == 0 && mods.take("sync_restrict::shared::cluster")) ||
                          (order == 1 && mods.take("sync_restrict::shared::cta"));
  const int scope = mods.take_any(scopes);
  if (scope < 0 || (scope != 0 && (proxy || initialises || restricted))) {
    c.fail(scope < 0 ? "needs a scope such as .gpu" : "needs .cluster");
  }
  if (initialises ? proxy || restricted || order != 1 : proxy && !restricted) {
    c.fail(initialises ? "needs .release alone" : "needs .acquire or .release and what it is restricted to");
  }
}

void decode_prefetch(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(1);
  c.expect_address(0);
  if (mods.take("tensormap")) {
    static constexpr std::array<std::string_view, 2> spaces{"param", "const"};
    if (mods.base() != "prefetch") {
      c.fail("takes no tensor map");
    }
    mods.take_any(spaces);
    return;
  }
  const Space space = take_space(c);
  const bool near = mods.take("L1");
  if (mods.base() == "prefetchu") {
    if (!near || space != Space::generic) {
      c.fail("needs .L1 and no state space");
    }
    return;
  }
  static constexpr std::array<std::string_view, 2> priorities{"L2::evict_last", "L2::evict_normal"};
  const bool priority = !near && mods.take_any(priorities) >= 0;
  if (!near && !priority && !mods.take("L2")) {
    c.fail("needs .L1 or .L2");
  }
  if (space != Space::generic && space != Space::global && (priority || space != Space::local)) {
    c.fail("needs global memory, or without a priority local memory");
  }
}

void decode_lines(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(2);
  c.expect_address(0);
  const Space space = take_space(c);
  const bool discards = mods.base() == "discard";
  if (!mods.take(discards ? "L2" : "L2::evict_normal")) {
    c.fail(discards ? "needs .L2" : "needs .L2::evict_normal");
  }
  if (space != Space::generic && space != Space::global) {
    c.fail("needs global memory");
  }
  if (c.operand(1).one().kind != Scalar::Kind::number) {
    c.fail("the size must be a constant");
  }
  c.check_constant(1, 128, 128);
}

namespace {

void check_fraction(DecodeContext& c, const Operand& given) {
  const Scalar& scalar = given.one();
  if (scalar.kind == Scalar::Kind::reg && scalar.bytes == 4) {
    c.check_type(scalar, Type::f32);
    return;
  }
  const double value =
      scalar.kind != Scalar::Kind::number ? 0
      : scalar.float_bytes == 8           ? std::bit_cast<double>(scalar.bits)
      : scalar.float_bytes == 4
          ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(scalar.bits)))
          : 0;
  if (!(value > 0 && value <= 1)) {
    c.fail("the fraction must be over 0 and up to 1");
  }
}

}  // namespace

void decode_create_policy(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const bool part = mods.take("fractional");
  const bool range = !part && mods.take("range");
  if (!part && !range && !(mods.take("cvt") && mods.take("L2"))) {
    c.fail("needs .fractional, .range or .cvt.L2");
  }
  if (mods.need_type() != Type::b64) {
    c.fail("needs .b64");
  }
  if (range) {
    mods.take("global");
    c.expect_operands(4);
    c.expect_address(1);
    c.check_word(2);
    c.check_word(3);
  } else if (part) {
    c.expect_operands(1, 2);
    if (c.count() == 2) {
      check_fraction(c, c.operand(1));
    }
  } else {
    c.expect_operands(2);
    c.check_policy(1);
  }
  if (part || range) {
    // In this order: most priorities may stand in either place.
    const std::string_view first = mods.take_next();
    const bool known = first == "L2::evict_last" || first == "L2::evict_normal" ||
                       first == "L2::evict_first" || first == "L2::evict_unchanged";
    if (!known) {
      c.fail("needs a priority such as .L2::evict_last");
    }
    static constexpr std::array<std::string_view, 2> second{"L2::evict_first", "L2::evict_unchanged"};
    mods.take_any(second);
  }
  Op& op = c.emit(Code::mov, Type::u64);
  op.a = c.constant(0, 8);
  c.write(Field::d, c.operand(0).one(), Type::u64);
}

void decode_nanosleep(DecodeContext& c) {
  c.expect_operands(1);
  if (c.mods().need_type() != Type::u32) {
    c.fail("needs .u32");
  }
  c.check_word(0);
  c.emit(Code::nanosleep, Type::u32);
  c.read(Field::a, c.operand(0).one(), Type::u32);
}

void decode_grid_control(DecodeContext& c) {
  c.expect_operands(0);
  const bool waits = c.mods().take("wait");
  if (!waits && !c.mods().take("launch_dependents")) {
    c.fail("needs .wait or .launch_dependents");
  }
  c.emit(waits ? Code::grid_wait : Code::grid_trigger, Type::none);
}

void decode_event(DecodeContext& c) {
  c.expect_operands(1);
  if (c.operand(0).one().kind != Scalar::Kind::number) {
    c.fail("needs a constant");
  }
  if (!c.mods().take("mask")) {
    c.check_constant(0, 0, 15);
  }
}

void decode_register_count(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(1);
  if ((!mods.take("inc") && !mods.take("dec")) || !mods.take("sync") || !mods.take("aligned") ||
      mods.need_type() != Type::u32) {
    c.fail("needs .inc or .dec, and .sync.aligned.u32");
  }
  if (c.operand(0).one().kind != Scalar::Kind::number) {
    c.fail("needs a constant");
  }
  c.check_constant(0, 24, 256, 8);
}

}  // namespace kerncast::simulator
