#include <fmt/format.h>

#include <optional>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

namespace {

bool is_scalar_float(Type type) {
  return type == Type::f16 || type == Type::bf16 || type == Type::f32 || type == Type::f64;
}

bool is_packed_small(Type type) {
  return type == Type::e4m3x2 || type == Type::e5m2x2 || type == Type::e2m1x2 || type == Type::ue8m0x2 ||
         type == Type::e2m3x2 || type == Type::e3m2x2;
}

bool is_packed_half(Type type) {
  return type == Type::f16x2 || type == Type::bf16x2;
}

void decode_pack(DecodeContext& c, const Operand& to, const Operand& from, Type type) {
  const bool packs = from.kind == Operand::Kind::vector;
  const Operand& parts = packs ? from : to;
  const Operand& whole = packs ? to : from;
  if (whole.kind != Operand::Kind::scalar) {
    c.fail("one side must be a single register");
  }
  c.check_type(whole.one(), type);
  const unsigned bytes = bytes_of(type);
  const unsigned element = parts.count == 0 ? 0 : bytes / parts.count;
  if (!is_bits(type)) {
    c.fail("packs and unpacks bits, such as .b32");
  }
  if (element == 0 || element * parts.count != bytes || element > 8 || parts.count > 4) {
    c.fail(fmt::format("{} elements do not fill {} bits", parts.count, bytes * 8));
  }
  c.check_elements(parts, element == 1   ? Type::b8
                          : element == 2 ? Type::b16
                          : element == 4 ? Type::b32
                                         : Type::b64);
  const auto emit_one = [&](const Scalar& scalar, std::uint32_t reg_offset, std::size_t first,
                            std::size_t count, unsigned total) {
    Op& op = c.emit(packs ? Code::widen_parts : Code::narrow_parts, total == 8   ? Type::u64
                                                                    : total == 4 ? Type::u32
                                                                                 : Type::u16);
    op.count = static_cast<std::uint8_t>(count);
    op.width = static_cast<std::uint8_t>(element);
    op.d2 = static_cast<std::uint32_t>(c.program.lists.size());
    for (std::size_t i = 0; i < count; ++i) {
      c.list_entry(parts.parts[first + i], element, !packs);
    }
    if (scalar.bytes == 16) {
      c.reference(packs ? Field::d : Field::a, scalar.reg + reg_offset, packs);
    } else if (packs) {
      c.write(Field::d, scalar, type);
    } else {
      c.read_register(Field::a, scalar, type);
    }
  };
  if (bytes <= 8) {
    emit_one(whole.one(), 0, 0, parts.count, bytes);
    return;
  }
  if (whole.one().kind != Scalar::Kind::reg || whole.one().bytes != 16) {
    c.fail("needs a 128-bit register");
  }
  const std::size_t half = parts.count / 2U;
  for (std::uint32_t i = 0; i < 2; ++i) {
    emit_one(whole.one(), i, i * half, half, 8);
  }
}

/// Moves a special register, or an address that depends on the call or the kernel.
void move_special(DecodeContext& c, const Scalar& to, Type type, Special special, std::uint64_t offset) {
  Op& op = c.emit(Code::mov_special, bytes_of(type) == 8 ? Type::u64 : Type::u32);
  op.sub = static_cast<std::uint8_t>(special);
  op.imm = static_cast<std::int64_t>(offset);
  c.write(Field::d, to, type);
}

void move_special_register(DecodeContext& c, const Scalar& to, const Scalar& from, Type type) {
  if (bytes_of(type) != from.bytes && from.special != Special::gridid) {
    c.fail(fmt::format("special register '{}' has {} bits", from.text, from.bytes * 8));
  }
  move_special(c, to, type, from.special, 0);
}

void move_relative_address(DecodeContext& c, const Scalar& to, const Scalar& from, Type type) {
  if (bytes_of(type) < 4) {
    c.fail("addresses have 32 or 64 bits");
  }
  const Variable& variable = *from.variable;
  const std::uint64_t window = variable.space == Space::param ? local_window : 0;
  move_special(c, to, type, variable.external_shared ? Special::dynamic_shared_base : Special::local_base,
               (variable.address + from.bits) | window);
}

void move_function_pointer(DecodeContext& c, const Scalar& to, const Scalar& from, Type type) {
  if (from.text.starts_with('%')) {
    c.fail(fmt::format("there is no register '{}'", from.text));
  }
  if (bytes_of(type) != 8) {
    c.fail("function pointers have 64 bits");
  }
  const std::optional<std::uint64_t> pointer = c.functions.pointer_to(from.text);
  if (!pointer) {
    c.fail(fmt::format("'{}' is not a variable or device function declared here", from.text));
  }
  c.emit(Code::mov, Type::u64).a = c.constant(*pointer, 8);
  c.write(Field::d, to, type);
}

/// Moves 128 bits, which two registers of 64 hold.
void move_wide(DecodeContext& c, const Scalar& to, const Scalar& from) {
  if (to.kind != Scalar::Kind::reg || to.bytes != 16 || from.kind != Scalar::Kind::reg || from.bytes != 16) {
    c.fail("needs 128-bit registers");
  }
  for (unsigned half = 0; half < 2; ++half) {
    c.emit(Code::mov, Type::u64);
    c.reference(Field::d, to.reg + half, true);
    c.reference(Field::a, from.reg + half, false);
  }
}

}  // namespace

