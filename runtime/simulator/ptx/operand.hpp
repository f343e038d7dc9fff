#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/simulator/machine/instruction.hpp"

namespace kerncast::simulator {

/// A variable of a module or a function.
struct Variable {
  Space space = Space::generic;
  std::uint64_t address = 0;  ///< host address, or offset in its space
  std::uint64_t size = 0;
  bool external_shared = false;  ///< dynamic shared memory: its address depends on the kernel
  bool frame_relative = false;   ///< local memory of this call, or a device function's parameter
};

/// One operand, or one element of a vector operand. The parser leaves every word as a `name`; resolving it
/// turns it into what the word stands for.
struct Scalar {
  enum class Kind : std::uint8_t { none, reg, number, variable, special, sink, name };
  Kind kind = Kind::none;
  bool negated = false;  ///< !%p
  std::uint8_t float_bytes = 0;
  std::uint8_t bytes = 0;   ///< of a register: 0 for a predicate
  Type type = Type::none;   ///< of a register, as declared; none for a register that the decoder made
  bool has_offset = false;  ///< the word is followed by + or - and a number, which only a variable may be
  Special special = Special::zero;
  std::uint32_t reg = 0;   ///< virtual register
  std::uint64_t bits = 0;  ///< the number, or the offset that is added to the variable's address
  const Variable* variable = nullptr;
  std::string_view text;
};

/// An operand as PTX writes it: `x`, `p|q`, `[x+offset]`, `[x, {i, j, ...}]` or `{x, y, ...}`. The parts of
/// an address are its base and the coordinates after it.
struct Operand {
  enum class Kind : std::uint8_t { scalar, address, vector };
  Kind kind = Kind::scalar;
  std::uint8_t count = 1;
  std::vector<Scalar> parts =
      std::vector<Scalar>(8);  ///< as many as any operand had that was parsed into this one, at least 8
  Scalar pair;                 ///< q of p|q
  std::int64_t offset = 0;     ///< of an address

  [[nodiscard]] const Scalar& one() const { return parts[0]; }
};

}  // namespace kerncast::simulator
