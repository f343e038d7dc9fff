#include <fmt/format.h>

#include "runtime/simulator/ptx/decode/common.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

namespace {

bool has_atomic(AtomicOp operation, Type type) {
  const bool half = type == Type::f16 || type == Type::bf16 || type == Type::f16x2 || type == Type::bf16x2;
  switch (operation) {
    case AtomicOp::add:
      return half || type == Type::u32 || type == Type::s32 || type == Type::u64 || type == Type::f32 ||
             type == Type::f64;
    case AtomicOp::min:
    case AtomicOp::max:
      return type == Type::u32 || type == Type::s32 || type == Type::u64 || type == Type::s64;
    case AtomicOp::inc:
    case AtomicOp::dec:
      return type == Type::u32;
    case AtomicOp::cas:
      return type == Type::b16 || type == Type::b32 || type == Type::b64;
    default:
      return type == Type::b32 || type == Type::b64;
  }
}

/// Vectors of floats, each element an atomic of its own, and exchanges of 128 bits.
void decode_vector_atomic(DecodeContext& c, AtomicOp operation, Space space, unsigned vector, Type type) {
  const bool returns = c.mods().base() == "atom";
  const bool wide = type == Type::b128;
  const std::uint64_t bytes = bytes_of(type);
  const bool half = type == Type::f16 || type == Type::bf16;
  const bool pair = type == Type::f16x2 || type == Type::bf16x2;
  const bool chooses = operation == AtomicOp::min || operation == AtomicOp::max;
  const bool exchanges = operation == AtomicOp::exch || operation == AtomicOp::cas;
  if (wide ? vector != 1 || !exchanges || !returns
           : bytes * vector > 16 || !(half || pair || type == Type::f32) ||
                 !(operation == AtomicOp::add || (chooses && (half || pair)))) {
    c.unsupported("this operation and type of vector atomics");
  }
  if (space != Space::global && space != Space::generic && !(wide && space == Space::shared)) {
    c.fail("vector atomics need global memory");
  }
  const bool cas = operation == AtomicOp::cas;
  const std::size_t first = returns ? 1 : 0;
  Op& op = c.emit(returns ? Code::atom_vector : Code::red_vector, type);
  c.address(c.operand(first), space, bytes * vector);
  op.count = static_cast<std::uint8_t>(operation);
  op.width = static_cast<std::uint8_t>(wide ? 2 : vector);
  op.d2 = static_cast<std::uint32_t>(c.program.lists.size());
  const auto add = [&](const Operand& registers, bool defines) {
    if (wide) {
      Scalar half_register = registers.one();
      if (registers.kind != Operand::Kind::scalar || half_register.kind != Scalar::Kind::reg ||
          half_register.bytes != 16) {
        c.fail("needs 128-bit registers");
      }
      half_register.bytes = 8;
      half_register.type = Type::none;
      c.list_entry(half_register, 8, defines);
      ++half_register.reg;
      c.list_entry(half_register, 8, defines);
      return;
    }
    if (registers.kind != Operand::Kind::vector || registers.count != vector) {
      c.fail(fmt::format("needs vectors of {} registers", vector));
    }
    c.add_list(registers, type, defines);
  };
  if (returns) {
    add(c.operand(0), true);
  }
  add(c.operand(first + 1), false);
  if (cas) {
    add(c.operand(first + 2), false);
  }
}

}  // namespace

void decode_atomic(DecodeContext& c) {
  Modifiers& mods = c.mods();
  const bool returns = mods.base() == "atom";
  const Space space = take_space(c);
  struct Name {
    std::string_view name;
    AtomicOp op;
  };
  static constexpr std::array<Name, 10> names{{{"add", AtomicOp::add},
                                               {"min", AtomicOp::min},
                                               {"max", AtomicOp::max},
                                               {"and", AtomicOp::bit_and},
                                               {"or", AtomicOp::bit_or},
                                               {"xor", AtomicOp::bit_xor},
                                               {"exch", AtomicOp::exch},
                                               {"cas", AtomicOp::cas},
                                               {"inc", AtomicOp::inc},
                                               {"dec", AtomicOp::dec}}};
  const Name* found = nullptr;
  for (const Name& entry : names) {
    if (found == nullptr && mods.take(entry.name)) {
      found = &entry;
    }
  }
  if (found == nullptr) {
    c.fail("names no operation this machine knows");
  }
  if (!returns && (found->op == AtomicOp::exch || found->op == AtomicOp::cas)) {
    c.fail("an exchange needs a destination");
  }
  const bool keeps_denormals = mods.take("noftz");
  const unsigned vector = take_vector(c);
  const Type type = mods.need_type();
  const bool half = type == Type::f16 || type == Type::bf16 || type == Type::f16x2 || type == Type::bf16x2;
  if (half != keeps_denormals) {
    c.fail(half ? "needs .noftz" : ".noftz is for halves");
  }
  const bool cas = found->op == AtomicOp::cas;
  const std::size_t first = returns ? 1 : 0;
  const bool policy = take_atomic_order(c, space, returns);
  if (policy && cas) {
    c.fail("takes no cache hint");
  }
  c.expect_operands(first + (cas ? 3 : 2) + (policy ? 1 : 0));
  if (policy) {
    c.check_policy(first + 2);
  }
  if (vector != 1 || type == Type::b128) {
    decode_vector_atomic(c, found->op, space, vector, type);
    return;
  }
  const unsigned bytes = bytes_of(type);
  if (!has_atomic(found->op, type)) {
    c.fail(fmt::format("has no operation .{} on .{}", found->name, name_of(type)));
  }
  if (space != Space::generic && space != Space::global && space != Space::shared) {
    c.fail("atomics need global, shared or generic memory");
  }
  // Loads and stores take braces around a single register, atomics do not.
  for (std::size_t i = 0; i < c.count(); ++i) {
    if (c.operand(i).kind == Operand::Kind::vector) {
      c.fail(fmt::format("operand {} cannot be a vector", i + 1));
    }
  }
  Op& op = c.emit(returns ? Code::atom : Code::red, type);
  c.address(c.operand(first), space, bytes);
  op.source = static_cast<Type>(0);
  op.count = static_cast<std::uint8_t>(found->op);
  op.width = static_cast<std::uint8_t>(bytes);
  if (returns) {
    c.write(Field::d, c.operand(0).one(), type);
  }
  c.read(Field::b, c.operand(first + 1).one(), type);
  if (cas) {
    c.read(Field::c, c.operand(first + 2).one(), type);
  }
}

}  // namespace kerncast::simulator