void decode_mov(DecodeContext& c) {
  c.expect_operands(2);
  const Type type = c.mods().need_type();
  const Operand& target = c.operand(0);
  const Operand& from = c.operand(1);
  const Scalar& to = target.one();
  const Scalar& source = from.one();
  const bool has_braces = target.kind == Operand::Kind::vector || from.kind == Operand::Kind::vector;
  if (type == Type::pred) {
    if (has_braces) {
      c.fail("predicates do not take braces");
    }
    c.emit(Code::mov_pred, type);
    c.write_predicate(Field::d, to);
    c.read_predicate(Field::a, source, flag::neg_a);
    return;
  }
  if (!is_plain(type)) {
    c.fail("operand type not allowed");
  }
  if (has_braces) {
    decode_pack(c, target, from, type);
    return;
  }
  const bool is_variable = source.kind == Scalar::Kind::variable;
  if ((source.kind == Scalar::Kind::special || is_variable) && (type == Type::f32 || type == Type::f64)) {
    c.fail("needs a type of integers or bits for an address or special register");
  }
  if (source.kind == Scalar::Kind::special) {
    move_special_register(c, to, source, type);
  } else if (is_variable && (source.variable->external_shared || source.variable->frame_relative)) {
    move_relative_address(c, to, source, type);
  } else if (source.kind == Scalar::Kind::name) {
    move_function_pointer(c, to, source, type);
  } else if (type == Type::b128) {
    move_wide(c, to, source);
  } else {
    // Kernel parameters have addresses of their own window, so that generic loads can reach them.
    Scalar value = source;
    Variable parameter;
    if (is_variable && value.variable->space == Space::param) {
      parameter = *value.variable;
      parameter.address |= param_window;
      value.variable = &parameter;
    }
    const unsigned bytes = bytes_of(type);
    c.emit(Code::mov, bytes == 2 ? Type::u16 : bytes == 4 ? Type::u32 : Type::u64);
    c.write(Field::d, to, type);
    if (value.kind == Scalar::Kind::number) {
      c.read(Field::a, value, type);
    } else {
      c.read_register(Field::a, value, type);
    }
  }
}

