#include "runtime/simulator/driver/context/event.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"
#include "runtime/simulator/driver/memory/ipc.hpp"

namespace kerncast::simulator::api {
namespace {

/// CU_EVENT_RECORD_EXTERNAL and CU_EVENT_WAIT_EXTERNAL.
constexpr unsigned int external_node = 1;

std::vector<std::shared_ptr<Stream>> streams_of(const Context& context) {
  const Scheduler::Lock lock = Scheduler::instance().lock();
  return context.streams;
}

struct EventRef {
  std::shared_ptr<Context> context;
  std::shared_ptr<Event> event;
};

EventRef find_event(CUevent handle) {
  std::shared_ptr<Event> event = state().events.find(handle);
  std::shared_ptr<Context> context = event != nullptr ? event->context.lock() : nullptr;
  if (context == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such event, or it is destroyed");
  }
  context->require_no_fault();
  return {std::move(context), std::move(event)};
}

/// Host calls on an event last recorded in a capture are errors, which also spoil a capture in progress.
void refuse_captured(const Event& event) {
  if (event.capture != nullptr) {
    event.capture->invalidated = event.capture->invalidated || !event.capture->over;
    throw Failure(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a stream being captured");
  }
}

/// A node for an event that belongs to no capture: recorded, or waited for, whenever the graph runs.
void add_event_node(const StreamRef& on, CUgraphNodeType type, const std::shared_ptr<Event>& event) {
  if (on.stream->capture->invalidated) {
    throw Failure(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                  "the stream's capture is invalid; end it and begin anew");
  }
  GraphNode& node = add_node(*on.stream->capture->graph, type,
                             std::make_shared<const EventNode>(EventNode{event}), on.stream->tail);
  on.stream->tail.assign(1, &node);
}

/// Another process notifies nobody when a recording is passed, so this thread polls.
void await_shared(const SharedEvent& event, std::uint64_t recording, const Context& context) {
  while (context.fault() == CUDA_SUCCESS && !event.passed(recording)) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

void record(const EventRef& target, const StreamRef& on, bool external) {
  Scheduler::Lock lock = Scheduler::instance().lock();
  Event& event = *target.event;
  if (on.stream->capture != nullptr && external) {
    add_event_node(on, CU_GRAPH_NODE_TYPE_EVENT_RECORD, target.event);
    return;
  }
  if (on.stream->capture != nullptr) {
    if (on.stream->capture->invalidated) {
      throw Failure(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                    "the stream's capture is invalid; end it and begin anew");
    }
    event.record = nullptr;
    event.capture = on.stream->capture;
    event.captured_nodes = on.stream->tail;
    return;
  }
  if (on.stream->legacy) {
    refuse_legacy_while_captured(lock, *on.context);
  }
  if (event.shared != nullptr) {
    const std::uint64_t recording = event.shared->begin();
    Task task{on.context,
              {},
              [shared = event.shared, recording](Context&, Moment&) { shared->pass(recording); },
              true};
    Scheduler::instance().enqueue(lock, on.stream, std::move(task));
    event.capture = nullptr;
    return;
  }
  auto made = std::make_shared<EventRecord>();
  Task task;
  task.context = on.context;
  task.after_fault = true;
  // The record must not own its own task's stream before the task is out of the queue, so it is passed by
  // weak pointer.
  task.work = [weak = std::weak_ptr(made)](Context& context, const Moment& moment) {
    if (const std::shared_ptr<EventRecord> live = weak.lock(); live != nullptr) {
      live->time = recorded_time(context, moment);
    }
  };
  made->point = Scheduler::instance().enqueue(lock, on.stream, std::move(task));
  event.record = std::move(made);
  event.capture = nullptr;
  event.captured_nodes.clear();
}

void wait_in_stream(const StreamRef& waiting, const std::shared_ptr<Event>& target, bool external) {
  Scheduler::Lock lock = Scheduler::instance().lock();
  Stream& stream = *waiting.stream;
  const Event& event = *target;
  if (stream.capture != nullptr && external) {
    add_event_node(waiting, CU_GRAPH_NODE_TYPE_WAIT_EVENT, target);
    return;
  }
  if (stream.capture != nullptr && stream.capture->invalidated) {
    throw Failure(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                  "the stream's capture is invalid; end it and begin anew");
  }
  if (event.capture != nullptr) {
    if (event.capture->over) {
      throw Failure(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a capture that is over");
    }
    if (stream.legacy) {
      invalidate(*event.capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                 "the legacy default stream cannot take part in a capture");
    }
    if (event.capture->invalidated) {
      throw Failure(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the event's capture is invalid");
    }
    if (stream.capture != nullptr && stream.capture != event.capture) {
      stream.capture->invalidated = true;
      invalidate(*event.capture, CUDA_ERROR_STREAM_CAPTURE_MERGE, "the event belongs to another capture");
    }
    join_capture(lock, waiting.stream, event.capture, event.captured_nodes);
    return;
  }
  const std::uint64_t recording = event.shared != nullptr ? event.shared->latest() : 0;
  if (event.record == nullptr && recording == 0) {
    return;
  }
  if (stream.capture != nullptr) {
    invalidate(*stream.capture, CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
               "the event was recorded outside of the stream's capture");
  }
  if (stream.legacy) {
    refuse_legacy_while_captured(lock, *waiting.context);
  }
  if (recording != 0) {
    Scheduler::instance().enqueue(
        lock, waiting.stream,
        {waiting.context, {}, [shared = event.shared, recording](Context& context, Moment&) {
           await_shared(*shared, recording, context);
         }});
    return;
  }
  Scheduler::instance().enqueue(lock, waiting.stream, {waiting.context, {event.record->point}, {}});
}

}  // namespace

DeviceTime recorded_time(const Context& context, const Moment& moment) {
  if (state().clock(context.device) != nullptr) {
    return moment.now;
  }
  static const auto start = std::chrono::steady_clock::now();
  return std::chrono::duration_cast<DeviceTime>(std::chrono::steady_clock::now() - start) +
         std::chrono::nanoseconds(state().slept.load());
}

extern "C" {

CUresult cuEventCreate(CUevent* event, unsigned int flags) {
  return driver_call([&] {
    require(event, "event");
    const std::shared_ptr<Context> context = current_context();
    constexpr unsigned int known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
    const bool shared = (flags & CU_EVENT_INTERPROCESS) != 0;
    if ((flags & ~known) != 0 || (shared && (flags & CU_EVENT_DISABLE_TIMING) == 0)) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no event flags {:#x}", flags));
    }
    auto made = std::make_shared<Event>();
    made->context = context;
    made->flags = flags;
    made->shared = shared ? std::make_shared<SharedEvent>() : nullptr;
    *event = state().events.insert(made);
    return CUDA_SUCCESS;
  });
}

CUresult cuEventDestroy_v2(CUevent event) {
  return driver_call([&] {
    find_event(event);
    state().events.take(event);
    return CUDA_SUCCESS;
  });
}

CUresult cuEventDestroy(CUevent event) {
  return cuEventDestroy_v2(event);
}

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned int flags) {
  return driver_call([&] {
    const EventRef target = find_event(event);
    const StreamRef on = find_stream(stream);
    if (flags > 1) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no flags {:#x}", flags));
    }
    if (target.context != on.context) {
      throw Failure(CUDA_ERROR_INVALID_HANDLE, "event and stream belong to different contexts");
    }
    record(target, on, flags == external_node);
    return CUDA_SUCCESS;
  });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  return cuEventRecordWithFlags(event, stream, 0);
}

CUresult cuEventQuery(CUevent event) {
  return driver_call([&] {
    const EventRef target = find_event(event);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    refuse_captured(*target.event);
    if (const std::shared_ptr<SharedEvent>& shared = target.event->shared; shared != nullptr) {
      return shared->passed(shared->latest()) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
    }
    const bool done = target.event->record == nullptr || Scheduler::passed(target.event->record->point);
    return done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
  });
}

CUresult cuEventSynchronize(CUevent event) {
  return driver_call([&] {
    const EventRef target = find_event(event);
    {
      Scheduler::Lock lock = Scheduler::instance().lock();
      refuse_captured(*target.event);
      if (const std::shared_ptr<EventRecord> awaited = target.event->record; awaited != nullptr) {
        Scheduler::wait(lock, awaited->point);
      }
    }
    if (const std::shared_ptr<SharedEvent>& shared = target.event->shared; shared != nullptr) {
      await_shared(*shared, shared->latest(), *target.context);
    }
    target.context->require_no_fault();
    return CUDA_SUCCESS;
  });
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return driver_call([&] {
    require(milliseconds, "milliseconds");
    const EventRef first = find_event(start);
    const EventRef last = find_event(end);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    for (const Event* event : {first.event.get(), last.event.get()}) {
      refuse_captured(*event);
      if ((event->flags & CU_EVENT_DISABLE_TIMING) != 0) {
        throw Failure(CUDA_ERROR_INVALID_HANDLE, "the event was created without timing");
      }
      if (event->record == nullptr) {
        throw Failure(CUDA_ERROR_INVALID_HANDLE, "the event was never recorded");
      }
    }
    if (!Scheduler::passed(first.event->record->point) || !Scheduler::passed(last.event->record->point)) {
      return CUDA_ERROR_NOT_READY;
    }
    *milliseconds =
        std::chrono::duration<float, std::milli>(last.event->record->time - first.event->record->time)
            .count();
    return CUDA_SUCCESS;
  });
}

CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return cuEventElapsedTime(milliseconds, start, end);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags) {
  return driver_call([&] {
    const StreamRef waiting = find_stream(stream);
    const EventRef target = find_event(event);
    if (flags > 1) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no flags {:#x}", flags));
    }
    wait_in_stream(waiting, target.event, flags == external_node);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxRecordEvent(CUcontext context, CUevent event) {
  return driver_call([&] {
    const std::shared_ptr<Context> found = context != nullptr ? find_context(context) : current_context();
    const EventRef target = find_event(event);
    if (target.context != found) {
      throw Failure(CUDA_ERROR_INVALID_HANDLE, "event and context do not belong together");
    }
    // The context's end is that of the legacy stream once it has waited for all others.
    Scheduler::Lock lock = Scheduler::instance().lock();
    refuse_while_captured(lock, *found);
    Scheduler::instance().enqueue(lock, found->legacy, {found, ends_of_streams(*found, false), {}});
    lock.unlock();
    record(target, {found, found->legacy}, false);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxWaitEvent(CUcontext context, CUevent event) {
  return driver_call([&] {
    const std::shared_ptr<Context> found = context != nullptr ? find_context(context) : current_context();
    const EventRef target = find_event(event);
    {
      Scheduler::Lock lock = Scheduler::instance().lock();
      refuse_while_captured(lock, *found);
    }
    for (const std::shared_ptr<Stream>& stream : streams_of(*found)) {
      wait_in_stream({found, stream}, target.event, false);
    }
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
