#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "runtime/simulator/ptx/decoder.hpp"

namespace kerncast::simulator {

namespace {

struct TypeName {
  std::string_view name;
  Type type;
  std::uint8_t bytes;
};

constexpr std::array<TypeName, 30> kTypes{{
    {"b8", Type::b8, 1},         {"b16", Type::b16, 2},         {"b32", Type::b32, 4},
    {"b64", Type::b64, 8},       {"b128", Type::b128, 16},      {"u8", Type::u8, 1},
    {"u16", Type::u16, 2},       {"u32", Type::u32, 4},         {"u64", Type::u64, 8},
    {"s8", Type::s8, 1},         {"s16", Type::s16, 2},         {"s32", Type::s32, 4},
    {"s64", Type::s64, 8},       {"f16", Type::f16, 2},         {"f16x2", Type::f16x2, 4},
    {"bf16", Type::bf16, 2},     {"bf16x2", Type::bf16x2, 4},   {"f32", Type::f32, 4},
    {"f64", Type::f64, 8},       {"e4m3x2", Type::e4m3x2, 2},   {"e5m2x2", Type::e5m2x2, 2},
    {"e2m1x2", Type::e2m1x2, 1}, {"ue8m0x2", Type::ue8m0x2, 2}, {"pred", Type::pred, 0},
    {"f32x2", Type::f32x2, 8},   {"u16x2", Type::u16x2, 4},     {"s16x2", Type::s16x2, 4},
    {"e2m3x2", Type::e2m3x2, 2}, {"e3m2x2", Type::e3m2x2, 2},   {"tf32", Type::tf32, 4},
}};

std::uint32_t width_class(unsigned bytes) {
  return bytes == 2 ? 0 : bytes == 4 ? 1 : 2;
}

}  // namespace

unsigned bytes_of(Type type) {
  for (const TypeName& entry : kTypes) {
    if (entry.type == type) {
      return entry.bytes;
    }
  }
  return 0;
}

std::string_view name_of(Type type) {
  for (const TypeName& entry : kTypes) {
    if (entry.type == type) {
      return entry.name;
    }
  }
  return "none";
}

bool is_signed(Type type) {
  return type >= Type::s8 && type <= Type::s64;
}
bool is_integer(Type type) {
  return type >= Type::u8 && type <= Type::s64;
}

bool is_bits(Type type) {
  return type >= Type::b8 && type <= Type::b128;
}
bool is_plain(Type type) {
  return (is_bits(type) || is_integer(type) || type == Type::f32 || type == Type::f64) && bytes_of(type) >= 2;
}

Modifiers::Modifiers(std::string_view opcode, int line) : opcode_(opcode), line_(line) {
  std::size_t dot = opcode.find('.');
  base_ = opcode.substr(0, dot);
  while (dot != std::string_view::npos) {
    const std::size_t start = dot + 1;
    dot = opcode.find('.', start);
    if (count_ == parts_.size()) {
      throw DecodeError(
          fmt::format("PTX line {}: '{}' has more parts than any known instruction", line, opcode), line);
    }
    parts_[count_++] = opcode.substr(start, dot == std::string_view::npos ? dot : dot - start);
  }
}

bool Modifiers::has(std::string_view name) const {
  for (std::size_t i = 0; i < count_; ++i) {
    if (parts_[i] == name) {
      return true;
    }
  }
  return false;
}

bool Modifiers::take(std::string_view name) {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) == 0 && parts_[i] == name) {
      taken_ |= 1U << i;
      return true;
    }
  }
  return false;
}

bool Modifiers::take_prefix(std::string_view prefix) {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) == 0 && parts_[i].starts_with(prefix)) {
      taken_ |= 1U << i;
      return true;
    }
  }
  return false;
}

std::string_view Modifiers::take_next() {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) == 0) {
      taken_ |= 1U << i;
      return parts_[i];
    }
  }
  return {};
}

Type Modifiers::take_type() {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) != 0) {
      continue;
    }
    for (const TypeName& entry : kTypes) {
      if (parts_[i] == entry.name) {
        taken_ |= 1U << i;
        return entry.type;
      }
    }
  }
  return Type::none;
}

