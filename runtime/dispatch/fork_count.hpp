#pragma once

#include <cstdint>

namespace kerncast {

/// The number of forks of this process, or of one that it descends from, since the first call of this
/// function. A child sees another number than its parent. A call costs one load of an atomic. Thread-safe.
[[nodiscard]] std::uint32_t fork_count();

/// The message of a call in a child whose parent had used Kerncast.
inline constexpr const char* forked_after_use =
    "this process was forked after Kerncast had been used, and neither the driver nor Kerncast's threads "
    "survive "
    "a fork; start the child as a program of its own (exec, or the method spawn of multiprocessing), or fork "
    "before the first call";

}  // namespace kerncast
