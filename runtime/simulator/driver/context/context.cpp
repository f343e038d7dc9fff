#include "runtime/simulator/driver/context/context.hpp"

#include <fmt/format.h>

#include <array>

#include "runtime/simulator/driver/context/event.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"
#include "runtime/simulator/driver/memory/memory.hpp"
#include "runtime/simulator/driver/module/module.hpp"

namespace kerncast::simulator::api {
namespace {

/// Plain storage, as driver calls may come after a thread's objects are destroyed.
struct ContextStack {
  std::array<CUcontext, 128> contexts;
  std::size_t depth;
};
thread_local ContextStack stack{};

CUcontext top() {
  return stack.depth > 0 ? stack.contexts[stack.depth - 1] : nullptr;
}

void push(CUcontext context) {
  if (stack.depth == stack.contexts.size()) {
    throw Failure(CUDA_ERROR_OUT_OF_MEMORY, "this thread's stack of contexts is full");
  }
  stack.contexts[stack.depth++] = context;
}

std::shared_ptr<Context> make_context(CUcontext handle, int device, unsigned int flags, bool primary) {
  if (state().faults.is_lost()) {
    throw Failure(CUDA_ERROR_DEVICE_UNAVAILABLE, "the device was lost, as KERNCAST_SIM_FAULTS asks");
  }
  auto context = std::make_shared<Context>();
  context->handle = handle;
  context->device = device;
  context->id = static_cast<std::uint64_t>(next_handle());
  context->api_version = 3020;
  context->flags = flags;
  context->primary = primary;
  // The values that drivers set at first.
  context->limits[CU_LIMIT_STACK_SIZE] = 1024;
  context->limits[CU_LIMIT_PRINTF_FIFO_SIZE] = std::size_t{1} << 20;
  context->limits[CU_LIMIT_MALLOC_HEAP_SIZE] = std::size_t{8} << 20;
  context->limits[CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64;
  context->legacy = std::make_shared<Stream>();
  context->legacy->context = context;
  context->legacy->legacy = true;
  context->streams.push_back(context->legacy);
  state().contexts.insert(handle, context);
  return context;
}

/// Waits for the context's work and destroys everything that belongs to it.
void destroy(const std::shared_ptr<Context>& context) {
  DriverState& all = state();
  const CUcontext handle = context->handle;
  all.contexts.take(handle);
  const auto owned_here = [&](const auto& object) { return object.context.lock() == context; };
  const auto streams = all.streams.take_if(owned_here);
  const auto events = all.events.take_if(owned_here);
  {
    Scheduler::Lock lock = Scheduler::instance().lock();
    for (const std::shared_ptr<Stream>& stream : context->streams) {
      abandon_capture(lock, *stream);
    }
    context->destroyed = true;
    Scheduler::wait(lock, ends_of_streams(*context, false));
    context->streams.clear();
  }
  forget_context(handle);
  std::vector<const std::byte*> bases;
  {
    const std::lock_guard lock(all.owned_mutex);
    for (auto it = all.owned.begin(); it != all.owned.end(); ++it) {
      if (it->second.context == handle) {
        bases.push_back(it->first);
      }
    }
  }
  for (const std::byte* base : bases) {
    release_allocation(base);
  }
}

void require_flags(unsigned int flags) {
  const unsigned int wait = flags & CU_CTX_SCHED_MASK;
  if ((flags & ~static_cast<unsigned int>(CU_CTX_FLAGS_MASK)) != 0 ||
      (wait != CU_CTX_SCHED_AUTO && wait != CU_CTX_SCHED_SPIN && wait != CU_CTX_SCHED_YIELD &&
       wait != CU_CTX_SCHED_BLOCKING_SYNC)) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no context flags {:#x}", flags));
  }
}

void release_primary(int device, bool all_of_them) {
  DriverState& all = state();
  std::shared_ptr<Context> context;
  {
    const std::lock_guard lock(all.primary_mutex);
    DriverState::Primary& primary = all.primaries[static_cast<std::size_t>(device)];
    if (!all_of_them && primary.retained == 0) {
      throw Failure(CUDA_ERROR_INVALID_CONTEXT, "the primary context is not retained");
    }
    if (all_of_them || --primary.retained == 0) {
      context = all.contexts.find(primary.handle);
    }
    if (context != nullptr) {
      destroy(context);
    }
    if (all_of_them && primary.retained > 0) {
      make_context(primary.handle, device, primary.flags, true);
    }
  }
}

void synchronize(const Context& context) {
  {
    Scheduler::Lock lock = Scheduler::instance().lock();
    refuse_while_captured(lock, context);
    Scheduler::wait(lock, ends_of_streams(context, false));
  }
  context.require_no_fault();
}

/// The per-thread default streams of this thread, made on first use. Their handles do not outlive the thread.
struct ThreadStreams {
  std::unordered_map<CUcontext, std::weak_ptr<Stream>> by_context;
  ~ThreadStreams();
};
thread_local bool thread_streams_gone = false;
/// True while a function of the per-thread family runs.
thread_local bool null_is_per_thread = false;
thread_local ThreadStreams thread_streams;

ThreadStreams::~ThreadStreams() {
  thread_streams_gone = true;
  const Scheduler::Lock lock = Scheduler::instance().lock();
  for (const auto& [context, stream] : by_context) {
    if (const std::shared_ptr<Stream> live = stream.lock(); live != nullptr) {
      live->destroyed = true;
    }
  }
}

}  // namespace

std::shared_ptr<Context> find_context(CUcontext handle) {
  std::shared_ptr<Context> context = state().contexts.find(handle);
  if (context == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_CONTEXT, "there is no such context, or it is destroyed");
  }
  return context;
}

std::shared_ptr<Context> current_context_if_any() {
  return state().contexts.find(top());
}

std::shared_ptr<Context> current_context() {
  const CUcontext handle = top();
  if (handle == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_CONTEXT, "no context is current on this thread");
  }
  std::shared_ptr<Context> context = state().contexts.find(handle);
  if (context == nullptr) {
    throw Failure(CUDA_ERROR_CONTEXT_IS_DESTROYED, "this thread's current context is destroyed");
  }
  context->require_no_fault();
  return context;
}