Type Modifiers::need_type() {
  const Type type = take_type();
  if (type == Type::none) {
    throw DecodeError(fmt::format("PTX line {}: '{}' names no type this machine knows", line_, opcode_),
                      line_);
  }
  return type;
}

Rounding Modifiers::take_rounding() {
  static constexpr std::array<std::string_view, 7> kNames{"rn", "rz", "rm", "rp", "rna", "approx", "full"};
  return static_cast<Rounding>(take_any(kNames) + 1);
}

void Modifiers::finish() const {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) == 0) {
      throw DecodeError(fmt::format("PTX line {}: '{}': the virtual GPU does not know '.{}' here", line_,
                                    opcode_, parts_[i]),
                        line_);
    }
  }
}

void Decoder::fail(const std::string& what) const {
  const int line = instruction_.line;
  throw DecodeError(fmt::format("PTX line {}: {}: {}", line, instruction_.mods.opcode(), what), line);
}

void Decoder::need(const Requirement& needed, std::string_view detail) const {
  if (const std::string missing = lacking(needed, target_); !missing.empty()) {
    fail(detail.empty() ? missing : fmt::format("{} {}", detail, missing));
  }
}

void Decoder::unsupported(std::string_view what) const {
  fail(fmt::format("the virtual GPU does not support {}", what));
}

const Operand& Decoder::operand(std::size_t index) {
  if (index >= instruction_.count) {
    fail(fmt::format("operand {} is missing", index + 1));
  }
  return instruction_.operands[index];
}

void Decoder::expect_address(std::size_t index) {
  if (operand(index).kind != Operand::Kind::address) {
    fail("needs an address operand in brackets");
  }
  if (operand(index).one().kind == Scalar::Kind::number) {
    fail("a constant address is for local memory");
  }
  check_address_type(operand(index).one());
}

void Decoder::check_word(std::size_t index) {
  const Scalar& scalar = operand(index).one();
  const bool number = scalar.kind == Scalar::Kind::number && scalar.float_bytes == 0;
  if (!number && (scalar.kind != Scalar::Kind::reg || scalar.bytes != 4)) {
    fail(fmt::format("operand {} must have 32 bits", index + 1));
  }
  check_type(scalar, Type::u32);
}

std::uint32_t Decoder::word_entry(std::size_t index) {
  check_word(index);
  return list_entry(operand(index).one(), 4, false);
}

void Decoder::check_policy(std::size_t index) {
  const Scalar& scalar = operand(index).one();
  if (operand(index).kind != Operand::Kind::scalar ||
      !(scalar.kind == Scalar::Kind::number || (scalar.kind == Scalar::Kind::reg && scalar.bytes == 8))) {
    fail(fmt::format("operand {} must be a cache policy, of 64 bits", index + 1));
  }
  check_type(scalar, Type::u64);
}

void Decoder::check_constant(std::size_t index, std::int64_t least, std::int64_t most, std::int64_t step) {
  const Scalar& scalar = operand(index).one();
  if (scalar.kind != Scalar::Kind::number) {
    return;
  }
  const auto value = static_cast<std::int64_t>(scalar.bits);
  if (scalar.float_bytes != 0 || value < least || value > most || value % step != 0) {
    fail(fmt::format("operand {} must be {} from {} to {}", index + 1,
                     step == 1 ? std::string("a number") : fmt::format("a multiple of {}", step), least,
                     most));
  }
}

void Decoder::expect_operands(std::size_t least, std::size_t most) const {
  if (instruction_.count < least || instruction_.count > most) {
    fail(fmt::format("has {} operands, needs {}", instruction_.count,
                     least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most)));
  }
}

void Decoder::expect_operands(std::size_t count) const {
  expect_operands(count, count);
}

Op& Decoder::emit(Code code, Type type) {
  Op op;
  op.code = code;
  op.type = type;
  op.prefix = instruction_count_ + (emitted_ ? 1 : 0);
  op.guard = frame_header::kTrue;
  emitted_ = true;
  body_.ops.push_back(op);
  body_.lines.push_back(static_cast<std::uint32_t>(instruction_.line));
  if (instruction_.guarded) {
    body_.ops.back().guard_xor = instruction_.guard_negated ? kAllLanes : 0;
    reference(Field::guard, instruction_.guard, false);
  }
  return body_.ops.back();
}

