#include "runtime/python/native/device.hpp"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "kerncast/error.hpp"

namespace kerncast::python {
namespace {

constexpr int cuda_success = 0;
constexpr int cuda_out_of_memory = 2;

std::atomic<bool> used{false};
std::atomic<bool> forked{false};

/// The functions of the driver, as cuda.h declares them. Their addresses are looked up once.
struct Functions {
  using Address = unsigned long long;
  template <class Function>
  static Function* find(const char* name) {
    auto* function = reinterpret_cast<Function*>(Runtime::instance().driver_symbol(name));
    if (function == nullptr) {
      throw Error(ErrorCode::unsupported, std::string("the driver has no ") + name + "; update it");
    }
    return function;
  }

  int (*get_current)(void**) = find<int(void**)>("cuCtxGetCurrent");
  int (*set_current)(void*) = find<int(void*)>("cuCtxSetCurrent");
  int (*synchronize)() = find<int()>("cuCtxSynchronize");
  int (*alloc)(Address*, std::size_t) = find<int(Address*, std::size_t)>("cuMemAlloc");
  int (*free)(Address) = find<int(Address)>("cuMemFree");
  int (*to_device)(Address, const void*,
                   std::size_t) = find<int(Address, const void*, std::size_t)>("cuMemcpyHtoD");
  int (*to_host)(void*, Address, std::size_t) = find<int(void*, Address, std::size_t)>("cuMemcpyDtoH");
  int (*event_create)(void**, unsigned) = find<int(void**, unsigned)>("cuEventCreate");
  int (*event_destroy)(void*) = find<int(void*)>("cuEventDestroy");
  int (*event_record)(void*, void*) = find<int(void*, void*)>("cuEventRecord");
  int (*stream_wait)(void*, void*, unsigned) = find<int(void*, void*, unsigned)>("cuStreamWaitEvent");
  int (*error_name)(int, const char**) = find<int(int, const char**)>("cuGetErrorName");
};

const Functions& functions() {
  static const Functions found;
  return found;
}

void check(int result, const char* what) {
  if (result == cuda_success) {
    return;
  }
  const char* name = nullptr;
  functions().error_name(result, &name);
  std::string text = std::string(what) + " failed: " + (name != nullptr ? name : "unknown error") + " (" +
                     std::to_string(result) + ")";
  if (const std::string fault = Runtime::instance().last_fault(); !fault.empty()) {
    text += ": " + fault;
  }
  throw Error(result == cuda_out_of_memory ? ErrorCode::out_of_memory : ErrorCode::driver_error, text,
              result);
}

/// The primary context of `device`.
void* context_of(int device) {
  static std::mutex mutex;
  static std::vector<void*> contexts;
  const auto index = static_cast<std::size_t>(device);
  const std::lock_guard lock(mutex);
  if (index < contexts.size() && contexts[index] != nullptr) {
    return contexts[index];
  }
  void* before = nullptr;
  check(functions().get_current(&before), "cuCtxGetCurrent");
  Runtime::instance().make_current(device);
  void* context = nullptr;
  check(functions().get_current(&context), "cuCtxGetCurrent");
  if (before != nullptr) {
    check(functions().set_current(before), "cuCtxSetCurrent");
  }
  if (index >= contexts.size()) {
    contexts.resize(index + 1);
  }
  contexts[index] = context;
  return context;
}

Functions::Address address(const void* data) {
  return reinterpret_cast<Functions::Address>(data);
}

}  // namespace

Runtime& runtime() {
  if (forked.load(std::memory_order_relaxed)) [[unlikely]] {
    throw Error(ErrorCode::unsupported,
                "this process was forked after Kerncast had used the driver, which does not survive a fork; "
                "start workers with multiprocessing's method 'spawn', or fork before the first call");
  }
  if (!used.load(std::memory_order_relaxed)) [[unlikely]] {
    if (!used.exchange(true)) {
      pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });
    }
  }
  return Runtime::instance();
}

DeviceGuard::DeviceGuard(int device) {
  Runtime& own = runtime();
  thread_local int known_device = -1;
  thread_local void* known_context = nullptr;
  if (known_device != device) [[unlikely]] {
    if (device < 0) {
      own.make_current(device);
    }
    known_context = context_of(device);
    known_device = device;
  }
  void* current = nullptr;
  check(functions().get_current(&current), "cuCtxGetCurrent");
  if (current != known_context) [[unlikely]] {
    check(functions().set_current(known_context), "cuCtxSetCurrent");
    before_ = current;
    set_current_ = functions().set_current;
  }
}

DeviceGuard::~DeviceGuard() {
  if (before_ != nullptr) {
    set_current_(before_);
  }
}

void* allocate(int device, std::size_t bytes) {
  if (bytes == 0) {
    return nullptr;
  }
  const DeviceGuard guard(device);
  Functions::Address data = 0;
  const std::string what =
      "allocating " + std::to_string(bytes) + " bytes on device " + std::to_string(device);
  check(functions().alloc(&data, bytes), what.c_str());
  return reinterpret_cast<void*>(data);
}

void release(int device, void* data) noexcept {
  if (data == nullptr || forked.load(std::memory_order_relaxed)) {
    return;
  }
  try {
    const DeviceGuard guard(device);
    functions().free(address(data));
  } catch (const std::exception&) {
    return;  // the context is gone, and the memory with it
  }
}

void copy_to_device(int device, void* to, const void* from, std::size_t bytes) {
  const DeviceGuard guard(device);
  check(functions().to_device(address(to), from, bytes), "copying to the device");
}

void copy_to_host(int device, void* to, const void* from, std::size_t bytes) {
  const DeviceGuard guard(device);
  check(functions().to_host(to, address(from), bytes), "copying to the host");
}

void synchronize(int device) {
  const DeviceGuard guard(device);
  check(functions().synchronize(), "synchronising with the device");
}

void wait_for_default_stream(int device, Stream stream) {
  constexpr unsigned without_timing = 2;
  const DeviceGuard guard(device);
  void* event = nullptr;
  check(functions().event_create(&event, without_timing), "creating an event");
  const int recorded = functions().event_record(event, nullptr);
  const int waits = recorded == cuda_success ? functions().stream_wait(stream, event, 0) : recorded;
  functions().event_destroy(event);
  check(waits, "waiting for the default stream");
}

Stream stream_from_number(std::uint64_t number) noexcept {
  return number <= 1 ? nullptr : reinterpret_cast<Stream>(number);
}

}  // namespace kerncast::python
