#include "runtime/simulator/driver_context.hpp"

#include <array>

#include "runtime/simulator/driver_failure.hpp"

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

std::shared_ptr<Context> find_context(CUcontext handle) {
  std::shared_ptr<Context> context = state().contexts.find(handle);
  if (context == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_CONTEXT, "there is no such context, or it is destroyed");
  }
  return context;
}

std::shared_ptr<Context> make_context(CUcontext handle, int device, unsigned int flags, bool primary) {
  auto context = std::make_shared<Context>();
  context->handle = handle;
  context->device = device;
  context->flags = flags;
  context->primary = primary;
  context->legacy = std::make_shared<Stream>();
  context->legacy->context = context;
  context->legacy->legacy = true;
  context->streams.push_back(context->legacy);
  state().contexts.insert(handle, context);
  return context;
}

/// Waits for the context's work and takes everything down that belongs to it.
void destroy(const std::shared_ptr<Context>& context) {
  State& all = state();
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
    for (auto it = all.owned.begin(); it != all.owned.end();) {
      if (it->second.context == handle) {
        bases.push_back(it->first);
        it = all.owned.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (const std::byte* base : bases) {
    all.memory.release(base);
  }
}

void release_primary(int device, bool all_of_them) {
  State& all = state();
  std::shared_ptr<Context> context;
  {
    const std::lock_guard lock(all.primary_mutex);
    State::Primary& primary = all.primaries[static_cast<std::size_t>(device)];
    if (all_of_them) {
      context = all.contexts.find(primary.handle);
    } else if (primary.retained == 0) {
      throw Failure(CUDA_ERROR_INVALID_CONTEXT, "the primary context is not retained");
    } else if (--primary.retained == 0) {
      context = all.contexts.find(primary.handle);
    }
    if (context != nullptr) {
      destroy(context);
    }
    if (all_of_them && primary.retained > 0) {
      make_context(primary.handle, device, 0, true);
    }
  }
}

/// The per-thread default streams of this thread, made on first use. Their handles outlive no thread.
struct ThreadStreams {
  std::unordered_map<CUcontext, std::weak_ptr<Stream>> by_context;
  ~ThreadStreams();
};
thread_local bool thread_streams_gone = false;
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
    State& all = state();
    const std::lock_guard lock(all.primary_mutex);
    State::Primary& primary = all.primaries[static_cast<std::size_t>(device)];
    if (primary.retained == 0) {
      make_context(primary.handle, device, 0, true);
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
    *flags = 0;
    *active = state().primaries[static_cast<std::size_t>(device)].retained > 0 ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned int flags, CUdevice device) {
  return driver_call([&] {
    require(context, "context");
    require_device(device);
    const auto handle = reinterpret_cast<CUcontext>(next_handle());
    push(handle);
    make_context(handle, device, flags, false);
    *context = handle;
    return CUDA_SUCCESS;
  });
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
    const std::shared_ptr<Context> context = current_context();
    {
      Scheduler::Lock lock = Scheduler::instance().lock();
      refuse_while_captured(lock, *context);
      Scheduler::wait(lock, ends_of_streams(*context, false));
    }
    context->require_no_fault();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned int flags) {
  return driver_call([&] {
    const std::shared_ptr<Context> context = current_context();
    if (flags != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "cuCtxEnablePeerAccess takes no flags");
    }
    if (find_context(peer)->device == context->device) {
      throw Failure(CUDA_ERROR_INVALID_DEVICE, "a device is no peer of its own");
    }
    // All devices live in one memory, so there is nothing to switch on.
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxDisablePeerAccess(CUcontext peer) {
  return driver_call([&] {
    current_context();
    find_context(peer);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
