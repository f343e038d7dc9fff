#include <fmt/format.h>

#include "runtime/simulator/ptx/decode_context.hpp"
#include "runtime/simulator/ptx/types.hpp"

// Checks of the declared types of registers against the types of the instruction.
namespace kerncast::simulator {

namespace {

/// True if a register declared with one type serves for an operand of another, by the rules of NVIDIA's
/// assembler: bits go with everything of their size, integers with integers, and a pair of halves counts as
/// bits among integers.
bool goes_with(Type declared, Type type, bool may_be_wider) {
  const unsigned held = bytes_of(declared);
  const unsigned needed = bytes_of(type);
  const bool integers = is_integer(type) && (is_integer(declared) || declared == Type::f16x2);
  if (declared == Type::none || type == Type::none) {
    return true;
  }
  if (held != needed) {
    return may_be_wider && held > needed && (is_bits(declared) || is_bits(type) || integers);
  }
  const bool pairs = declared == Type::f16x2 && (type == Type::u16x2 || type == Type::s16x2);
  return declared == type || is_bits(declared) || is_bits(type) || integers || pairs;
}

Type bits_of(Type type) {
  const unsigned bytes = bytes_of(type);
  return bytes == 1 ? Type::b8 : bytes == 2 ? Type::b16 : bytes == 4 ? Type::b32 : Type::b64;
}

}  // namespace

void DecodeContext::check_type(const Scalar& scalar, Type type, bool may_be_wider) const {
  if (scalar.kind == Scalar::Kind::reg && !goes_with(scalar.type, type, may_be_wider)) {
    fail(fmt::format("register '{}' is declared .{}, the instruction needs .{}", scalar.text,
                     name_of(scalar.type), name_of(type)));
  }
}

void DecodeContext::check_elements(const Operand& vector, Type type, bool may_be_wider) const {
  if (vector.kind != Operand::Kind::vector) {
    check_type(vector.one(), type, may_be_wider);
    return;
  }
  const Scalar* last = nullptr;
  bool mixed = false;
  for (std::size_t i = 0; i < vector.count; ++i) {
    const Scalar& part = vector.parts[i];
    if (part.kind != Scalar::Kind::reg) {
      continue;
    }
    if (last != nullptr && part.type != last->type) {
      mixed = true;
      if (bytes_of(part.type) != bytes_of(last->type) ||
          !(is_bits(part.type) || is_bits(last->type) || (is_integer(part.type) && is_integer(last->type)))) {
        fail(fmt::format("register '{}' is declared .{}, which does not go beside .{} in a vector", part.text,
                         name_of(part.type), name_of(last->type)));
      }
    }
    last = &part;
  }
  // The assembler takes a vector of two types as bits, and one of integers for floats of their size.
  const bool floats = type == Type::f16 || type == Type::f32 || type == Type::f64;
  if (last != nullptr && !(floats && is_integer(last->type) && bytes_of(last->type) == bytes_of(type))) {
    Scalar whole = *last;
    whole.type = mixed ? bits_of(whole.type) : whole.type;
    check_type(whole, type, may_be_wider);
  }
}

void DecodeContext::check_address_type(const Scalar& base) const {
  if (base.kind == Scalar::Kind::reg && base.type != Type::none && !is_integer(base.type) &&
      (!is_bits(base.type) || base.type == Type::b128)) {
    fail(fmt::format("register '{}' is declared .{}, an address needs integers or bits", base.text,
                     name_of(base.type)));
  }
}

}  // namespace kerncast::simulator
