#pragma once

#include "runtime/simulator/machine/program.hpp"

namespace kerncast::simulator {

/// Fills in stack_bytes and stack_local_bytes of all functions: what the deepest chain of calls from each
/// needs. Throws DecodeError if that is more than the machine gives a warp.
void measure_call_depth(Program& program);

}  // namespace kerncast::simulator
