#include "runtime/simulator/cudart/context.hpp"

#include <fmt/format.h>

#include <atomic>
#include <map>
#include <mutex>

#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

struct Thread {
  int device = 0;
  unsigned int generation = 0;  ///< of the resets that this thread has seen
  bool chosen = false;          ///< cudaSetDevice or a first call bound the thread to a primary context
  bool per_thread_default = false;
};

thread_local Thread thread;

/// Number of resets in this process. After one, threads bind to their device's new primary context.
std::atomic<unsigned int> resets{0};

struct Primaries {
  std::mutex mutex;
  std::map<int, CUcontext> contexts;
};

// It outlives all static objects, since programs call the runtime while theirs are destroyed.
Primaries& primaries() {
  static auto& all = *new Primaries;
  return all;
}

void bind(int device) {
  check(KERNCAST_CU(cuCtxSetCurrent)(primary_context(device)));
  thread.device = device;
  thread.chosen = true;
  thread.generation = resets.load();
}

int device_count() {
  int count = 0;
  check(KERNCAST_CU(cuDeviceGetCount)(&count));
  return count;
}

}  // namespace

CUcontext primary_context(int device) {
  Primaries& all = primaries();
  const std::lock_guard lock(all.mutex);
  CUcontext& context = all.contexts[device];
  if (context == nullptr) {
    check(KERNCAST_CU(cuDevicePrimaryCtxRetain)(&context, device));
  }
  return context;
}

void use_context() {
  CUcontext current = nullptr;
  check(KERNCAST_CU(cuCtxGetCurrent)(&current));
  const bool reset = thread.chosen && thread.generation != resets.load();
  if (current == nullptr || reset) {
    bind(thread.device);
  }
}

int current_device() {
  CUcontext current = nullptr;
  CUdevice device = thread.device;
  if (KERNCAST_CU(cuCtxGetCurrent)(&current) == CUDA_SUCCESS && current != nullptr &&
      KERNCAST_CU(cuCtxGetDevice)(&device) != CUDA_SUCCESS) {
    device = thread.device;
  }
  return device;
}

void require_device(int device) {
  const int count = device_count();
  if (device < 0 || device >= count) {
    throw Failure(cudaErrorInvalidDevice, fmt::format("device {} of {}", device, count));
  }
}

bool per_thread_default() {
  return thread.per_thread_default;
}

PerThreadDefault::PerThreadDefault() : before_(std::exchange(thread.per_thread_default, true)) {}

PerThreadDefault::~PerThreadDefault() {
  thread.per_thread_default = before_;
}

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  if (count != nullptr) {
    *count = 0;
  }
  return driver_call([&] {
    require(count, "count");
    *count = device_count();
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return driver_call([&] {
    require(device, "device");
    *device = current_device();
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return driver_call([&] {
    require_device(device);
    bind(device);
    return cudaSuccess;
  });
}

cudaError_t cudaInitDevice(int device, unsigned int, unsigned int) {
  return driver_call([&] {
    require_device(device);
    primary_context(device);
    return cudaSuccess;
  });
}

cudaError_t cudaSetValidDevices(int* devices, int count) {
  return driver_call([&] {
    require(devices, "devices");
    for (int i = 0; i < count; ++i) {
      require_device(devices[i]);
    }
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceReset() {
  return driver_call([&] {
    const int device = current_device();
    Primaries& all = primaries();
    const std::lock_guard lock(all.mutex);
    all.contexts.erase(device);
    ++resets;
    thread.generation = resets.load();
    thread.device = device;
    check(KERNCAST_CU(cuDevicePrimaryCtxReset_v2)(device));
    return KERNCAST_CU(cuCtxSetCurrent)(nullptr);
  });
}

cudaError_t cudaSetDeviceFlags(unsigned int flags) {
  return driver_call([&] { return KERNCAST_CU(cuDevicePrimaryCtxSetFlags_v2)(current_device(), flags); });
}

cudaError_t cudaGetDeviceFlags(unsigned int* flags) {
  return driver_call([&] {
    require(flags, "flags");
    int active = 0;
    return KERNCAST_CU(cuDevicePrimaryCtxGetState)(current_device(), flags, &active);
  });
}

}  // extern "C"

}  // namespace kerncast::cudart
