#include <fmt/format.h>

#include <array>
#include <bit>

#include "runtime/simulator/ptx/decoder.hpp"

// Fences, and hints without an effect on results. What they say is checked as strictly as anything else.
namespace kerncast::simulator {

void Decoder::decode_fence() {
  Modifiers& mods = instruction_.mods;
  expect_operands(0);
  emit(Code::fence, Type::none);
  const bool proxy = mods.take("proxy");
  if (mods.base() == "membar") {
    static constexpr std::array<std::string_view, 3> kLevels{"cta", "gl", "sys"};
    if (proxy ? !mods.take("alias") : mods.take_any(kLevels) < 0) {
      fail("needs .cta, .gl, .sys or .proxy.alias");
    }
    return;
  }
  if (proxy && mods.take("alias")) {
    return;
  }
  if (proxy && mods.take("async")) {
    static constexpr std::array<std::string_view, 3> kSpaces{"global", "shared::cta", "shared::cluster"};
    mods.take_any(kSpaces);
    return;
  }
  if (proxy && !mods.take("async::generic")) {
    unsupported("fences of this proxy");
  }
  static constexpr std::array<std::string_view, 4> kOrders{"acquire", "release", "sc", "acq_rel"};
  static constexpr std::array<std::string_view, 4> kScopes{"cluster", "cta", "gpu", "sys"};
  const bool initialises = mods.take("mbarrier_init");
  const int order = mods.take_any(kOrders);
  const bool restricted = (order == 0 && mods.take("sync_restrict::shared::cluster")) ||
                          (order == 1 && mods.take("sync_restrict::shared::cta"));
  const int scope = mods.take_any(kScopes);
  if (scope < 0 || (scope != 0 && (proxy || initialises || restricted))) {
    fail(scope < 0 ? "needs a scope such as .gpu" : "needs .cluster");
  }
  if (initialises ? proxy || restricted || order != 1 : proxy && !restricted) {
    fail(initialises ? "needs .release alone" : "needs .acquire or .release and what it is restricted to");
  }
}

void Decoder::decode_prefetch() {
  Modifiers& mods = instruction_.mods;
  expect_operands(1);
  expect_address(0);
  const Space space = take_space();
  const bool near = mods.take("L1");
  if (mods.base() == "prefetchu") {
    if (!near || space != Space::generic) {
      fail("needs .L1 and no state space");
    }
    return;
  }
  if (mods.take("tensormap")) {
    unsupported("tensor maps");
  }
  static constexpr std::array<std::string_view, 2> kPriorities{"L2::evict_last", "L2::evict_normal"};
  const bool priority = !near && mods.take_any(kPriorities) >= 0;
  if (!near && !priority && !mods.take("L2")) {
    fail("needs .L1 or .L2");
  }
  if (space != Space::generic && space != Space::global && (priority || space != Space::local)) {
    fail("needs global memory, or without a priority local memory");
  }
}

void Decoder::decode_lines() {
  Modifiers& mods = instruction_.mods;
  expect_operands(2);
  expect_address(0);
  const Space space = take_space();
  const bool discards = mods.base() == "discard";
  if (!mods.take(discards ? "L2" : "L2::evict_normal")) {
    fail(discards ? "needs .L2" : "needs .L2::evict_normal");
  }
  if (space != Space::generic && space != Space::global) {
    fail("needs global memory");
  }
  if (operand(1).one().kind != Scalar::Kind::number) {
    fail("the size must be a constant");
  }
  check_constant(1, 128, 128);
}

void Decoder::check_fraction(const Operand& given) const {
  const Scalar& scalar = given.one();
  if (scalar.kind == Scalar::Kind::reg && scalar.bytes == 4) {
    check_type(scalar, Type::f32);
    return;
  }
  const double value =
      scalar.kind != Scalar::Kind::number ? 0
      : scalar.float_bytes == 8           ? std::bit_cast<double>(scalar.bits)
      : scalar.float_bytes == 4
          ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(scalar.bits)))
          : 0;
  if (!(value > 0 && value <= 1)) {
    fail("the fraction must be over 0 and up to 1");
  }
}

void Decoder::decode_create_policy() {
  Modifiers& mods = instruction_.mods;
  const bool part = mods.take("fractional");
  const bool range = !part && mods.take("range");
  if (!part && !range && !(mods.take("cvt") && mods.take("L2"))) {
    fail("needs .fractional, .range or .cvt.L2");
  }
  if (mods.need_type() != Type::b64) {
    fail("needs .b64");
  }
  if (range) {
    mods.take("global");
    expect_operands(4);
    expect_address(1);
    check_word(2);
    check_word(3);
  } else if (part) {
    expect_operands(1, 2);
    if (instruction_.count == 2) {
      check_fraction(operand(1));
    }
  } else {
    expect_operands(2);
    check_policy(1);
  }
  if (part || range) {
    // In this order: most priorities may stand in either place.
    const std::string_view first = mods.take_next();
    const bool known = first == "L2::evict_last" || first == "L2::evict_normal" ||
                       first == "L2::evict_first" || first == "L2::evict_unchanged";
    if (!known) {
      fail("needs a priority such as .L2::evict_last");
    }
    static constexpr std::array<std::string_view, 2> kSecond{"L2::evict_first", "L2::evict_unchanged"};
    mods.take_any(kSecond);
  }
  Op& op = emit(Code::mov, Type::u64);
  op.a = constant(0, 8);
  write(Field::d, operand(0).one(), Type::u64);
}

void Decoder::decode_nanosleep() {
  expect_operands(1);
  if (instruction_.mods.need_type() != Type::u32) {
    fail("needs .u32");
  }
  check_word(0);
}

void Decoder::decode_grid_control() {
  expect_operands(0);
  if (!instruction_.mods.take("wait") && !instruction_.mods.take("launch_dependents")) {
    fail("needs .wait or .launch_dependents");
  }
}

void Decoder::decode_event() {
  expect_operands(1);
  if (operand(0).one().kind != Scalar::Kind::number) {
    fail("needs a constant");
  }
  if (!instruction_.mods.take("mask")) {
    check_constant(0, 0, 15);
  }
}

void Decoder::decode_register_count() {
  Modifiers& mods = instruction_.mods;
  expect_operands(1);
  if ((!mods.take("inc") && !mods.take("dec")) || !mods.take("sync") || !mods.take("aligned") ||
      mods.need_type() != Type::u32) {
    fail("needs .inc or .dec, and .sync.aligned.u32");
  }
  if (operand(0).one().kind != Scalar::Kind::number) {
    fail("needs a constant");
  }
  check_constant(0, 24, 256, 8);
}

}  // namespace kerncast::simulator
