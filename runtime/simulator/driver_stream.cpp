#include <fmt/format.h>

#include "runtime/simulator/driver_context.hpp"
#include "runtime/simulator/driver_failure.hpp"
#include "runtime/simulator/driver_state.hpp"

namespace kerncast::simulator::api {
namespace {

/// The tasks a wait for `target` waits for: the legacy default stream stands for all blocking ones.
std::vector<Point> ends_of(const StreamRef& target) {
  if (target.stream->legacy) {
    return ends_of_streams(*target.context, true);
  }
  return {{target.stream, target.stream->enqueued}};
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
CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned int flags, int) {
  return cuStreamCreate(stream, flags);
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  return driver_call([&] {
    if (stream == nullptr || stream == stream_legacy || stream == stream_per_thread) {
      throw Failure(CUDA_ERROR_INVALID_HANDLE, "a default stream cannot be destroyed");
    }
    const StreamRef target = find_stream(stream);
    state().streams.take(stream);
    Scheduler::Lock lock = Scheduler::instance().lock();
    abandon_capture(lock, *target.stream);
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

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  return driver_call([&] {
    require(reinterpret_cast<const void*>(function), "function");
    const StreamRef target = find_stream(stream);
    submit(target, CU_GRAPH_NODE_TYPE_HOST, [function, data](Context&) { function(data); });
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
