#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "runtime/simulator/driver/abi/symbols.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"
#include "runtime/simulator/machine/memory.hpp"

namespace kerncast::simulator::api {

/// The allocation that holds all of [address, address + bytes); none if `address` lies in no allocation.
/// Throws Failure(CUDA_ERROR_INVALID_VALUE), which names `call`, if the range leaves the allocation that it
/// starts in.
std::optional<Allocation> find_range(const void* address, std::size_t bytes, std::string_view call);
/// Does what find_range does, but an address outside all allocations is an error too.
Allocation require_range(const void* address, std::size_t bytes, std::string_view call);

/// True if `base` is the start of an allocation that cuMemFree may free.
bool is_device_allocation(const std::byte* base);
/// Gives the memory of an allocation back.
void release_allocation(const std::byte* base);
/// Waits for all work on a device, since any of it may use memory that is about to be freed.
void wait_for_device(int device);

/// Memory for a graph's allocation node. Throws Failure.
std::shared_ptr<GraphMemory> allocate_graph_memory(std::size_t bytes, int device);
/// Memory of a graph by its address; null if no graph has memory there.
std::shared_ptr<GraphMemory> find_graph_memory(CUdeviceptr pointer);
/// Live memory outlives its graph until it is freed.
void set_graph_memory_live(const std::shared_ptr<GraphMemory>& memory, bool live);

}  // namespace kerncast::simulator::api
