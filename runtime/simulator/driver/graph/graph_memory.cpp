#include <fmt/format.h>

#include <unordered_map>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"
#include "runtime/simulator/driver/memory/memory.hpp"

namespace kerncast::simulator::api {
namespace {

/// All memory of graphs by its address. Never destroyed, as graphs are not either when the process exits.
struct Registry {
  struct Entry {
    std::weak_ptr<GraphMemory> memory;
    std::shared_ptr<GraphMemory> kept;  ///< while it is live
  };
  std::mutex mutex;
  std::unordered_map<const std::byte*, Entry> entries;
};

Registry& registry() {
  static auto* all = new Registry;
  return *all;
}

}  // namespace

GraphMemory::~GraphMemory() {
  if (base != nullptr) {
    {
      const std::lock_guard lock(registry().mutex);
      registry().entries.erase(base);
    }
    state().memory.release(base);
  }
}

std::shared_ptr<GraphMemory> allocate_graph_memory(std::size_t bytes, int device) {
  DriverState& all = state();
  if (bytes == 0) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "an allocation of 0 bytes");
  }
  const std::size_t used = all.memory.bytes_in_use(device);
  if (used > all.total_memory || bytes > all.total_memory - used) {
    throw Failure(CUDA_ERROR_OUT_OF_MEMORY,
                  fmt::format("{} bytes are asked for; {} of device {}'s {} are in use", bytes, used, device,
                              all.total_memory));
  }
  auto made = std::make_shared<GraphMemory>();
  made->bytes = bytes;
  made->device = device;
  made->base = all.memory.allocate(bytes, MemoryKind::device, device);
  if (made->base == nullptr) {
    throw Failure(CUDA_ERROR_OUT_OF_MEMORY, fmt::format("the host has no {} bytes left", bytes));
  }
  const std::lock_guard lock(registry().mutex);
  registry().entries[made->base] = {made, nullptr};
  return made;
}

std::shared_ptr<GraphMemory> find_graph_memory(CUdeviceptr pointer) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().entries.find(reinterpret_cast<const std::byte*>(pointer));
  return found == registry().entries.end() ? nullptr : found->second.memory.lock();
}

void set_graph_memory_live(const std::shared_ptr<GraphMemory>& memory, bool live) {
  std::shared_ptr<GraphMemory> dropped;  // goes after the lock, which its end takes
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().entries.find(memory->base);
  if (found != registry().entries.end()) {
    dropped = std::exchange(found->second.kept, live ? memory : nullptr);
  }
  memory->live.store(live, std::memory_order_release);
}

}  // namespace kerncast::simulator::api
