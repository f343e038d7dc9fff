#include <fmt/format.h>

#include "runtime/simulator/ptx/decoder.hpp"

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

}  // namespace

std::uint32_t Decoder::carry_register() {
  if (!has_carry_) {
    carry_ = new_register(0);
    has_carry_ = true;
  }
  return carry_;
}

void Decoder::decode_add_sub() {
  Modifiers& mods = instruction_.mods;
  if (mods.take("cc")) {
    decode_carry();
    return;
  }
  expect_operands(3);
  Op& op = emit(mods.base() == "add" ? Code::add : Code::sub, Type::none);
  op.type = mods.need_type();
  float_flags(op);
  check_arithmetic(op);
  if (is_integer(op.type) && (bytes_of(op.type) < 2 || (op.flags & ~kSat) != 0 ||
                              ((op.flags & kSat) != 0 && op.type != Type::s32))) {
    fail(fmt::format("modifier not allowed for .{}", name_of(op.type)));
  }
  write(Field::d, operand(0).one(), op.type);
  read_all(op.type, 1, 2);
}

void Decoder::decode_mul() {
  Modifiers& mods = instruction_.mods;
  expect_operands(3);
  const bool wide = mods.take("wide");
  const bool hi = !wide && mods.take("hi");
  const bool lo = !wide && !hi && mods.take("lo");
  Op& op = emit(wide ? Code::mul_wide : hi ? Code::mul_hi : Code::mul, Type::none);
  op.type = mods.need_type();
  float_flags(op);
  check_arithmetic(op);
  if (is_integer(op.type) ? (!(wide || hi || lo) || op.flags != 0 || bytes_of(op.type) < 2)
                          : (wide || hi || lo)) {
    fail(fmt::format("needs exactly one of .lo, .hi and .wide for integers, not for .{}", name_of(op.type)));
  }
  if (wide && bytes_of(op.type) == 8) {
    fail(".wide needs 16- or 32-bit operands");
  }
  write(Field::d, operand(0).one(), wide ? doubled(op.type) : op.type);
  read_all(op.type, 1, 2);
}

void Decoder::decode_mad() {
  Modifiers& mods = instruction_.mods;
  const bool wide = mods.take("wide");
  const bool hi = !wide && mods.take("hi");
  const bool lo = !wide && !hi && mods.take("lo");
  if (!(wide || hi || lo)) {
    decode_fma();
    return;
  }
  const bool carry = mods.take("cc");
  expect_operands(4);
  const Type type = mods.need_type();
  if (!is_wide_integer(type) || (wide && bytes_of(type) == 8)) {
    fail("operand type not allowed");
  }
  const bool saturate = mods.take("sat");
  if (saturate && !(hi && type == Type::s32)) {
    fail(".sat is for .hi.s32 only");
  }
  Op& op = emit(carry ? (hi ? Code::mad_hi_carry : Code::mad_carry)
                      : (wide ? Code::mad_wide
                         : hi ? Code::mad_hi
                              : Code::mad),
                type);
  op.flags = (carry ? kCarryOut : 0U) | (saturate ? kSat : 0U);
  const Type result = wide ? doubled(type) : type;
  write(Field::d, operand(0).one(), result);
  read_all(type, 1, 2);
  read(Field::c, operand(3).one(), result);
  if (carry) {
    if (wide || bytes_of(type) < 4) {
      fail(".cc needs .lo or .hi of 32 or 64 bits");
    }
    reference(Field::d2, carry_register(), true);
  }
}

void Decoder::decode_carry() {
  Modifiers& mods = instruction_.mods;
  const std::string_view base = mods.base();
  const bool takes = base.ends_with('c');
  const bool gives = !takes || mods.take("cc");
  const bool multiply = base.starts_with("mad");
  const bool hi = multiply && mods.take("hi");
  if (multiply && !hi && !mods.take("lo")) {
    fail("needs .lo or .hi");
  }
  expect_operands(multiply ? 4 : 3);
  const Type type = mods.need_type();
  if (!is_integer(type) || bytes_of(type) < 4) {
    fail("carries need 32- or 64-bit integers");
  }
  const Code code = multiply                  ? (hi ? Code::mad_hi_carry : Code::mad_carry)
                    : base.starts_with("add") ? Code::add_carry
                                              : Code::sub_carry;
  Op& op = emit(code, type);
  op.flags = (takes ? kCarryIn : 0U) | (gives ? kCarryOut : 0U);
  write(Field::d, operand(0).one(), type);
  read_all(type, 1, multiply ? 3 : 2);
  if (takes) {
    reference(Field::d2, carry_register(), false);
  }
  if (gives) {
    reference(Field::d2, carry_register(), true);
  }
}

