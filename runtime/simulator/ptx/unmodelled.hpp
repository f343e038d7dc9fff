#pragma once

#include <string>
#include <string_view>

#include "runtime/simulator/machine/machine.hpp"

namespace kerncast::simulator {

/// Thrown for an instruction of PTX that this machine does not model: the function that holds it cannot run,
/// and its neighbours can.
class UnmodelledError : public DecodeError {
 public:
  using DecodeError::DecodeError;
};

/// The reason why the instruction with this opcode is not modelled, as a phrase such as "tensor maps"; empty
/// if it may be. The parser reads no operands of such an instruction, since their syntax may be its own.
std::string_view unmodelled(std::string_view opcode);

/// The message for an instruction at PTX line `line`.
std::string unmodelled_message(std::string_view opcode, std::string_view what, int line);

}  // namespace kerncast::simulator