std::uint32_t Decoder::new_register(unsigned bytes) {
  body_.register_bytes.push_back(static_cast<std::uint8_t>(bytes));
  return static_cast<std::uint32_t>(body_.register_bytes.size() - 1);
}

std::uint32_t Decoder::constant(std::uint64_t bits, unsigned bytes) {
  if (bytes > sizeof(bits)) {
    fail("takes a 128-bit operand from registers only");
  }
  if (bytes < 8) {
    bits &= (std::uint64_t{1} << (8 * bytes)) - 1;
  }
  auto [entry, fresh] = constant_offsets_[width_class(bytes)].try_emplace(bits, 0);
  if (fresh) {
    const std::size_t start = constant_bytes_.size();
    constant_bytes_.resize(start + std::size_t{kLanes} * bytes);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      std::memcpy(constant_bytes_.data() + start + lane * bytes, &bits, bytes);
    }
    entry->second = static_cast<std::uint32_t>(start) | 1U;
  }
  return entry->second;
}

void Decoder::reference(Field field, std::uint32_t reg, bool defines) {
  RegisterUse use;
  use.op = static_cast<std::uint32_t>(body_.ops.size() - 1);
  use.reg = reg;
  use.field = static_cast<std::uint8_t>(field);
  use.defines = defines;
  body_.uses.push_back(use);
}

namespace {

std::uint32_t& slot_of(Op& op, unsigned field) {
  switch (field) {
    case 0:
      return op.d;
    case 1:
      return op.a;
    case 2:
      return op.b;
    case 3:
      return op.c;
    default:
      return op.d2;
  }
}

}  // namespace

std::uint64_t Decoder::number_bits(const Scalar& scalar, Type type) const {
  if (type == Type::f32 || type == Type::f64) {
    if (scalar.float_bytes == 0) {
      fail(fmt::format("the constant of a .{} operand must be a float such as 0f3F800000", name_of(type)));
    }
    if (type == Type::f32 && scalar.float_bytes == 8) {
      return std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(scalar.bits)));
    }
    if (type == Type::f64 && scalar.float_bytes == 4) {
      return std::bit_cast<std::uint64_t>(
          static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(scalar.bits))));
    }
    return scalar.bits;
  }
  if (!is_bits(type) && !is_integer(type)) {
    fail(fmt::format("takes .{} operands from registers only", name_of(type)));
  }
  if (scalar.float_bytes != 0 && (!is_bits(type) || scalar.float_bytes != bytes_of(type))) {
    fail(fmt::format("a float constant where the operand is .{}", name_of(type)));
  }
  return scalar.bits;
}

std::uint64_t Decoder::number_bits_of(const Scalar& scalar, unsigned bytes) const {
  if (scalar.float_bytes == 8 && bytes == 4) {
    return std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(scalar.bits)));
  }
  if (scalar.float_bytes != 0 && scalar.float_bytes != bytes) {
    fail(fmt::format("a {}-byte float constant where the operand has {} bytes", scalar.float_bytes, bytes));
  }
  return scalar.bits;
}

void Decoder::read(Field field, const Scalar& scalar, Type type) {
  if (scalar.kind == Scalar::Kind::number) {
    const unsigned bytes = bytes_of(type) < 2 ? 2 : bytes_of(type);
    slot_of(body_.ops.back(), static_cast<unsigned>(field)) = constant(number_bits(scalar, type), bytes);
    return;
  }
  read_register(field, scalar, type);
}

void Decoder::read_register(Field field, const Scalar& scalar, Type type, unsigned bytes) {
  const bool may_be_wider = bytes > bytes_of(type);
  bytes = std::max({bytes, bytes_of(type), 2U});
  switch (scalar.kind) {
    case Scalar::Kind::reg:
      if (scalar.bytes != bytes) {
        fail(fmt::format("operand '{}' has {} bits, the instruction needs {}", scalar.text, scalar.bytes * 8,
                         bytes * 8));
      }
      check_type(scalar, type, may_be_wider);
      reference(field, scalar.reg, false);
      break;
    case Scalar::Kind::number:
      slot_of(body_.ops.back(), static_cast<unsigned>(field)) =
          constant(number_bits_of(scalar, bytes), bytes);
      break;
    case Scalar::Kind::variable:
      if (instruction_.mods.base() != "mov" && instruction_.mods.base() != "cvta") {
        fail(fmt::format("the address of '{}' can only be read by mov and cvta", scalar.text));
      }
      if (bytes < 4) {
        fail(fmt::format("the address of '{}' needs a 32- or 64-bit operand", scalar.text));
      }
      slot_of(body_.ops.back(), static_cast<unsigned>(field)) =
          constant(scalar.variable->address + scalar.bits, bytes);
      break;
    case Scalar::Kind::special:
      fail(fmt::format("special register '{}' can only be read by mov and cvt", scalar.text));
    default:
      fail(fmt::format("'{}' is not a register, constant or variable declared here", scalar.text));
  }
}

