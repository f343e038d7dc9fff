#pragma once

#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <thread>

#include "cache/cache.hpp"
#include "tests/cache/sample.hpp"

/// Machines that share a server, each with a directory of its own. Compiling is a short sleep.

/// Counts that all processes of a test share.
struct Shared {
  std::atomic<int> compiles{0};
  std::atomic<int> held{0};  ///< leases that a machine holds and does not release
};

class SharedMemory {
 public:
  SharedMemory()
      : memory_(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
        shared_(new(memory_) Shared) {}
  ~SharedMemory() { munmap(memory_, sizeof(Shared)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  Shared* operator->() const { return shared_; }

 private:
  void* memory_;
  Shared* shared_;
};

/// A fleet whose machines share `url`. Its times are far longer than what a loaded machine needs.
struct Fleet {
  std::string url;
  SharedMemory& shared;
  std::uint64_t kernels = 200;
  std::chrono::milliseconds lease{60'000};
  std::chrono::milliseconds wait{300'000};
  std::chrono::milliseconds timeout{60'000};
  std::chrono::milliseconds compile{2};
};

inline kerncast::cache::CacheOptions options_of(const Fleet& fleet, const TemporaryDirectory& folder) {
  kerncast::cache::CacheOptions options;
  options.directory = folder.path();
  options.wait = fleet.wait;
  options.remote.address = kerncast::cache::RemoteAddress(fleet.url);
  options.remote.timeout = fleet.timeout;
  options.remote.lease = fleet.lease;
  return options;
}

/// Gets a kernel as the runtime does. False if it is wrong afterwards.
inline bool get(kerncast::cache::Cache& cache, const Fleet& fleet, const kerncast::cache::Key& key) {
  kerncast::cache::WaitBudget budget = cache.wait_budget();
  if (cache.load(key, kerncast::cache::OnMiss::count, budget)) {
    return true;
  }
  const kerncast::cache::ProcessLock lock = cache.lock(key, budget);
  const kerncast::cache::Turn turn = cache.take_turn(key, budget);
  if (turn.hit) {
    return *turn.hit.entry == sample_entry();
  }
  std::this_thread::sleep_for(fleet.compile);
  ++fleet.shared->compiles;
  return cache.publish(key, sample_entry(), budget);
}

/// Gets all kernels of the fleet, from number `first` on, as a machine with a directory of its own. The exit
/// code is 0 if it got them without a warning, or with any if `may_warn`.
inline int run_machine(const Fleet& fleet, std::uint64_t first, bool may_warn) {
  const TemporaryDirectory folder;
  int warnings = 0;
  kerncast::cache::Cache cache(options_of(fleet, folder), [&](std::string_view text) {
    ++warnings;
    if (!may_warn) {
      std::cerr << text << '\n';
    }
  });
  for (std::uint64_t i = 0; i < fleet.kernels; ++i) {
    if (!get(cache, fleet, sample_key(1 + (first + i) % fleet.kernels))) {
      return 1;
    }
  }
  return warnings == 0 || may_warn ? 0 : 2;
}