void Decoder::decode_mul24() {
  Modifiers& mods = instruction_.mods;
  expect_operands(3);
  const bool hi = mods.take("hi");
  if (!hi && !mods.take("lo")) {
    fail("needs .lo or .hi");
  }
  const Type type = mods.need_type();
  if (!is_integer(type) || bytes_of(type) != 4) {
    fail("needs 32-bit integers");
  }
  emit(hi ? Code::mul24_hi : Code::mul24, type);
  write(Field::d, operand(0).one(), type);
  read_all(type, 1, 2);
}

void Decoder::decode_mad24() {
  Modifiers& mods = instruction_.mods;
  expect_operands(4);
  const bool hi = mods.take("hi");
  if (!hi && !mods.take("lo")) {
    fail("needs .lo or .hi");
  }
  const Type type = mods.need_type();
  if (!is_integer(type) || bytes_of(type) != 4) {
    fail("needs 32-bit integers");
  }
  Op& op = emit(hi ? Code::mad24_hi : Code::mad24, type);
  op.flags = hi && type == Type::s32 && mods.take("sat") ? kSat : 0U;
  write(Field::d, operand(0).one(), type);
  read_all(type, 1, 3);
}

void Decoder::decode_sad() {
  expect_operands(4);
  const Type type = instruction_.mods.need_type();
  if (!is_wide_integer(type)) {
    fail("needs 16-, 32- or 64-bit integers");
  }
  emit(Code::sad, type);
  write(Field::d, operand(0).one(), type);
  read_all(type, 1, 3);
}

void Decoder::decode_binary_integer() {
  expect_operands(3);
  const Type type = instruction_.mods.need_type();
  if (!is_wide_integer(type)) {
    fail("needs 16-, 32- or 64-bit integers");
  }
  emit(Code::rem, type);
  write(Field::d, operand(0).one(), type);
  read_all(type, 1, 2);
}

void Decoder::decode_div() {
  expect_operands(3);
  Modifiers& mods = instruction_.mods;
  Op& op = emit(Code::div, mods.need_type());
  float_flags(op);
  const bool is_float = op.type == Type::f32 || op.type == Type::f64;
  const bool divides = op.rounding != Rounding::none && op.rounding != Rounding::rna &&
                       (op.type == Type::f32 || (op.rounding <= Rounding::rp && op.flags == 0));
  if (is_float ? (!divides || (op.flags & ~kFtz) != 0)
               : (!is_wide_integer(op.type) || op.rounding != Rounding::none || op.flags != 0)) {
    fail("needs integers, or .f32 or .f64 with a rounding");
  }
  write(Field::d, operand(0).one(), op.type);
  read_all(op.type, 1, 2);
}

void Decoder::decode_min_max() {
  Modifiers& mods = instruction_.mods;
  expect_operands(3);
  Op& op = emit(mods.base() == "min" ? Code::min : Code::max, Type::none);
  op.type = mods.need_type();
  op.flags =
      (mods.take("ftz") ? kFtz : 0U) | (mods.take("NaN") ? kNan : 0U) | (mods.take("relu") ? kRelu : 0U);
  if (mods.take("xorsign")) {
    if (!mods.take("abs")) {
      fail(".xorsign needs .abs");
    }
    op.flags |= kXorSign;
  }
  const bool brain = op.type == Type::bf16 || op.type == Type::bf16x2;
  const std::uint32_t refused = is_integer(op.type) || op.type == Type::f64 ? ~0U
                                : brain                                     ? kRelu | kFtz
                                                                            : kRelu;
  if ((op.flags & refused) != 0) {
    fail(fmt::format("modifier not allowed for .{}", name_of(op.type)));
  }
  write(Field::d, operand(0).one(), op.type);
  read_all(op.type, 1, 2);
}

void Decoder::decode_abs_neg() {
  Modifiers& mods = instruction_.mods;
  expect_operands(2);
  Op& op = emit(mods.base() == "abs" ? Code::abs : Code::neg, Type::none);
  op.type = mods.need_type();
  op.flags = mods.take("ftz") ? kFtz : 0U;
  const bool flushes = op.type == Type::f32 || op.type == Type::f16 || op.type == Type::f16x2;
  if ((is_integer(op.type) && !is_signed(op.type)) || (op.flags != 0 && !flushes)) {
    fail(fmt::format("modifier or type .{} not allowed", name_of(op.type)));
  }
  write(Field::d, operand(0).one(), op.type);
  read(Field::a, operand(1).one(), op.type);
}

