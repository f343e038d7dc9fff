#pragma once

#include <cstdint>

#include "runtime/simulator/ptx/registers.hpp"

namespace kerncast::simulator {

/// Puts the blocks of a function whose registers are assigned in an order in which lanes that parted meet
/// again. A warp runs its lowest fragment first, so a block must lie behind all that lead to it, save for the
/// ways back of its own loop, and a loop must not be interrupted by what follows it. Compilers mostly place
/// code so, and then nothing changes. `end_prefix` is the Op::prefix of what follows the function.
void order_blocks(FunctionBody& body, std::uint32_t end_prefix);

}  // namespace kerncast::simulator
