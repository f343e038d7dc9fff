#pragma once

#include "runtime/simulator/ptx/decode_context.hpp"

namespace kerncast::simulator {

/// Decodes an instruction or call into ops at the end of the context's body. Throws DecodeError if the
/// virtual GPU does not know it, or if the module's target or version does not have it.
void decode_instruction(DecodeContext& c, Statement& statement);

}  // namespace kerncast::simulator
