#include "runtime/simulator/ptx/decode_context.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

namespace {

std::uint32_t& slot_of(Op& op, Field field) {
  switch (field) {
    case Field::d:
      return op.d;
    case Field::a:
      return op.a;
    case Field::b:
      return op.b;
    case Field::c:
      return op.c;
    default:
      return op.d2;
  }
}

}  // namespace

Op& DecodeContext::emit(Code code, Type type) {
  Op op;
  op.code = code;
  op.type = type;
  op.prefix = instruction_count_ + (emitted_ ? 1 : 0);
  op.guard = frame_header::true_predicate;
  emitted_ = true;
  body.ops.push_back(op);
  body.lines.push_back(static_cast<std::uint32_t>(instruction_->line));
  if (instruction_->guarded) {
    body.ops.back().guard_xor = instruction_->guard_negated ? all_lanes : 0;
    reference(Field::guard, instruction_->guard, false);
  }
  return body.ops.back();
}

Op& DecodeContext::emit_unguarded(Code code, Type type) {
  const bool guarded = std::exchange(instruction_->guarded, false);
  Op& op = emit(code, type);
  instruction_->guarded = guarded;
  return op;
}

std::uint32_t DecodeContext::new_register(unsigned bytes) {
  body.register_bytes.push_back(static_cast<std::uint8_t>(bytes));
  return static_cast<std::uint32_t>(body.register_bytes.size() - 1);
}

std::uint32_t DecodeContext::constant(std::uint64_t bits, unsigned bytes) {
  if (bytes > sizeof(bits)) {
    fail("takes a 128-bit operand from registers only");
  }
  return constants.operand_for(bits, bytes);
}

void DecodeContext::reference(Field field, std::uint32_t reg, bool defines) {
  RegisterUse use;
  use.op = static_cast<std::uint32_t>(body.ops.size() - 1);
  use.reg = reg;
  use.field = static_cast<std::uint8_t>(field);
  use.defines = defines;
  body.uses.push_back(use);
}

std::uint64_t DecodeContext::number_bits(const Scalar& scalar, Type type) const {
  if (type == Type::f32 || type == Type::f64) {
    if (scalar.float_bytes == 0) {
      fail(fmt::format("the constant of a .{} operand must be a float such as 0f3F800000", name_of(type)));
    }
    return float_bits(scalar.bits, scalar.float_bytes, type);
  }
  if (!is_bits(type) && !is_integer(type)) {
    fail(fmt::format("takes .{} operands from registers only", name_of(type)));
  }
  if (scalar.float_bytes != 0 && (!is_bits(type) || scalar.float_bytes != bytes_of(type))) {
    fail(fmt::format("a float constant cannot be a .{} operand", name_of(type)));
  }
  return scalar.bits;
}

std::uint64_t DecodeContext::number_bits_of(const Scalar& scalar, unsigned bytes) const {
  if (scalar.float_bytes == 8 && bytes == 4) {
    return std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(scalar.bits)));
  }
  if (scalar.float_bytes != 0 && scalar.float_bytes != bytes) {
    fail(fmt::format("a float constant of {} bytes cannot be an operand of {} bytes", scalar.float_bytes,
                     bytes));
  }
  return scalar.bits;
}

void DecodeContext::read(Field field, const Scalar& scalar, Type type) {
  if (scalar.kind == Scalar::Kind::number) {
    const unsigned bytes = bytes_of(type) < 2 ? 2 : bytes_of(type);
    slot_of(body.ops.back(), field) = constant(number_bits(scalar, type), bytes);
    return;
  }
  read_register(field, scalar, type);
}

void DecodeContext::read_all(Type type, std::size_t first, std::size_t count) {
  static constexpr std::array<Field, 3> fields{Field::a, Field::b, Field::c};
  for (std::size_t i = 0; i < count; ++i) {
    read(fields[i], operand(first + i).one(), type);
  }
}

void DecodeContext::read_register(Field field, const Scalar& scalar, Type type, unsigned bytes) {
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
      slot_of(body.ops.back(), field) = constant(number_bits_of(scalar, bytes), bytes);
      break;
    case Scalar::Kind::variable:
      if (instruction_->mods.base() != "mov" && instruction_->mods.base() != "cvta" &&
          instruction_->mods.base() != "mapa" && instruction_->mods.base() != "getctarank") {
        fail(fmt::format("the address of '{}' can only be read by mov and cvta", scalar.text));
      }
      if (bytes < 4) {
        fail(fmt::format("the address of '{}' needs a 32- or 64-bit operand", scalar.text));
      }
      slot_of(body.ops.back(), field) = constant(scalar.variable->address + scalar.bits, bytes);
      break;
    case Scalar::Kind::special:
      fail(fmt::format("special register '{}' can only be read by mov and cvt", scalar.text));
    default:
      fail(fmt::format("'{}' is not a register, constant or variable declared here", scalar.text));
  }
}

