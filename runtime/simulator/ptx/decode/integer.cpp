#include <fmt/format.h>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

namespace {

bool is_wide_integer(Type type) {
  return is_integer(type) && bytes_of(type) >= 2;
}

Type as_unsigned(Type type) {
  switch (type) {
    case Type::b8:
      return Type::u8;
    case Type::b16:
      return Type::u16;
    case Type::b32:
      return Type::u32;
    case Type::b64:
      return Type::u64;
    default:
      return type;
  }
}

Type doubled(Type type) {
  switch (type) {
    case Type::u16:
      return Type::u32;
    case Type::s16:
      return Type::s32;
    case Type::u32:
      return Type::u64;
    default:
      return Type::s64;
  }
}

bool is_pair(Type type) {
  return type == Type::f16x2 || type == Type::bf16x2;
}

bool is_comparable(Type type) {
  return (is_plain(type) && type != Type::b128) || type == Type::f16 || type == Type::bf16 || is_pair(type);
}

/// True if set gives results of type `result` for operands of `type`.
bool sets(Type result, Type type) {
  const bool half = type == Type::f16 || type == Type::bf16;
  switch (result) {
    case Type::u32:
    case Type::s32:
      return true;
    case Type::u16:
    case Type::s16:
      return half;
    case Type::f32:
      return !half && !is_pair(type);
    case Type::f16:
      return type != Type::bf16 && !is_pair(type);
    case Type::bf16:
      return !is_pair(type);
    default:
      return is_pair(type) && result == type;
  }
}

}  // namespace

void decode_add_sub(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (mods.take("cc")) {
    decode_carry(c);
    return;
  }
  c.expect_operands(3);
  Op& op = c.emit(mods.base() == "add" ? Code::add : Code::sub, Type::none);
  op.type = mods.need_type();
  float_flags(c, op);
  check_arithmetic(c, op);
  if (is_integer(op.type) && (bytes_of(op.type) < 2 || (op.flags & ~flag::sat) != 0 ||
                              ((op.flags & flag::sat) != 0 && op.type != Type::s32))) {
    c.fail(fmt::format("modifier not allowed for .{}", name_of(op.type)));
  }
  c.write(Field::d, c.operand(0).one(), op.type);
  c.read_all(op.type, 1, 2);
}

void decode_mul(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(3);
  const bool wide = mods.take("wide");
  const bool hi = !wide && mods.take("hi");
  const bool lo = !wide && !hi && mods.take("lo");
  Op& op = c.emit(wide ? Code::mul_wide : hi ? Code::mul_hi : Code::mul, Type::none);
  op.type = mods.need_type();
  float_flags(c, op);
  check_arithmetic(c, op);
  if (is_integer(op.type) ? (!(wide || hi || lo) || op.flags != 0 || bytes_of(op.type) < 2)
                          : (wide || hi || lo)) {
    c.fail(
        fmt::format("needs exactly one of .lo, .hi and .wide for integers, not for .{}", name_of(op.type)));
  }
  if (wide && bytes_of(op.type) == 8) {
    c.fail(".wide needs 16- or 32-bit operands");
  }
  c.write(Field::d, c.operand(0).one(), wide ? doubled(op.type) : op.type);
  c.read_all(op.type, 1, 2);
}

namespace {

std::uint32_t carry_register(DecodeContext& c) {
  if (!c.function.carry) {
    c.function.carry = c.new_register(0);
  }
  return *c.function.carry;
}

}  // namespace