void Decoder::decode_predicate_logic(std::string_view base) {
  const bool unary = base == "not";
  expect_operands(unary ? 2 : 3);
  emit(unary           ? Code::pred_not
       : base == "and" ? Code::pred_and
       : base == "or"  ? Code::pred_or
                       : Code::pred_xor,
       Type::pred);
  write_predicate(Field::d, operand(0).one());
  read_predicate(Field::a, operand(1).one(), kNegA);
  if (!unary) {
    read_predicate(Field::b, operand(2).one(), kNegC);
  }
}

void Decoder::decode_logic() {
  Modifiers& mods = instruction_.mods;
  const std::string_view base = mods.base();
  const Type type = mods.need_type();
  if (type == Type::pred && base != "cnot") {
    decode_predicate_logic(base);
    return;
  }
  const bool unary = base == "not" || base == "cnot";
  expect_operands(unary ? 2 : 3);
  if (type != Type::b16 && type != Type::b32 && type != Type::b64) {
    fail("needs .pred, .b16, .b32 or .b64");
  }
  emit(base == "and"   ? Code::bit_and
       : base == "or"  ? Code::bit_or
       : base == "xor" ? Code::bit_xor
       : base == "not" ? Code::bit_not
                       : Code::cnot,
       as_unsigned(type));
  write(Field::d, operand(0).one(), type);
  read_all(type, 1, unary ? 1 : 2);
}

void Decoder::decode_shift() {
  Modifiers& mods = instruction_.mods;
  expect_operands(3);
  const Type given = mods.need_type();
  const Type type = as_unsigned(given);
  if (!is_wide_integer(type) || (mods.base() == "shl" && !is_bits(given))) {
    fail("needs 16-, 32- or 64-bit operands, and .shl those of .b");
  }
  emit(mods.base() == "shl" ? Code::shl : Code::shr, type);
  write(Field::d, operand(0).one(), given);
  read(Field::a, operand(1).one(), given);
  Scalar distance = operand(2).one();
  // NVIDIA's assembler keeps 16 bits of a constant where the operands have 16.
  if (distance.kind == Scalar::Kind::number && bytes_of(type) == 2) {
    distance.bits &= 0xffffU;
  }
  read(Field::b, distance, Type::u32);
}

void Decoder::decode_funnel_shift() {
  Modifiers& mods = instruction_.mods;
  expect_operands(4);
  const bool left = mods.take("l");
  if (!left && !mods.take("r")) {
    fail("needs .l or .r");
  }
  const bool wrap = mods.take("wrap");
  if (!wrap && !mods.take("clamp")) {
    fail("needs .wrap or .clamp");
  }
  if (mods.need_type() != Type::b32) {
    fail("needs .b32");
  }
  Op& op = emit(left ? Code::shf_l : Code::shf_r, Type::u32);
  op.flags = wrap ? kWrap : 0U;
  write(Field::d, operand(0).one(), Type::b32);
  read_all(Type::b32, 1, 2);
  read(Field::c, operand(3).one(), Type::u32);
}

void Decoder::decode_bit_field() {
  Modifiers& mods = instruction_.mods;
  const std::string_view base = mods.base();
  if (base == "bmsk" || base == "szext") {
    expect_operands(3);
    const bool wrap = mods.take("wrap");
    if (!wrap && !mods.take("clamp")) {
      fail("needs .wrap or .clamp");
    }
    const Type given = mods.need_type();
    const Type type = as_unsigned(given);
    if (base == "bmsk" ? given != Type::b32 : given != Type::u32 && given != Type::s32) {
      fail("needs .b32, or as szext .u32 or .s32");
    }
    Op& op = emit(base == "bmsk" ? Code::bmsk : Code::szext, type);
    op.flags = wrap ? kWrap : 0U;
    write(Field::d, operand(0).one(), type);
    read_all(type, 1, 2);
    return;
  }
  const Type given = mods.need_type();
  const Type type = as_unsigned(given);
  if (!is_integer(type) || bytes_of(type) < 4 || is_bits(given) != (base == "bfi")) {
    fail("needs 32- or 64-bit operands: integers, or as bfi bits");
  }
  if (base == "bfe") {
    expect_operands(4);
    emit(Code::bfe, type);
    write(Field::d, operand(0).one(), given);
    read(Field::a, operand(1).one(), type);
    read(Field::b, operand(2).one(), Type::u32);
    read(Field::c, operand(3).one(), Type::u32);
    check_constant(2, 0, 255);
    check_constant(3, 0, 255);
    return;
  }
  expect_operands(5);
  check_constant(3, 0, 255);
  check_constant(4, 0, 255);
  Op& op = emit(Code::bfi, type);
  write(Field::d, operand(0).one(), given);
  read(Field::a, operand(1).one(), given);
  read(Field::b, operand(2).one(), given);
  read(Field::c, operand(3).one(), Type::u32);
  op.imm = word_entry(4);
}

