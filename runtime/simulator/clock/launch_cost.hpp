#pragma once

#include <cstdint>

#include "runtime/devices/cost_model.hpp"
#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/watch/profile.hpp"

namespace kerncast::simulator {

/// Registers of a thread of kernel number `kernel`, as many of 32 bits as the places that its virtual
/// registers get in the frames of its deepest call; at most 255, and no more than a block of the size that
/// the PTX requires or bounds has. A real device's register allocator gives another number, usually a smaller
/// one.
[[nodiscard]] int assigned_registers(const Module& module, int kernel);

/// The input of the cost model for a launch that was counted, but for memory_bytes, which depend on caches.
/// Registers are the assigned ones, or fewer if a block of the launch would not fit on a multiprocessor.
[[nodiscard]] devices::CostInput cost_input(const Launch& launch, const LaunchProfile& counts);

}  // namespace kerncast::simulator