namespace {

void check_conversion(DecodeContext& c, const Op& op) {
  const Type to = op.type;
  const Type from = op.source;
  const bool to_float = is_scalar_float(to);
  const bool from_float = is_scalar_float(from);
  const bool brain = to == Type::bf16 || from == Type::bf16;
  if (brain && (bytes_of(to) == 1 || bytes_of(from) == 1)) {
    c.fail(".bf16 is not converted from and to 8 bits");
  }
  if ((op.flags & flag::to_integer) != 0 ? !from_float || (to_float && to != from)
                                         : op.rounding == Rounding::none && from_float && !to_float) {
    c.fail(to_float || !from_float ? "rounds to integers only within one float type"
                                   : "needs .rni, .rzi, .rmi or .rpi");
  }
  if ((op.flags & flag::to_integer) == 0) {
    // Halves may name a rounding, or not, whenever one of the two types is bf16.
    const bool widens = to_float && from_float && bytes_of(to) > bytes_of(from);
    const bool rounds = to_float && to != from && (!widens || brain);
    const bool must_round = rounds && !(from_float && bytes_of(from) == 2);
    if (op.rounding > Rounding::rp || (op.rounding == Rounding::none ? must_round : !rounds)) {
      c.fail(must_round ? "needs .rn, .rz, .rm or .rp" : "rounding not allowed");
    }
  }
  const bool fits = !to_float && !from_float &&
                    (is_signed(from) == is_signed(to) ? bytes_of(to) >= bytes_of(from)
                                                      : is_signed(to) && bytes_of(to) > bytes_of(from));
  std::uint32_t allowed =
      (to == Type::f32 || from == Type::f32 ? flag::ftz : 0U) | (brain || fits ? 0U : flag::sat);
  if (from == Type::f32 && to_float && bytes_of(to) == 2 && op.rounding <= Rounding::rz &&
      (op.flags & (flag::ftz | flag::sat)) == 0) {
    allowed = flag::relu | flag::sat_finite;
  }
  if ((op.flags & ~(allowed | flag::to_integer)) != 0) {
    c.fail(fmt::format("modifier not allowed from .{} to .{}", name_of(from), name_of(to)));
  }
}

void decode_cvt_packed(DecodeContext& c, Type to, Type from) {
  Modifiers& mods = c.mods();
  const bool unpacks = is_packed_small(from);
  Op& op = c.emit(unpacks ? Code::cvt_unpack : Code::cvt_pack, to);
  op.source = from;
  op.rounding = mods.take_rounding();
  op.flags = (mods.take("relu") ? flag::relu : 0U) | (mods.take("satfinite") ? flag::sat_finite : 0U);
  const bool powers = to == Type::ue8m0x2 || from == Type::ue8m0x2;
  const bool eighths =
      to == Type::e4m3x2 || to == Type::e5m2x2 || from == Type::e4m3x2 || from == Type::e5m2x2;
  // sm_90 had these before sm_89.
  if (eighths && c.target.sm < 90) {
    c.need({89, 81});
  }
  // The assembler holds bf16x2 beside ue8m0x2 to its size alone.
  c.write(Field::d, c.operand(0).one(), powers && to == Type::bf16x2 ? Type::b32 : to);
  if (unpacks) {
    c.expect_operands(2);
    if (to != (powers ? Type::bf16x2 : Type::f16x2)) {
      c.fail("types not allowed");
    }
    if (op.rounding != Rounding::rn || (op.flags & ~(powers ? 0U : flag::relu)) != 0) {
      c.fail(powers ? "needs .rn alone" : "needs .rn and at most .relu");
    }
    c.read_register(Field::a, c.operand(1).one(), from);
    return;
  }
  if (powers) {
    if ((op.rounding != Rounding::rz && op.rounding != Rounding::rp) || (op.flags & flag::relu) != 0) {
      c.fail("needs .rz or .rp, and takes no .relu");
    }
  } else if (is_packed_small(to)) {
    if (op.rounding != Rounding::rn || (op.flags & flag::sat_finite) == 0) {
      c.fail("needs .rn and .satfinite");
    }
  } else if (op.rounding != Rounding::rn && op.rounding != Rounding::rz) {
    c.fail("needs .rn or .rz");
  }
  if (is_packed_half(from)) {
    c.expect_operands(2);
    const bool taken = powers                ? from == Type::bf16x2
                       : is_packed_small(to) ? from == Type::f16x2 && to != Type::e2m3x2 && to != Type::e3m2x2
                                             : false;
    if (!taken) {
      c.fail("types not allowed");
    }
    if (c.operand(1).one().kind == Scalar::Kind::number) {
      c.fail(fmt::format("takes .{} operands from registers only", name_of(from)));
    }
    c.read(Field::a, c.operand(1).one(), powers ? Type::b32 : from);
    return;
  }
  c.expect_operands(3);
  if (from != Type::f32) {
    c.fail("types not allowed");
  }
  c.read_all(Type::f32, 1, 2);
}

void decode_cvt_tf32(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(2);
  if (mods.need_type() != Type::f32) {
    c.fail("needs .f32");
  }
  Op& op = c.emit(Code::cvt, Type::tf32);
  op.source = Type::f32;
  op.rounding = mods.take_rounding();
  op.flags = (mods.take("relu") ? flag::relu : 0U) | (mods.take("satfinite") ? flag::sat_finite : 0U);
  if (op.rounding != Rounding::rn && op.rounding != Rounding::rz && op.rounding != Rounding::rna) {
    c.fail("needs .rn, .rz or .rna");
  }
  if (op.rounding == Rounding::rna && (op.flags & flag::relu) != 0) {
    c.fail(".relu needs .rn or .rz");
  }
  c.write(Field::d, c.operand(0).one(), Type::tf32);
  c.read(Field::a, c.operand(1).one(), Type::f32);
}

void decode_cvt_pack_integer(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (!mods.take("sat")) {
    c.fail("needs .sat");
  }
  const Type to = mods.need_type();
  const Type from = mods.need_type();
  const Type third = mods.take_type();
  c.expect_operands(third == Type::none ? 3 : 4);
  if (from != Type::s32 || (to != Type::u16 && to != Type::s16 && to != Type::u8 && to != Type::s8) ||
      (bytes_of(to) == 1) != (third == Type::b32)) {
    c.unsupported("these types");
  }
  Op& op = c.emit(Code::cvt_pack_int, to);
  op.source = from;
  c.write(Field::d, c.operand(0).one(), Type::u32);
  c.read_all(Type::s32, 1, 2);
  if (third != Type::none) {
    c.read(Field::c, c.operand(3).one(), third);
  }
}

}  // namespace

