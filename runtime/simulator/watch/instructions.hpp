#pragma once

#include <functional>

#include "runtime/simulator/machine/program.hpp"

namespace kerncast::simulator {

/// Calls `visit` with one op of each PTX instruction that kernel number `kernel` may run, in its own code and
/// in all that it calls. The op's prefix is the instruction's index in a LaunchProfile.
void for_each_instruction(const Program& module, int kernel, const std::function<void(const Op&)>& visit);

}  // namespace kerncast::simulator