void Decoder::write(Field field, const Scalar& scalar, Type type, unsigned bytes) {
  const bool may_be_wider = bytes > bytes_of(type);
  bytes = std::max({bytes, bytes_of(type), 2U});
  if (scalar.kind == Scalar::Kind::sink) {
    reference(field, new_register(bytes), true);
    return;
  }
  if (scalar.kind != Scalar::Kind::reg) {
    fail(fmt::format("destination '{}' is not a register declared here", scalar.text));
  }
  if (scalar.bytes != bytes) {
    fail(fmt::format("destination '{}' has {} bits, the instruction writes {}", scalar.text, scalar.bytes * 8,
                     bytes * 8));
  }
  check_type(scalar, type, may_be_wider);
  reference(field, scalar.reg, true);
}

void Decoder::read_predicate(Field field, const Scalar& scalar, std::uint32_t negate_flag) {
  Op& op = body_.ops.back();
  if (scalar.negated) {
    op.flags |= negate_flag;
  }
  if (scalar.kind == Scalar::Kind::number && scalar.float_bytes == 0) {
    slot_of(op, static_cast<unsigned>(field)) = scalar.bits != 0 ? frame_header::kTrue : frame_header::kFalse;
    return;
  }
  if (scalar.kind != Scalar::Kind::reg || scalar.bytes != 0) {
    fail(fmt::format("'{}' is not a predicate", scalar.text));
  }
  reference(field, scalar.reg, false);
}

void Decoder::write_predicate(Field field, const Scalar& scalar) {
  if (scalar.kind == Scalar::Kind::sink || scalar.kind == Scalar::Kind::none) {
    reference(field, new_register(0), true);
    return;
  }
  if (scalar.kind != Scalar::Kind::reg || scalar.bytes != 0) {
    fail(fmt::format("destination '{}' is not a predicate", scalar.text));
  }
  reference(field, scalar.reg, true);
}

std::uint32_t Decoder::list_entry(const Scalar& scalar, unsigned bytes, bool defines) {
  const auto entry = static_cast<std::uint32_t>(module_.lists.size());
  module_.lists.push_back(0);
  bytes = bytes < 2 ? 2 : bytes;
  std::uint32_t reg = scalar.reg;
  if (scalar.kind == Scalar::Kind::number && !defines) {
    module_.lists[entry] = constant(number_bits_of(scalar, bytes), bytes);
    return entry;
  }
  if (scalar.kind == Scalar::Kind::variable && !defines && bytes >= 4) {
    module_.lists[entry] = constant(scalar.variable->address + scalar.bits, bytes);
    return entry;
  }
  if (scalar.kind == Scalar::Kind::sink && defines) {
    reg = new_register(bytes);
  } else if (scalar.kind != Scalar::Kind::reg) {
    fail(fmt::format("vector element '{}' is not a register declared here", scalar.text));
  } else if (scalar.bytes != bytes) {
    fail(fmt::format("vector element '{}' has {} bits, the instruction needs {}", scalar.text,
                     scalar.bytes * 8, bytes * 8));
  }
  RegisterUse use;
  use.op = static_cast<std::uint32_t>(body_.ops.size() - 1);
  use.reg = reg;
  use.list = entry;
  use.defines = defines;
  use.in_list = true;
  body_.uses.push_back(use);
  return entry;
}