void decode_cvt(DecodeContext& c) {
  Modifiers& mods = c.mods();
  if (mods.take("pack")) {
    decode_cvt_pack_integer(c);
    return;
  }
  if (mods.take("tf32")) {
    decode_cvt_tf32(c);
    return;
  }
  const Type to = mods.need_type();
  const Type from = mods.need_type();
  if (is_packed_small(to) || is_packed_half(to) || is_packed_small(from) || is_packed_half(from)) {
    decode_cvt_packed(c, to, from);
    return;
  }
  c.expect_operands(2);
  if (!(is_integer(to) || is_scalar_float(to)) || !(is_integer(from) || is_scalar_float(from))) {
    c.fail("types not allowed");
  }
  static constexpr std::array<std::string_view, 4> integral_roundings{"rni", "rzi", "rmi", "rpi"};
  const int integral = mods.take_any(integral_roundings);
  Op& op = c.emit(Code::cvt, to);
  op.source = from;
  op.rounding = integral >= 0 ? static_cast<Rounding>(integral + 1) : mods.take_rounding();
  op.flags = (integral >= 0 ? flag::to_integer : 0U) | (mods.take("ftz") ? flag::ftz : 0U) |
             (mods.take("sat") ? flag::sat : 0U) | (mods.take("relu") ? flag::relu : 0U) |
             (mods.take("satfinite") ? flag::sat_finite : 0U);
  check_conversion(c, op);
  const bool to_float = is_scalar_float(to);
  const bool from_float = is_scalar_float(from);
  const Scalar& source = c.operand(1).one();
  const Scalar& target = c.operand(0).one();
  // Integers may sit in wider registers, unless the other side is bf16.
  const bool brain = to == Type::bf16 || from == Type::bf16;
  unsigned source_bytes = bytes_of(from) < 2 ? 2 : bytes_of(from);
  if (source.kind == Scalar::Kind::reg && source.bytes > source_bytes && !from_float && !brain) {
    source_bytes = source.bytes;
  }
  unsigned target_bytes = bytes_of(to) < 2 ? 2 : bytes_of(to);
  if (target.kind == Scalar::Kind::reg && target.bytes > target_bytes && !to_float && !brain) {
    target_bytes = target.bytes;
  }
  if (source_bytes > 8 || target_bytes > 8) {
    c.fail("128-bit registers cannot be converted");
  }
  op.width = static_cast<std::uint8_t>(source_bytes);
  op.count = static_cast<std::uint8_t>(target_bytes);
  c.write(Field::d, target, to, target_bytes);
  if (source.kind == Scalar::Kind::number) {
    c.read(Field::a, source, from);
  } else {
    c.read_register(Field::a, source, from, source_bytes);
  }
}

void decode_cvta(DecodeContext& c) {
  Modifiers& mods = c.mods();
  c.expect_operands(2);
  const bool to = mods.take("to");
  if (mods.take("param::func")) {
    c.fail("parameters of device functions have no generic address");
  }
  const Space space = take_space(c);
  if (space == Space::generic || (to && c.operand(1).one().kind != Scalar::Kind::reg)) {
    c.fail("needs a state space, and with .to a register");
  }
  const Type type = mods.need_type();
  if (type != Type::u64 && type != Type::u32) {
    c.fail("needs .u64 or .u32");
  }
  if (type == Type::u32) {
    c.unsupported("32-bit generic addresses");
  }
  const Scalar& source = c.operand(1).one();
  if (source.kind == Scalar::Kind::variable) {
    c.check_space(source, space);
  }
  Scalar value = source;
  Variable parameter;
  if (value.kind == Scalar::Kind::variable && value.variable->space == Space::param) {
    parameter = *value.variable;
    parameter.address |= param_window;
    value.variable = &parameter;
  }
  // Global and parameter addresses are generic as they are.
  const bool moves = space != Space::shared && space != Space::local;
  Op& op = c.emit(moves ? Code::mov : Code::cvta, Type::u64);
  op.sub = static_cast<std::uint8_t>(space);
  op.flags = to ? flag::address_to_space : 0U;
  c.write(Field::d, c.operand(0).one(), Type::u64);
  c.read_register(Field::a, value, Type::u64);
}

void decode_isspacep(DecodeContext& c) {
  c.expect_operands(2);
  if (c.mods().take("param::func")) {
    c.fail("parameters of device functions have no generic address");
  }
  const Space space = take_space(c);
  if (space == Space::generic) {
    c.fail("needs a state space");
  }
  Op& op = c.emit(Code::isspacep, Type::u64);
  op.sub = static_cast<std::uint8_t>(space);
  c.write_predicate(Field::d, c.operand(0).one());
  c.read_register(Field::a, c.operand(1).one(), Type::u64);
}

}  // namespace kerncast::simulator
