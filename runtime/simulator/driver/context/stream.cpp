#include <fmt/format.h>

#include <algorithm>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"

namespace kerncast::simulator::api {
namespace {

constexpr int least_priority = 0;
constexpr int greatest_priority = -5;

/// The tasks a wait for `target` waits for: the legacy default stream stands for all blocking ones.
std::vector<Point> ends_of(const StreamRef& target) {
  if (target.stream->legacy) {
    return ends_of_streams(*target.context, true);
  }
  return {end_of(target.stream)};
}

void refuse_wait_while_captured(Scheduler::Lock& lock, const StreamRef& target) {
  refuse_capturing(lock, *target.stream);
  if (target.stream->legacy) {
    refuse_legacy_while_captured(lock, *target.context);
  }
}

}  // namespace

extern "C" {

CUresult cuStreamCreate(CUstream* stream, unsigned int flags) {
  return driver_call([&] {
    require(stream, "stream");
    const std::shared_ptr<Context> context = current_context();
    if ((flags & ~static_cast<unsigned int>(CU_STREAM_NON_BLOCKING)) != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no stream flags {:#x}", flags));
    }
    const std::shared_ptr<Stream> made = make_stream(context, (flags & CU_STREAM_NON_BLOCKING) == 0);
    *stream = state().streams.insert(made);
    return CUDA_SUCCESS;
  });
}

// Priorities are hints, and every stream has a thread of its own here.
CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned int flags, int priority) {
  const CUresult result = cuStreamCreate(stream, flags);
  if (result == CUDA_SUCCESS) {
    state().streams.find(*stream)->priority = std::clamp(priority, greatest_priority, least_priority);
  }
  return result;
}

CUresult cuStreamGetPriority(CUstream stream, int* priority) {
  return driver_call([&] {
    require(priority, "priority");
    *priority = find_stream(stream).stream->priority;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return driver_call([&] {
    current_context();
    if (least != nullptr) {
      *least = least_priority;
    }
    if (greatest != nullptr) {
      *greatest = greatest_priority;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetId(CUstream stream, unsigned long long* id) {
  return driver_call([&] {
    require(id, "id");
    const StreamRef target = find_stream(stream);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    if (target.stream->id == 0) {
      target.stream->id = static_cast<std::uint64_t>(next_handle());
    }
    *id = target.stream->id;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetDevice(CUstream stream, CUdevice* device) {
  return driver_call([&] {
    require(device, "device");
    *device = find_stream(stream).context->device;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetAttribute(CUstream stream, CUlaunchAttributeID attribute, CUlaunchAttributeValue* value) {
  return driver_call([&] {
    require(value, "value");
    const StreamRef target = find_stream(stream);
    *value = {};
    switch (attribute) {
      case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        value->priority = target.stream->priority;
        return CUDA_SUCCESS;
      case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
        return CUDA_SUCCESS;
      case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
        value->cooperative = 1;  // automatic
        return CUDA_SUCCESS;
      default:
        throw Failure(CUDA_ERROR_INVALID_VALUE,
                      fmt::format("streams have no attribute {}", static_cast<int>(attribute)));
    }
  });
}

CUresult cuStreamSetAttribute(CUstream stream, CUlaunchAttributeID attribute,
                              const CUlaunchAttributeValue* value) {
  return driver_call([&] {
    require(value, "value");
    const StreamRef target = find_stream(stream);
    switch (attribute) {
      case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        target.stream->priority = std::clamp(value->priority, greatest_priority, least_priority);
        return CUDA_SUCCESS;
      case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
      case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
        return CUDA_SUCCESS;
      default:
        throw Failure(CUDA_ERROR_INVALID_VALUE,
                      fmt::format("streams have no attribute {}", static_cast<int>(attribute)));
    }
  });
}

CUresult cuStreamCopyAttributes(CUstream to, CUstream from) {
  return driver_call([&] {
    const StreamRef target = find_stream(to);
    target.stream->priority = find_stream(from).stream->priority.load();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void* data, unsigned int flags) {
  return driver_call([&] {
    require(reinterpret_cast<const void*>(callback), "callback");
    if (flags != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "cuStreamAddCallback takes no flags");
    }
    const StreamRef target = find_stream(stream);
    Scheduler::Lock lock = Scheduler::instance().lock();
    require_open(lock, target);
    if (target.stream->capture != nullptr) {
      invalidate(*target.stream->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                 "a callback cannot be captured; use cuLaunchHostFunc");
    }
    // Unlike a host function, a callback is also called after a fault, with the fault's code.
    Task task{target.context,
              {},
              [=](Context& context, Moment&) { callback(stream, context.fault(), data); },
              true};
    Scheduler::instance().enqueue(lock, target.stream, std::move(task));
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamAttachMemAsync(CUstream stream, CUdeviceptr, std::size_t, unsigned int) {
  return driver_call([&] {
    find_stream(stream);  // all managed memory is visible to all streams
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  return driver_call([&] {
    if (stream == nullptr || stream == stream_legacy || stream == stream_per_thread) {
      throw Failure(CUDA_ERROR_INVALID_HANDLE, "a default stream cannot be destroyed");
    }
    const StreamRef target = find_stream(stream);
    state().streams.take(stream);
    Scheduler::Lock lock = Scheduler::instance().lock();
    // The nodes of a forked stream stay in its capture. A capture whose first stream is gone can never end.
    if (target.stream->capture != nullptr && target.stream->capture->origin == target.stream) {
      abandon_capture(lock, *target.stream);
    }
    target.stream->destroyed = true;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamDestroy(CUstream stream) {
  return cuStreamDestroy_v2(stream);
}

CUresult cuStreamSynchronize(CUstream stream) {
  return driver_call([&] {
    const StreamRef target = find_stream(stream);
    {
      Scheduler::Lock lock = Scheduler::instance().lock();
      refuse_wait_while_captured(lock, target);
      Scheduler::wait(lock, ends_of(target));
    }
    target.context->require_no_fault();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamQuery(CUstream stream) {
  return driver_call([&] {
    const StreamRef target = find_stream(stream);
    Scheduler::Lock lock = Scheduler::instance().lock();
    refuse_wait_while_captured(lock, target);
    for (const Point& point : ends_of(target)) {
      if (!Scheduler::passed(point)) {
        return CUDA_ERROR_NOT_READY;
      }
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetFlags(CUstream stream, unsigned int* flags) {
  return driver_call([&] {
    require(flags, "flags");
    const StreamRef target = find_stream(stream);
    *flags = target.stream->legacy || target.stream->blocking ? CU_STREAM_DEFAULT : CU_STREAM_NON_BLOCKING;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) {
  return driver_call([&] {
    require(context, "context");
    *context = find_stream(stream).context->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetCtx_v2(CUstream stream, CUcontext* context, CUgreenCtx* green) {
  if (green != nullptr) {
    *green = nullptr;
  }
  return cuStreamGetCtx(stream, context);
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  return driver_call([&] {
    require(reinterpret_cast<const void*>(function), "function");
    const StreamRef target = find_stream(stream);
    submit(target, CU_GRAPH_NODE_TYPE_HOST, host_payload({function, data}));
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