void decode_mad(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const bool wide = mods.take("wide");
  const bool hi = !wide && mods.take("hi");
  const bool lo = !wide && !hi && mods.take("lo");
  if (!(wide || hi || lo)) {
    decode_fma(c);
    return;
  }
  const bool carry = mods.take("cc");
  c.expect_operands(4);
  const Type type = mods.need_type();
  if (!is_wide_integer(type) || (wide && bytes_of(type) == 8)) {
    c.fail("operand type not allowed");
  }
  const bool saturate = mods.take("sat");
  if (saturate && !(hi && type == Type::s32)) {
    c.fail(".sat is for .hi.s32 only");
  }
  Op& op = c.emit(carry ? (hi ? Code::mad_hi_carry : Code::mad_carry)
                        : (wide ? Code::mad_wide
                           : hi ? Code::mad_hi
                                : Code::mad),
                  type);
  op.flags = (carry ? flag::carry_out : 0U) | (saturate ? flag::sat : 0U);
  const Type result = wide ? doubled(type) : type;
  c.write(Field::d, c.operand(0).one(), result);
  c.read_all(type, 1, 2);
  c.read(Field::c, c.operand(3).one(), result);
  if (carry) {
    if (wide || bytes_of(type) < 4) {
      c.fail(".cc needs .lo or .hi of 32 or 64 bits");
    }
    c.reference(Field::d2, carry_register(c), true);
  }
}

void decode_carry(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  const bool takes = base.ends_with('c');
  const bool gives = !takes || mods.take("cc");
  const bool multiply = base.starts_with("mad");
  const bool hi = multiply && mods.take("hi");
  if (multiply && !hi && !mods.take("lo")) {
    c.fail("needs .lo or .hi");
  }
  c.expect_operands(multiply ? 4 : 3);
  const Type type = mods.need_type();
  if (!is_integer(type) || bytes_of(type) < 4) {
    c.fail("carries need 32- or 64-bit integers");
  }
  const Code code = multiply                  ? (hi ? Code::mad_hi_carry : Code::mad_carry)
                    : base.starts_with("add") ? Code::add_carry
                                              : Code::sub_carry;
  Op& op = c.emit(code, type);
  op.flags = (takes ? flag::carry_in : 0U) | (gives ? flag::carry_out : 0U);
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, multiply ? 3 : 2);
  if (takes) {
    c.reference(Field::d2, carry_register(c), false);
  }
  if (gives) {
    c.reference(Field::d2, carry_register(c), true);
  }
}

void decode_mul24(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(3);
  const bool hi = mods.take("hi");
  if (!hi && !mods.take("lo")) {
    c.fail("needs .lo or .hi");
  }
  const Type type = mods.need_type();
  if (!is_integer(type) || bytes_of(type) != 4) {
    c.fail("needs 32-bit integers");
  }
  c.emit(hi ? Code::mul24_hi : Code::mul24, type);
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, 2);
}

void decode_mad24(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(4);
  const bool hi = mods.take("hi");
  if (!hi && !mods.take("lo")) {
    c.fail("needs .lo or .hi");
  }
  const Type type = mods.need_type();
  if (!is_integer(type) || bytes_of(type) != 4) {
    c.fail("needs 32-bit integers");
  }
  Op& op = c.emit(hi ? Code::mad24_hi : Code::mad24, type);
  op.flags = hi && type == Type::s32 && mods.take("sat") ? flag::sat : 0U;
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, 3);
}

void decode_sad(DecodeContext& c) {
  c.expect_operands(4);
  const Type type = c.mods().need_type();
  if (!is_wide_integer(type)) {
    c.fail("needs 16-, 32- or 64-bit integers");
  }
  c.emit(Code::sad, type);
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, 3);
}

void decode_binary_integer(DecodeContext& c) {
  c.expect_operands(3);
  const Type type = c.mods().need_type();
  if (!is_wide_integer(type)) {
    c.fail("needs 16-, 32- or 64-bit integers");
  }
  c.emit(Code::rem, type);
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, 2);
}

void decode_div(DecodeContext& c) {
  c.expect_operands(3);
  Modifiers& mods = c.mods();
  Op& op = c.emit(Code::div, mods.need_type());
  float_flags(c, op);
  const bool is_float = op.type == Type::f32 || op.type == Type::f64;
  const bool divides = op.rounding != Rounding::none && op.rounding != Rounding::rna &&
                       (op.type == Type::f32 || (op.rounding <= Rounding::rp && op.flags == 0));
  if (is_float ? (!divides || (op.flags & ~flag::ftz) != 0)
               : (!is_wide_integer(op.type) || op.rounding != Rounding::none || op.flags != 0)) {
    c.fail("needs integers, or .f32 or .f64 with a rounding");
  }
  c.write(Field::d, c.operand(0).one(), op.type);
  c.read_all(op.type, 1, 2);
}