void Decoder::decode_lop3() {
  Modifiers& mods = instruction_.mods;
  const std::uint32_t combines = mods.take("or") ? kBoolOr : mods.take("and") ? kBoolAnd : 0U;
  if (mods.need_type() != Type::b32) {
    fail("needs .b32");
  }
  expect_operands(combines != 0 ? 6 : 5);
  if ((operand(0).pair.kind == Scalar::Kind::reg) != (combines != 0)) {
    fail("gives a predicate, as in d|p, with .and or .or only, and always then");
  }
  const Scalar& table = operand(4).one();
  if (table.kind != Scalar::Kind::number || table.bits > 255) {
    fail("the look-up table must be a constant from 0 to 255");
  }
  Op& op = emit(Code::lop3, Type::u32);
  op.imm = static_cast<std::int64_t>(table.bits);
  if (combines == 0) {
    write(Field::d, operand(0).one(), Type::b32);
    read_all(Type::b32, 1, 3);
    return;
  }
  // p = (d != 0) op q, for which d needs a register of its own where the instruction names none.
  const Scalar& target = operand(0).one();
  if (target.kind == Scalar::Kind::reg && target.bytes != 4) {
    fail("needs a 32-bit destination");
  }
  check_type(target, Type::b32);
  const std::uint32_t result = target.kind == Scalar::Kind::reg ? target.reg : new_register(4);
  reference(Field::d, result, true);
  read_all(Type::b32, 1, 3);
  Op& test = emit(Code::setp, Type::u32);
  test.source = Type::pred;
  test.sub = static_cast<std::uint8_t>(Compare::eq);
  test.flags = kInvert | combines;
  test.b = constant(0, 4);
  write_predicate(Field::d, operand(0).pair);
  write_predicate(Field::d2, Scalar{});
  reference(Field::a, result, false);
  read_predicate(Field::c, operand(5).one(), kNegC);
}

