#pragma once

#include <cstdint>
#include <vector>

#include "runtime/simulator/machine/instruction.hpp"

namespace kerncast::simulator {

/// A place where an op names a virtual register.
struct RegisterUse {
  std::uint32_t op = 0;
  std::uint32_t reg = 0;
  std::uint32_t list = 0;  ///< index of the operand list entry when in_list
  std::uint8_t field = 0;  ///< 0 d, 1 a, 2 b, 3 c, 4 d2, 5 guard
  bool defines = false;
  bool in_list = false;
  std::uint32_t place = 0;  ///< in the frame, once assigned
  std::uint8_t bytes = 0;   ///< of the register, once assigned
};

/// A function between parsing and register assignment. Branch ops hold their target's index in `imm`.
struct FunctionBody {
  std::vector<Op> ops;
  std::vector<std::uint32_t> lines;
  std::vector<RegisterUse> uses;             ///< in op order
  std::vector<std::uint8_t> register_bytes;  ///< per virtual register: 0 predicate, 2, 4 or 8
  std::vector<std::uint32_t> table_targets;  ///< op indexes that brx tables name
  void clear();
};

/// Gives every virtual register a place in the frame, sharing places between registers that are never live
/// together, after dropping moves that only rename. Small frames keep a warp's registers in the first-level
/// cache. Patches ops, `lists` and body.uses, remaps branch targets (also those in body.table_targets),
/// returns the frame's bytes.
std::uint32_t assign_registers(FunctionBody& body, std::vector<std::uint32_t>& lists);

}  // namespace kerncast::simulator
