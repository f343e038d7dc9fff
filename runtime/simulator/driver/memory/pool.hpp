#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "runtime/simulator/driver/abi/symbols.hpp"

namespace kerncast::simulator::api {

/// A memory pool. It caches nothing: freed memory goes back to the host at once.
struct Pool {
  CUmemoryPool handle = nullptr;
  int device = 0;  ///< the device whose bytes a host pool counts against
  bool host = false;
  CUmemPoolProps properties{};
  std::mutex mutex;
  std::uint64_t peers = 0;  ///< other devices with access, a bit each
  int reuse_follow_event_dependencies = 1;
  int reuse_allow_opportunistic = 1;
  int reuse_allow_internal_dependencies = 1;
  std::uint64_t release_threshold = 0;
  std::uint64_t used = 0;       ///< bytes
  std::uint64_t used_high = 0;  ///< most bytes since it was set to 0
  void add(std::uint64_t bytes);
  void remove(std::uint64_t bytes);
};

/// The pool that cuMemAllocAsync uses on `device`.
std::shared_ptr<Pool> current_pool(int device);

}  // namespace kerncast::simulator::api