void DecodeContext::write(Field field, const Scalar& scalar, Type type, unsigned bytes) {
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

void DecodeContext::read_predicate(Field field, const Scalar& scalar, std::uint32_t negate_flag) {
  Op& op = body.ops.back();
  if (scalar.negated) {
    op.flags |= negate_flag;
  }
  if (scalar.kind == Scalar::Kind::number && scalar.float_bytes == 0) {
    slot_of(op, field) = scalar.bits != 0 ? frame_header::true_predicate : frame_header::false_predicate;
    return;
  }
  if (scalar.kind != Scalar::Kind::reg || scalar.bytes != 0) {
    fail(fmt::format("'{}' is not a predicate", scalar.text));
  }
  reference(field, scalar.reg, false);
}

void DecodeContext::write_predicate(Field field, const Scalar& scalar) {
  if (scalar.kind == Scalar::Kind::sink || scalar.kind == Scalar::Kind::none) {
    reference(field, new_register(0), true);
    return;
  }
  if (scalar.kind != Scalar::Kind::reg || scalar.bytes != 0) {
    fail(fmt::format("destination '{}' is not a predicate", scalar.text));
  }
  reference(field, scalar.reg, true);
}

std::uint32_t DecodeContext::list_entry(const Scalar& scalar, unsigned bytes, bool defines) {
  const auto entry = static_cast<std::uint32_t>(program.lists.size());
  program.lists.push_back(0);
  bytes = bytes < 2 ? 2 : bytes;
  std::uint32_t reg = scalar.reg;
  if (scalar.kind == Scalar::Kind::number && !defines) {
    program.lists[entry] = constant(number_bits_of(scalar, bytes), bytes);
    return entry;
  }
  if (scalar.kind == Scalar::Kind::variable && !defines && bytes >= 4) {
    program.lists[entry] = constant(scalar.variable->address + scalar.bits, bytes);
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
  use.op = static_cast<std::uint32_t>(body.ops.size() - 1);
  use.reg = reg;
  use.list = entry;
  use.defines = defines;
  use.in_list = true;
  body.uses.push_back(use);
  return entry;
}

std::uint32_t DecodeContext::add_list(const Operand& source, Type type, bool defines) {
  check_elements(source, type);
  const auto first = static_cast<std::uint32_t>(program.lists.size());
  for (std::size_t i = 0; i < source.count; ++i) {
    list_entry(source.parts[i], bytes_of(type), defines);
  }
  return first;
}

std::uint32_t DecodeContext::word_entry(std::size_t index) {
  check_word(index);
  return list_entry(operand(index).one(), 4, false);
}

void DecodeContext::address(const Operand& operand, Space space, std::uint64_t bytes) {
  Op& op = body.ops.back();
  if (operand.kind != Operand::Kind::address) {
    fail("needs an address operand in brackets");
  }
  const Scalar& base = operand.one();
  // Constants lie in global memory here, and an address of a parameter that is held by a register is generic.
  const bool names_variable = base.kind == Scalar::Kind::variable;
  op.sub = static_cast<std::uint8_t>(space == Space::constant                   ? Space::global
                                     : space == Space::param && !names_variable ? Space::generic
                                                                                : space);
  op.imm = operand.offset;
  switch (base.kind) {
    case Scalar::Kind::reg:
      if (base.bytes != 8 && base.bytes != 4) {
        fail(fmt::format("address '{}' has {} bits, needs 32 or 64", base.text, base.bytes * 8));
      }
      check_address_type(base);
      if (base.bytes == 4) {
        op.flags |= flag::narrow_address;
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
        op.a = frame_header::local_base;
        op.flags |= flag::narrow_address;
        const auto first = static_cast<std::uint64_t>(operand.offset) + base.bits;
        if (operand.offset < 0 || first + bytes > variable.size) {
          fail(fmt::format("access of {} bytes at offset {} of '{}', which has {}", bytes, operand.offset,
                           base.text, variable.size));
        }
        op.imm = static_cast<std::int64_t>(variable.address + first);
        return;
      }
      std::uint64_t place = variable.address + base.bits;
      if (space == Space::generic && variable.space == Space::shared) {
        place |= shared_window;
      }
      op.a = constant(place, 8);
      return;
    }
    default:
      fail(fmt::format("'{}' is not an address", base.text));
  }
}

}  // namespace kerncast::simulator