void decode_min_max(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(3);
  Op& op = c.emit(mods.base() == "min" ? Code::min : Code::max, Type::none);
  op.type = mods.need_type();
  op.flags = (mods.take("ftz") ? flag::ftz : 0U) | (mods.take("NaN") ? flag::nan : 0U) |
             (mods.take("relu") ? flag::relu : 0U);
  if (mods.take("xorsign")) {
    if (!mods.take("abs")) {
      c.fail(".xorsign needs .abs");
    }
    op.flags |= flag::xor_sign;
  }
  const bool brain = op.type == Type::bf16 || op.type == Type::bf16x2;
  const std::uint32_t refused = is_integer(op.type) || op.type == Type::f64 ? ~0U
                                : brain                                     ? flag::relu | flag::ftz
                                                                            : flag::relu;
  if ((op.flags & refused) != 0) {
    c.fail(fmt::format("modifier not allowed for .{}", name_of(op.type)));
  }
  c.write(Field::d, c.operand(0).one(), op.type);
  c.read_all(op.type, 1, 2);
}

void decode_abs_neg(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(2);
  Op& op = c.emit(mods.base() == "abs" ? Code::abs : Code::neg, Type::none);
  op.type = mods.need_type();
  op.flags = mods.take("ftz") ? flag::ftz : 0U;
  const bool flushes = op.type == Type::f32 || op.type == Type::f16 || op.type == Type::f16x2;
  if ((is_integer(op.type) && !is_signed(op.type)) || (op.flags != 0 && !flushes)) {
    c.fail(fmt::format("modifier or type .{} not allowed", name_of(op.type)));
  }
  c.write(Field::d, c.operand(0).one(), op.type);
  c.read(Field::a, c.operand(1).one(), op.type);
}

namespace {

void decode_predicate_logic(DecodeContext& c, std::string_view base) {
  const bool unary = base == "not";
  c.expect_operands(unary ? 2 : 3);
  c.emit(unary           ? Code::pred_not
         : base == "and" ? Code::pred_and
         : base == "or"  ? Code::pred_or
                         : Code::pred_xor,
         Type::pred);
  c.write_predicate(Field::d, c.operand(0).one());
  c.read_predicate(Field::a, c.operand(1).one(), flag::neg_a);
  if (!unary) {
    c.read_predicate(Field::b, c.operand(2).one(), flag::neg_c);
  }
}

}  // namespace

void decode_logic(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  const Type type = mods.need_type();
  if (type == Type::pred && base != "cnot") {
    decode_predicate_logic(c, base);
    return;
  }
  const bool unary = base == "not" || base == "cnot";
  c.expect_operands(unary ? 2 : 3);
  if (type != Type::b16 && type != Type::b32 && type != Type::b64) {
    c.fail("needs .pred, .b16, .b32 or .b64");
  }
  c.emit(base == "and"   ? Code::bit_and
         : base == "or"  ? Code::bit_or
         : base == "xor" ? Code::bit_xor
         : base == "not" ? Code::bit_not
                         : Code::cnot,
         as_unsigned(type));
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, unary ? 1 : 2);
}

void decode_shift(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(3);
  const Type given = mods.need_type();
  const Type type = as_unsigned(given);
  if (!is_wide_integer(type) || (mods.base() == "shl" && !is_bits(given))) {
    c.fail("needs 16-, 32- or 64-bit operands, which for shl are bits");
  }
  c.emit(mods.base() == "shl" ? Code::shl : Code::shr, type);
  c.write(Field::d, c.operand(0).one(), given);
  c.read(Field::a, c.operand(1).one(), given);
  Scalar distance = c.operand(2).one();
  // NVIDIA's assembler keeps 16 bits of a constant where the operands have 16.
  if (distance.kind == Scalar::Kind::number && bytes_of(type) == 2) {
    distance.bits &= 0xffffU;
  }
  c.read(Field::b, distance, Type::u32);
}

