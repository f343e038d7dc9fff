#include "tests/hot_path_counters.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> counted_allocations{0};
std::atomic<std::size_t> counted_locks{0};

/// Counts one lock and takes it with the C library's own function called `name`.
template <class Lock>
int take(std::atomic<int (*)(Lock*)>& real, const char* name, Lock* lock) {
  counted_locks.fetch_add(1, std::memory_order_relaxed);
  auto* function = real.load(std::memory_order_relaxed);
  if (function == nullptr) {
    function = reinterpret_cast<int (*)(Lock*)>(dlsym(RTLD_NEXT, name));
    real.store(function, std::memory_order_relaxed);
  }
  return function(lock);
}

void* count_and_get(std::size_t size) noexcept {
  counted_allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size == 0 ? 1 : size);
}

void* allocate(std::size_t size) {
  if (void* memory = count_and_get(size)) {
    return memory;
  }
  throw std::bad_alloc();
}

}  // namespace

HotPathCounters HotPathCounters::now() noexcept {
  return {counted_allocations.load(), counted_locks.load()};
}

#define KERNCAST_COUNTED_LOCK(name, type)                                           \
  extern "C" __attribute__((visibility("default"))) int name(type* lock) noexcept { \
    static std::atomic<int (*)(type*)> real{nullptr};                               \
    return take(real, #name, lock);                                                 \
  }
KERNCAST_COUNTED_LOCK(pthread_mutex_lock, pthread_mutex_t)
KERNCAST_COUNTED_LOCK(pthread_mutex_trylock, pthread_mutex_t)
KERNCAST_COUNTED_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
KERNCAST_COUNTED_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
KERNCAST_COUNTED_LOCK(pthread_spin_lock, pthread_spinlock_t)
#undef KERNCAST_COUNTED_LOCK

// All forms: a sanitizer has its own of those left out, and finds them paired with the others.
void* operator new(std::size_t size) {
  return allocate(size);
}
void* operator new[](std::size_t size) {
  return allocate(size);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return count_and_get(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return count_and_get(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