PerThreadDefault::PerThreadDefault() : before_(std::exchange(null_is_per_thread, true)) {}

PerThreadDefault::~PerThreadDefault() {
  null_is_per_thread = before_;
}

std::shared_ptr<Stream> make_stream(const std::shared_ptr<Context>& context, bool blocking) {
  auto stream = std::make_shared<Stream>();
  stream->context = context;
  stream->blocking = blocking;
  const Scheduler::Lock lock = Scheduler::instance().lock();
  if (context->destroyed) {
    throw Failure(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the context is destroyed");
  }
  std::erase_if(context->streams,
                [](const std::shared_ptr<Stream>& old) { return old->destroyed && old->drained(); });
  context->streams.push_back(stream);
  return stream;
}

StreamRef find_stream(CUstream handle) {
  if (handle == nullptr && null_is_per_thread) {
    handle = stream_per_thread;
  }
  if (handle == nullptr || handle == stream_legacy || (handle == stream_per_thread && thread_streams_gone)) {
    std::shared_ptr<Context> context = current_context();
    std::shared_ptr<Stream> legacy = context->legacy;
    return {std::move(context), std::move(legacy)};
  }
  if (handle == stream_per_thread) {
    std::shared_ptr<Context> context = current_context();
    std::weak_ptr<Stream>& slot = thread_streams.by_context[context->handle];
    std::shared_ptr<Stream> stream = slot.lock();
    if (stream == nullptr || stream->context.lock() != context) {
      stream = make_stream(context, true);
      slot = stream;
    }
    return {std::move(context), std::move(stream)};
  }
  std::shared_ptr<Stream> stream = state().streams.find(handle);
  std::shared_ptr<Context> context = stream != nullptr ? stream->context.lock() : nullptr;
  if (context == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such stream, or it is destroyed");
  }
  context->require_no_fault();
  return {std::move(context), std::move(stream)};
}

extern "C" {

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return driver_call([&] {
    require(context, "context");
    require_device(device);
    DriverState& all = state();
    const std::lock_guard lock(all.primary_mutex);
    DriverState::Primary& primary = all.primaries[static_cast<std::size_t>(device)];
    if (primary.retained == 0) {
      make_context(primary.handle, device, primary.flags, true);
    }
    ++primary.retained;
    *context = primary.handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return driver_call([&] {
    require_device(device);
    release_primary(device, false);
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  return cuDevicePrimaryCtxRelease_v2(device);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return driver_call([&] {
    require_device(device);
    release_primary(device, true);
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxReset(CUdevice device) {
  return cuDevicePrimaryCtxReset_v2(device);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int* flags, int* active) {
  return driver_call([&] {
    require(flags, "flags");
    require(active, "active");
    require_device(device);
    const std::lock_guard lock(state().primary_mutex);
    const DriverState::Primary& primary = state().primaries[static_cast<std::size_t>(device)];
    *flags = primary.flags;
    *active = primary.retained > 0 ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned int flags) {
  return driver_call([&] {
    require_device(device);
    require_flags(flags);
    const std::lock_guard lock(state().primary_mutex);
    DriverState::Primary& primary = state().primaries[static_cast<std::size_t>(device)];
    primary.flags = flags;
    if (const std::shared_ptr<Context> context = state().contexts.find(primary.handle); context != nullptr) {
      context->flags = flags;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned int flags) {
  return cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned int flags, CUdevice device) {
  return driver_call([&] {
    require(context, "context");
    require_device(device);
    require_flags(flags);
    const auto handle = reinterpret_cast<CUcontext>(next_handle());
    push(handle);
    make_context(handle, device, flags, false);
    *context = handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxCreate_v3(CUcontext* context, CUexecAffinityParam*, int affinities, unsigned int flags,
                        CUdevice device) {
  if (affinities != 0) {
    return driver_call([]() -> CUresult {
      throw Failure(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY, "the virtual GPU has no execution affinities");
    });
  }
  return cuCtxCreate_v2(context, flags, device);
}

CUresult cuCtxCreate_v4(CUcontext* context, CUctxCreateParams* given, unsigned int flags, CUdevice device) {
  if (given != nullptr && given->cigParams != nullptr) {
    return driver_call(
        []() -> CUresult { throw Failure(CUDA_ERROR_NOT_SUPPORTED, "there is no graphics to share with"); });
  }
  return cuCtxCreate_v3(context, nullptr, given != nullptr ? given->numExecAffinityParams : 0, flags, device);
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  return driver_call([&] {
    const std::shared_ptr<Context> found = find_context(context);
    if (found->primary) {
      throw Failure(CUDA_ERROR_INVALID_CONTEXT, "a primary context is released, not destroyed");
    }
    destroy(found);
    if (top() == context) {
      --stack.depth;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxDestroy(CUcontext context) {
  return cuCtxDestroy_v2(context);
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  return driver_call([&] {
    require(context, "context");
    *context = top();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetCurrent(CUcontext context) {
  return driver_call([&] {
    if (context != nullptr) {
      find_context(context);
      if (stack.depth > 0) {
        stack.contexts[stack.depth - 1] = context;
      } else {
        push(context);
      }
    } else if (stack.depth > 0) {
      --stack.depth;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return driver_call([&] {
    find_context(context);
    push(context);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPushCurrent(CUcontext context) {
  return cuCtxPushCurrent_v2(context);
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  return driver_call([&] {
    if (stack.depth == 0) {
      throw Failure(CUDA_ERROR_INVALID_CONTEXT, "no context is current on this thread");
    }
    if (context != nullptr) {
      *context = top();
    }
    --stack.depth;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPopCurrent(CUcontext* context) {
  return cuCtxPopCurrent_v2(context);
}

CUresult cuCtxGetDevice(CUdevice* device) {
  return driver_call([&] {
    require(device, "device");
    if (top() == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_CONTEXT, "no context is current on this thread");
    }
    *device = find_context(top())->device;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSynchronize() {
  return driver_call([&] {
    synchronize(*current_context());
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSynchronize_v2(CUcontext context) {
  return driver_call([&] {
    const std::shared_ptr<Context> found = context != nullptr ? find_context(context) : current_context();
    found->require_no_fault();
    synchronize(*found);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