void Decoder::decode_prmt() {
  Modifiers& mods = instruction_.mods;
  if (mods.need_type() != Type::b32) {
    fail("needs .b32");
  }
  expect_operands(4);
  static constexpr std::array<std::string_view, 6> kModes{"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
  Op& op = emit(Code::prmt, Type::u32);
  op.sub = static_cast<std::uint8_t>(mods.take_any(kModes) + 1);
  write(Field::d, operand(0).one(), Type::b32);
  read_all(Type::b32, 1, 3);
}

void Decoder::decode_count_bits() {
  Modifiers& mods = instruction_.mods;
  const std::string_view base = mods.base();
  if (base == "fns") {
    expect_operands(4);
    if (mods.need_type() != Type::b32) {
      fail("needs .b32");
    }
    emit(Code::fns, Type::u32);
    write(Field::d, operand(0).one(), Type::b32);
    read_all(Type::b32, 1, 3);
    return;
  }
  expect_operands(2);
  const bool finds = base == "bfind";
  const bool amount = finds && mods.take("shiftamt");
  const Type given = mods.need_type();
  const Type type = as_unsigned(given);
  if (!is_integer(type) || bytes_of(type) < 4 || is_bits(given) == finds) {
    fail("needs 32- or 64-bit operands: bits, or as bfind integers");
  }
  const Code code = base == "popc"   ? Code::popc
                    : base == "clz"  ? Code::clz
                    : base == "brev" ? Code::brev
                                     : Code::bfind;
  Op& op = emit(code, type);
  op.flags = amount ? kShiftAmount : 0U;
  write(Field::d, operand(0).one(), code == Code::brev ? given : Type::u32);
  read(Field::a, operand(1).one(), given);
}

void Decoder::decode_dot_product() {
  Modifiers& mods = instruction_.mods;
  expect_operands(4);
  const bool two = mods.base() == "dp2a";
  const bool hi = two && mods.take("hi");
  if (two && !hi && !mods.take("lo")) {
    fail("needs .lo or .hi");
  }
  const Type a = mods.need_type();
  const Type b = mods.need_type();
  if ((a != Type::u32 && a != Type::s32) || (b != Type::u32 && b != Type::s32)) {
    fail("needs .u32 or .s32 twice");
  }
  Op& op = emit(two ? Code::dp2a : Code::dp4a, Type::u32);
  op.flags = (a == Type::s32 ? kSignedA : 0U) | (b == Type::s32 ? kSignedB : 0U) | (hi ? kHigh : 0U);
  write(Field::d, operand(0).one(), Type::u32);
  read_all(Type::u32, 1, 3);
}

void Decoder::comparison(Op& op, Type given) {
  Modifiers& mods = instruction_.mods;
  struct Name {
    std::string_view name;
    Compare base;
    bool swap;
    bool invert;
    int kind;  ///< 0 any, 1 unsigned integers, 2 floats
  };
  static constexpr std::array<Name, 18> kNames{{
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
  for (const Name& entry : kNames) {
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
    op.flags |= invert ? kInvert : 0U;
    read(entry.swap ? Field::b : Field::a, operand(1).one(), given);
    read(entry.swap ? Field::a : Field::b, operand(2).one(), given);
    return;
  }
  fail(is_bits(given) ? "bits are compared by .eq and .ne" : "needs a comparison such as .lt");
}

namespace {

bool is_pair(Type type) {
  return type == Type::f16x2 || type == Type::bf16x2;
}

bool is_comparable(Type type) {
  return (is_plain(type) && type != Type::b128) || type == Type::f16 || type == Type::bf16 || is_pair(type);
}

/// Whether set has results of `result` for operands of `type`.
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

void Decoder::decode_set() {
  Modifiers& mods = instruction_.mods;
  const bool setp = mods.base() == "setp";
  const Type result = setp ? Type::pred : mods.need_type();
  const Type given = mods.need_type();
  const Type type = as_unsigned(given);
  if (!is_comparable(given)) {
    fail(fmt::format("is not for .{}", name_of(given)));
  }
  if (!setp && !sets(result, given)) {
    fail(fmt::format("gives no .{} for .{}", name_of(result), name_of(given)));
  }
  Op& op = emit(setp ? Code::setp : Code::set, type);
  op.source = result;
  const bool flushes =
      (type == Type::f32 || type == Type::f16 || type == Type::f16x2) && result != Type::bf16;
  op.flags |= flushes && mods.take("ftz") ? kFtz : 0U;
  if (setp) {
    if ((type == Type::f16 || type == Type::bf16) && operand(0).pair.kind != Scalar::Kind::none) {
      fail(fmt::format("gives one predicate for .{}", name_of(type)));
    }
    write_predicate(Field::d, operand(0).one());
    write_predicate(Field::d2, operand(0).pair);
  } else {
    // The assembler takes integers for bf16 here, and for bf16x2 everything of its size.
    write(Field::d, operand(0).one(),
          result == Type::bf16     ? Type::u16
          : result == Type::bf16x2 ? Type::b32
                                   : result);
  }
  // The comparison comes first in the opcode, so it must be taken before a boolean operator of the same
  // spelling.
  comparison(op, given);
  op.flags |= mods.take("and") ? kBoolAnd : mods.take("or") ? kBoolOr : mods.take("xor") ? kBoolXor : 0U;
  const bool combines = (op.flags & (kBoolAnd | kBoolOr | kBoolXor)) != 0;
  expect_operands(combines ? 4 : 3);
  if (combines) {
    read_predicate(Field::c, operand(3).one(), kNegC);
  }
}

void Decoder::decode_selp() {
  expect_operands(4);
  const Type type = instruction_.mods.need_type();
  if (!is_plain(type) || bytes_of(type) > 8) {
    fail("operand type not allowed");
  }
  emit(Code::selp, type);
  write(Field::d, operand(0).one(), type);
  read_all(type, 1, 2);
  read_predicate(Field::c, operand(3).one(), kNegC);
}

void Decoder::decode_slct() {
  expect_operands(4);
  Modifiers& mods = instruction_.mods;
  const bool ftz = mods.take("ftz");
  const Type type = mods.need_type();
  const Type selector = mods.need_type();
  if (!is_plain(type) || bytes_of(type) > 8 || (ftz && selector != Type::f32) ||
      (selector != Type::s32 && selector != Type::f32)) {
    fail("operand type not allowed");
  }
  Op& op = emit(Code::slct, type);
  op.source = selector;
  op.flags = ftz ? kFtz : 0U;
  write(Field::d, operand(0).one(), type);
  read_all(type, 1, 2);
  read(Field::c, operand(3).one(), selector);
}

}  // namespace kerncast::simulator
