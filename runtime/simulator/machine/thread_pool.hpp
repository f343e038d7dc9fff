#pragma once

#include <cstddef>
#include <functional>

namespace kerncast::simulator {

/// Number of host threads, with the caller: KERNCAST_SIM_THREADS, else one for each core.
unsigned host_threads();

/// Runs `job` on the caller and up to `helpers` pool threads at once, and returns when all have returned.
/// Several callers share the pool; a helper that is busy elsewhere joins late or not at all, so `job` must
/// finish the work however few run it. `job` must not throw.
void run_together(unsigned helpers, const std::function<void()>& job);

}  // namespace kerncast::simulator
