#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "runtime/simulator/driver_symbols.hpp"
#include "runtime/simulator/memory.hpp"

namespace kerncast::simulator::api {

/// The allocation that holds all of [address, address + bytes); none where `address` lies in no allocation.
/// Throws Failure(CUDA_ERROR_INVALID_VALUE), naming `call`, where the range leaves the allocation it starts
/// in.
std::optional<Allocation> find_range(const void* address, std::size_t bytes, std::string_view call);
/// As find_range, but an address outside of all allocations is an error too.
Allocation require_range(const void* address, std::size_t bytes, std::string_view call);

}  // namespace kerncast::simulator::api