void Decoder::materialise(Operand& operand) {
  // Special registers, and addresses that depend on the call or the kernel, are read by an op of their own
  // before the instruction.
  const bool in_address = operand.kind == Operand::Kind::address;
  for (std::size_t i = 0; i < operand.count; ++i) {
    Scalar& scalar = operand.parts[i];
    if (scalar.kind == Scalar::Kind::special && instruction_.mods.base() == "cvt") {
      const std::uint32_t reg = new_register(scalar.bytes);
      const bool guarded = std::exchange(instruction_.guarded, false);
      Op& op = emit(Code::mov_special, scalar.bytes == 8 ? Type::u64 : Type::u32);
      instruction_.guarded = guarded;
      op.sub = static_cast<std::uint8_t>(scalar.special);
      reference(Field::d, reg, true);
      scalar.kind = Scalar::Kind::reg;
      scalar.reg = reg;
      continue;
    }
    if (scalar.kind != Scalar::Kind::variable) {
      continue;
    }
    const Variable& variable = *scalar.variable;
    if (!variable.external_shared && (in_address || !variable.frame_relative)) {
      continue;
    }
    const unsigned bytes = 8;
    const std::uint32_t reg = new_register(bytes);
    const bool guarded = std::exchange(instruction_.guarded, false);
    Op& op = emit(Code::mov_special, Type::u64);
    instruction_.guarded = guarded;
    op.sub = static_cast<std::uint8_t>(variable.external_shared ? Special::dynamic_shared_base
                                                                : Special::local_base);
    op.imm = static_cast<std::int64_t>(scalar.bits + variable.address);
    if (variable.space == Space::param) {
      op.imm = static_cast<std::int64_t>(static_cast<std::uint64_t>(op.imm) | kLocalWindow);
    }
    reference(Field::d, reg, true);
    scalar.kind = Scalar::Kind::reg;
    scalar.reg = reg;
    scalar.bytes = bytes;
  }
}

void Decoder::check_space(const Scalar& named, Space space) const {
  const Space own = named.variable->space;
  if (space == Space::generic ? own == Space::constant || own == Space::param : own != space) {
    fail(fmt::format("'{}' is not a variable of the instruction's state space", named.text));
  }
}

void Decoder::address(const Operand& operand, Space space, std::uint64_t bytes) {
  Op& op = body_.ops.back();
  if (operand.kind != Operand::Kind::address) {
    fail("needs an address operand in brackets");
  }
  const Scalar& base = operand.one();
  // Constants lie in global memory here, and an address of a parameter that is held by a register is generic.
  const bool names = base.kind == Scalar::Kind::variable;
  op.sub = static_cast<std::uint8_t>(space == Space::constant          ? Space::global
                                     : space == Space::param && !names ? Space::generic
                                                                       : space);
  op.imm = operand.offset;
  switch (base.kind) {
    case Scalar::Kind::reg:
      if (base.bytes != 8 && base.bytes != 4) {
        fail(fmt::format("address '{}' has {} bits, needs 32 or 64", base.text, base.bytes * 8));
      }
      check_address_type(base);
      if (base.bytes == 4) {
        op.flags |= kNarrowAddress;
      }
      reference(Field::a, base.reg, false);
      return;
    case Scalar::Kind::number:
      if (space != Space::local) {
        fail("a constant address is for local memory");
      }
      op.a = constant(base.bits, 8);
      return;
    case Scalar::Kind::variable: {
      const Variable& variable = *base.variable;
      check_space(base, space);
      if (variable.frame_relative) {
        op.sub = static_cast<std::uint8_t>(Space::local);
        op.a = frame_header::kLocalBase;
        op.flags |= kNarrowAddress;
        const auto first = static_cast<std::uint64_t>(operand.offset) + base.bits;
        if (operand.offset < 0 || first + bytes > variable.size) {
          fail(fmt::format("access of {} bytes at offset {} of '{}', which has {}", bytes, operand.offset,
                           base.text, variable.size));
        }
        op.imm = static_cast<std::int64_t>(variable.address + first);
        return;
      }
      std::uint64_t target = variable.address + base.bits;
      if (space == Space::generic && variable.space == Space::shared) {
        target |= kSharedWindow;
      }
      op.a = constant(target, 8);
      return;
    }
    default:
      fail(fmt::format("'{}' is not an address", base.text));
  }
}

}  // namespace kerncast::simulator
