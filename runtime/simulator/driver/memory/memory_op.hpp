#pragma once

#include <vector>

#include "runtime/simulator/driver/abi/symbols.hpp"

namespace kerncast::simulator::api {

struct Context;

/// A caller's list of operations on memory, checked. Throws Failure.
std::vector<CUstreamBatchMemOpParams> checked_memory_operations(unsigned int count,
                                                                const CUstreamBatchMemOpParams* operations,
                                                                unsigned int flags);
/// Runs them in order: a wait returns once the value is there, or the context has faulted.
void run_memory_operations(const std::vector<CUstreamBatchMemOpParams>& operations, Context& context);

}  // namespace kerncast::simulator::api