void decode_funnel_shift(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(4);
  const bool left = mods.take("l");
  if (!left && !mods.take("r")) {
    c.fail("needs .l or .r");
  }
  const bool wrap = mods.take("wrap");
  if (!wrap && !mods.take("clamp")) {
    c.fail("needs .wrap or .clamp");
  }
  if (mods.need_type() != Type::b32) {
    c.fail("needs .b32");
  }
  Op& op = c.emit(left ? Code::shf_l : Code::shf_r, Type::u32);
  op.flags = wrap ? flag::wrap : 0U;
  c.write(Field::d, c.operand(0).one(), Type::b32);
  c.read_all(Type::b32, 1, 2);
  c.read(Field::c, c.operand(3).one(), Type::u32);
}

void decode_bit_field(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  if (base == "bmsk" || base == "szext") {
    c.expect_operands(3);
    const bool wrap = mods.take("wrap");
    if (!wrap && !mods.take("clamp")) {
      c.fail("needs .wrap or .clamp");
    }
    const Type given = mods.need_type();
    const Type type = as_unsigned(given);
    if (base == "bmsk" ? given != Type::b32 : given != Type::u32 && given != Type::s32) {
      c.fail("needs .b32, or as szext .u32 or .s32");
    }
    Op& op = c.emit(base == "bmsk" ? Code::bmsk : Code::szext, type);
    op.flags = wrap ? flag::wrap : 0U;
    c.write(Field::d, c.operand(0).one(), type);
    c.read_all(type, 1, 2);
    return;
  }
  const Type given = mods.need_type();
  const Type type = as_unsigned(given);
  if (!is_integer(type) || bytes_of(type) < 4 || is_bits(given) != (base == "bfi")) {
    c.fail("needs 32- or 64-bit operands: integers, or as bfi bits");
  }
  if (base == "bfe") {
    c.expect_operands(4);
    c.emit(Code::bfe, type);
    c.write(Field::d, c.operand(0).one(), given);
    c.read(Field::a, c.operand(1).one(), type);
    c.read(Field::b, c.operand(2).one(), Type::u32);
    c.read(Field::c, c.operand(3).one(), Type::u32);
    c.check_constant(2, 0, 255);
    c.check_constant(3, 0, 255);
    return;
  }
  c.expect_operands(5);
  c.check_constant(3, 0, 255);
  c.check_constant(4, 0, 255);
  Op& op = c.emit(Code::bfi, type);
  c.write(Field::d, c.operand(0).one(), given);
  c.read(Field::a, c.operand(1).one(), given);
  c.read(Field::b, c.operand(2).one(), given);
  c.read(Field::c, c.operand(3).one(), Type::u32);
  op.imm = c.word_entry(4);
}

void decode_lop3(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::uint32_t combines = mods.take("or") ? flag::bool_or : mods.take("and") ? flag::bool_and : 0U;
  if (mods.need_type() != Type::b32) {
    c.fail("needs .b32");
  }
  c.expect_operands(combines != 0 ? 6 : 5);
  if ((c.operand(0).pair.kind == Scalar::Kind::reg) != (combines != 0)) {
    c.fail("gives a predicate, as in d|p, with .and or .or only, and always then");
  }
  const Scalar& table = c.operand(4).one();
  if (table.kind != Scalar::Kind::number || table.bits > 255) {
    c.fail("the look-up table must be a constant from 0 to 255");
  }
  Op& op = c.emit(Code::lop3, Type::u32);
  op.imm = static_cast<std::int64_t>(table.bits);
  if (combines == 0) {
    c.write(Field::d, c.operand(0).one(), Type::b32);
    c.read_all(Type::b32, 1, 3);
    return;
  }
  // p = (d != 0) op q, for which d needs a register of its own where the instruction names none.
  const Scalar& target = c.operand(0).one();
  if (target.kind == Scalar::Kind::reg && target.bytes != 4) {
    c.fail("needs a 32-bit destination");
  }
  c.check_type(target, Type::b32);
  const std::uint32_t result = target.kind == Scalar::Kind::reg ? target.reg : c.new_register(4);
  c.reference(Field::d, result, true);
  c.read_all(Type::b32, 1, 3);
  Op& test = c.emit(Code::setp, Type::u32);
  test.source = Type::pred;
  test.sub = static_cast<std::uint8_t>(Compare::eq);
  test.flags = flag::invert | combines;
  test.b = c.constant(0, 4);
  c.write_predicate(Field::d, c.operand(0).pair);
  c.write_predicate(Field::d2, Scalar{});
  c.reference(Field::a, result, false);
  c.read_predicate(Field::c, c.operand(5).one(), flag::neg_c);
}

