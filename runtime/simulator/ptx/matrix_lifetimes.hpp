#pragma once

#include <cstdint>
#include <vector>

#include "runtime/simulator/ptx/registers.hpp"

namespace kerncast::simulator {

/// Keeps the registers of each wgmma live until the waits for it, though the program may not name them again:
/// they are the instruction's until then, so no other register may have their places. `lists` gets an entry
/// for each.
void keep_until_waits(FunctionBody& body, std::vector<std::uint32_t>& lists);

}  // namespace kerncast::simulator