void decode_prmt(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (mods.need_type() != Type::b32) {
    c.fail("needs .b32");
  }
  c.expect_operands(4);
  static constexpr std::array<std::string_view, 6> modes{"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
  Op& op = c.emit(Code::prmt, Type::u32);
  op.sub = static_cast<std::uint8_t>(mods.take_any(modes) + 1);
  c.write(Field::d, c.operand(0).one(), Type::b32);
  c.read_all(Type::b32, 1, 3);
}

void decode_count_bits(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const std::string_view base = mods.base();
  if (base == "fns") {
    c.expect_operands(4);
    if (mods.need_type() != Type::b32) {
      c.fail("needs .b32");
    }
    c.emit(Code::fns, Type::u32);
    c.write(Field::d, c.operand(0).one(), Type::b32);
    c.read_all(Type::b32, 1, 3);
    return;
  }
  c.expect_operands(2);
  const bool finds = base == "bfind";
  const bool amount = finds && mods.take("shiftamt");
  const Type given = mods.need_type();
  const Type type = as_unsigned(given);
  if (!is_integer(type) || bytes_of(type) < 4 || is_bits(given) == finds) {
    c.fail("needs 32- or 64-bit operands: bits, or as bfind integers");
  }
  const Code code = base == "popc"   ? Code::popc
                    : base == "clz"  ? Code::clz
                    : base == "brev" ? Code::brev
                                     : Code::bfind;
  Op& op = c.emit(code, type);
  op.flags = amount ? flag::shift_amount : 0U;
  c.write(Field::d, c.operand(0).one(), code == Code::brev ? given : Type::u32);
  c.read(Field::a, c.operand(1).one(), given);
}

void decode_dot_product(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(4);
  const bool two = mods.base() == "dp2a";
  const bool hi = two && mods.take("hi");
  if (two && !hi && !mods.take("lo")) {
    c.fail("needs .lo or .hi");
  }
  const Type a = mods.need_type();
  const Type b = mods.need_type();
  if ((a != Type::u32 && a != Type::s32) || (b != Type::u32 && b != Type::s32)) {
    c.fail("needs .u32 or .s32 twice");
  }
  Op& op = c.emit(two ? Code::dp2a : Code::dp4a, Type::u32);
  op.flags = (a == Type::s32 ? flag::signed_a : 0U) | (b == Type::s32 ? flag::signed_b : 0U) |
             (hi ? flag::high : 0U);
  c.write(Field::d, c.operand(0).one(), Type::u32);
  c.read_all(Type::u32, 1, 3);
}

namespace {

void comparison(DecodeContext& c, Op& op, Type given) {
  Modifiers& mods = c.mods();
  struct Name {
    std::string_view name;
    Compare base;
    bool swap;
    bool invert;
    int kind;  ///< 0 any, 1 unsigned integers, 2 floats
  };
  static constexpr std::array<Name, 18> names{{
      {"eq", Compare::eq, false, false, 0},
      {"ne", Compare::eq, false, true, 0},
      {"lt", Compare::lt, false, false, 0},
      {"le", Compare::le, false, false, 0},
      {"gt", Compare::lt, true, false, 0},
      {"ge", Compare::le, true, false, 0},
      {"lo", Compare::lt, false, false, 1},
      {"ls", Compare::le, false, false, 1},
      {"hi", Compare::lt, true, false, 1},
      {"hs", Compare::le, true, false, 1},
      {"equ", Compare::ltgt, false, true, 2},
      {"neu", Compare::eq, false, true, 2},
      {"ltu", Compare::le, true, true, 2},
      {"leu", Compare::lt, true, true, 2},
      {"gtu", Compare::le, false, true, 2},
      {"geu", Compare::lt, false, true, 2},
      {"num", Compare::num, false, false, 2},
      {"nan", Compare::num, false, true, 2},
  }};
  const Type type = as_unsigned(given);
  const bool is_float = !is_integer(type);
  for (const Name& entry : names) {
    if ((entry.kind == 2 && !is_float) || (entry.kind == 1 && (is_float || is_signed(type))) ||
        (is_bits(given) && entry.base != Compare::eq) || !mods.take(entry.name)) {
      continue;
    }
    Compare base = entry.base;
    bool invert = entry.invert;
    if (is_float && entry.name == "ne") {
      // Ordered: false when an operand is NaN, unlike neu.
      base = Compare::ltgt;
      invert = false;
    }
    op.sub = static_cast<std::uint8_t>(base);
    op.flags |= invert ? flag::invert : 0U;
    c.read(entry.swap ? Field::b : Field::a, c.operand(1).one(), given);
    c.read(entry.swap ? Field::a : Field::b, c.operand(2).one(), given);
    return;
  }
  c.fail(is_bits(given) ? "bits are compared by .eq and .ne" : "needs a comparison such as .lt");
}

}  // namespace

void decode_set(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const bool setp = mods.base() == "setp";
  const Type result = setp ? Type::pred : mods.need_type();
  const Type given = mods.need_type();
  const Type type = as_unsigned(given);
  if (!is_comparable(given)) {
    c.fail(fmt::format("is not for .{}", name_of(given)));
  }
  if (!setp && !sets(result, given)) {
    c.fail(fmt::format("gives no .{} for .{}", name_of(result), name_of(given)));
  }
  Op& op = c.emit(setp ? Code::setp : Code::set, type);
  op.source = result;
  const bool flushes =
      (type == Type::f32 || type == Type::f16 || type == Type::f16x2) && result != Type::bf16;
  op.flags |= flushes && mods.take("ftz") ? flag::ftz : 0U;
  if (setp) {
    if ((type == Type::f16 || type == Type::bf16) && c.operand(0).pair.kind != Scalar::Kind::none) {
      c.fail(fmt::format("gives one predicate for .{}", name_of(type)));
    }
    c.write_predicate(Field::d, c.operand(0).one());
    c.write_predicate(Field::d2, c.operand(0).pair);
  } else {
    // The assembler takes integers for bf16 here, and for bf16x2 everything of its size.
    c.write(Field::d, c.operand(0).one(),
            result == Type::bf16     ? Type::u16
            : result == Type::bf16x2 ? Type::b32
                                     : result);
  }
  // The comparison comes first in the opcode, so it must be taken before a boolean operator of the same
  // spelling.
  comparison(c, op, given);
  op.flags |= mods.take("and")   ? flag::bool_and
              : mods.take("or")  ? flag::bool_or
              : mods.take("xor") ? flag::bool_xor
                                 : 0U;
  const bool combines = (op.flags & (flag::bool_and | flag::bool_or | flag::bool_xor)) != 0;
  c.expect_operands(combines ? 4 : 3);
  if (combines) {
    c.read_predicate(Field::c, c.operand(3).one(), flag::neg_c);
  }
}

void decode_selp(DecodeContext& c) {
  c.expect_operands(4);
  const Type type = c.mods().need_type();
  if (!is_plain(type) || bytes_of(type) > 8) {
    c.fail("operand type not allowed");
  }
  c.emit(Code::selp, type);
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, 2);
  c.read_predicate(Field::c, c.operand(3).one(), flag::neg_c);
}

void decode_slct(DecodeContext& c) {
  c.expect_operands(4);
  Modifiers& mods = c.mods();
  const bool ftz = mods.take("ftz");
  const Type type = mods.need_type();
  const Type selector = mods.need_type();
  if (!is_plain(type) || bytes_of(type) > 8 || (ftz && selector != Type::f32) ||
      (selector != Type::s32 && selector != Type::f32)) {
    c.fail("operand type not allowed");
  }
  Op& op = c.emit(Code::slct, type);
  op.source = selector;
  op.flags = ftz ? flag::ftz : 0U;
  c.write(Field::d, c.operand(0).one(), type);
  c.read_all(type, 1, 2);
  c.read(Field::c, c.operand(3).one(), selector);
}

}  // namespace kerncast::simulator
