#include "runtime/simulator/driver/graph/capture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"

namespace kerncast::simulator::api {
namespace {

thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

/// Captures in progress, in all contexts. Guarded by the scheduler's mutex.
std::vector<std::shared_ptr<Capture>>& captures() {
  static auto* all = new std::vector<std::shared_ptr<Capture>>;
  return *all;
}

/// Releases the streams of a capture that is over.
void finish(const std::shared_ptr<Capture>& capture) {
  capture->over = true;
  capture->graph->capturing = false;
  for (const std::shared_ptr<Stream>& stream : capture->streams) {
    stream->capture = nullptr;
    stream->tail.clear();
  }
  capture->streams.clear();
  capture->origin = nullptr;
  std::erase(captures(), capture);
}

/// Forgets the graph of a capture that failed, unless the caller made it.
void drop_graph(const Capture& capture) {
  if (!capture.into_given_graph) {
    state().graphs.take(capture.graph->handle);
  }
}

void require_capturable(const Stream& stream) {
  if (stream.legacy) {
    throw Failure(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the legacy default stream cannot be captured");
  }
  if (stream.capture != nullptr) {
    throw Failure(CUDA_ERROR_ILLEGAL_STATE, "the stream is being captured already");
  }
}

std::shared_ptr<Capture> begin(const StreamRef& target, CUstreamCaptureMode mode,
                               std::shared_ptr<Graph> graph, std::vector<GraphNode*> after) {
  static std::uint64_t captures_begun = 0;
  auto capture = std::make_shared<Capture>();
  capture->id = ++captures_begun;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->graph = std::move(graph);
  capture->graph->capturing = true;
  capture->origin = target.stream;
  capture->streams.push_back(target.stream);
  target.stream->capture = capture;
  target.stream->tail = std::move(after);
  captures().push_back(capture);
  return capture;
}

/// True if every node recorded in the capture's other streams comes before the end of its origin.
bool is_joined(const Capture& capture) {
  std::unordered_set<const GraphNode*> before;
  std::vector<GraphNode*> open = capture.origin->tail;
  while (!open.empty()) {
    const GraphNode* node = open.back();
    open.pop_back();
    if (before.insert(node).second) {
      open.insert(open.end(), node->after.begin(), node->after.end());
    }
  }
  return std::all_of(capture.streams.begin(), capture.streams.end(),
                     [&](const std::shared_ptr<Stream>& stream) {
                       return std::all_of(stream->tail.begin(), stream->tail.end(),
                                          [&](const GraphNode* node) { return before.count(node) != 0; });
                     });
}

bool takes_time(CUgraphNodeType type) {
  return type == CU_GRAPH_NODE_TYPE_KERNEL || type == CU_GRAPH_NODE_TYPE_MEMCPY ||
         type == CU_GRAPH_NODE_TYPE_MEMSET;
}

void require_valid_mode(CUstreamCaptureMode mode) {
  if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("there is no capture mode {}", static_cast<int>(mode)));
  }
}

/// Asking whether the legacy stream captures is refused while it would have to depend on a capture.
void refuse_legacy_query(const Stream& stream, const Context& context) {
  if (stream.legacy &&
      std::any_of(context.streams.begin(), context.streams.end(), [](const std::shared_ptr<Stream>& other) {
        return other->blocking && other->capture != nullptr;
      })) {
    throw Failure(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "a blocking stream of the context is being captured");
  }
}

CUstreamCaptureStatus status_of(const Stream& stream) {
  if (stream.capture == nullptr) {
    return CU_STREAM_CAPTURE_STATUS_NONE;
  }
  return stream.capture->invalidated ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

}  // namespace

void require_open(Scheduler::Lock& lock, const StreamRef& target) {
  if (const std::shared_ptr<Capture>& capture = target.stream->capture; capture != nullptr) {
    if (capture->invalidated) {
      throw Failure(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                    "the stream's capture is invalid; end it and begin anew");
    }
    return;
  }
  if (target.context->destroyed) {
    throw Failure(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the stream's context is destroyed");
  }
  if (target.stream->legacy) {
    refuse_legacy_while_captured(lock, *target.context);
  }
}

std::optional<Point> submit(const StreamRef& target, CUgraphNodeType type, const Payload& payload) {
  Scheduler::Lock lock = Scheduler::instance().lock();
  Stream& stream = *target.stream;
  require_open(lock, target);
  if (stream.capture != nullptr) {
    GraphNode& node = add_node(*stream.capture->graph, type, payload, stream.tail);
    const auto* kernel = std::get_if<Shared<KernelNode>>(&payload);
    if (kernel != nullptr && is_dependent(**kernel) && node.after.size() == 1 &&
        node.after.front()->type == CU_GRAPH_NODE_TYPE_KERNEL) {
      node.programmatic = node.after;
    }
    stream.tail.assign(1, &node);
    return std::nullopt;
  }
  Task task{target.context, {}, work_of(payload)};
  task.start.eager = true;
  if (const auto* kernel = std::get_if<Shared<KernelNode>>(&payload)) {
    task.dependent = is_dependent(**kernel);
    task.link = make_link(**kernel, task.dependent);
  }
  if (DeviceClock* clock = state().clock(target.context->device); clock != nullptr && takes_time(type)) {
    task.start.pace = clock->next_pace();
  }
  return Scheduler::instance().enqueue(lock, target.stream, std::move(task));
}

std::optional<Point> submit_uncaptured(const StreamRef& target, Work work) {
  Scheduler::Lock lock = Scheduler::instance().lock();
  require_open(lock, target);
  if (target.stream->capture != nullptr) {
    invalidate(*target.stream->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
               "this call cannot be recorded in a graph");
  }
  return Scheduler::instance().enqueue(lock, target.stream, {target.context, {}, std::move(work)});
}

void wait_for(const StreamRef& target, const Point& point) {
  {
    Scheduler::Lock lock = Scheduler::instance().lock();
    Scheduler::wait(lock, point);
  }
  target.context->require_no_fault();
}

bool is_captured(const StreamRef& target) {
  const Scheduler::Lock lock = Scheduler::instance().lock();
  return target.stream->capture != nullptr;
}

void join_capture(Scheduler::Lock&, const std::shared_ptr<Stream>& stream,
                  const std::shared_ptr<Capture>& capture, const std::vector<GraphNode*>& nodes) {
  if (stream->capture == nullptr) {
    stream->capture = capture;
    capture->streams.push_back(stream);
  }
  for (GraphNode* node : nodes) {
    if (std::find(stream->tail.begin(), stream->tail.end(), node) == stream->tail.end()) {
      stream->tail.push_back(node);
    }
  }
}

void invalidate(Capture& capture, CUresult code, const char* why) {
  capture.invalidated = true;
  throw Failure(code, why);
}

void abandon_capture(Scheduler::Lock&, Stream& stream) {
  if (const std::shared_ptr<Capture> capture = stream.capture; capture != nullptr) {
    capture->invalidated = true;
    finish(capture);
    drop_graph(*capture);
  }
}

void refuse_capturing(Scheduler::Lock&, const Stream& stream) {
  if (stream.capture != nullptr) {
    invalidate(*stream.capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
               "a stream cannot be waited for or queried while it is being captured");
  }
}

void refuse_while_captured(Scheduler::Lock&, const Context& context) {
  bool found = false;
  for (const std::shared_ptr<Stream>& stream : context.streams) {
    if (stream->capture != nullptr) {
      stream->capture->invalidated = true;
      found = true;
    }
  }
  if (found) {
    throw Failure(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                  "the context cannot be waited for while one of its streams is being captured");
  }
}

void refuse_legacy_while_captured(Scheduler::Lock&, const Context& context) {
  bool found = false;
  for (const std::shared_ptr<Stream>& stream : context.streams) {
    if (stream->blocking && stream->capture != nullptr) {
      stream->capture->invalidated = true;
      found = true;
    }
  }
  if (found) {
    throw Failure(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                  "the legacy default stream waits for all blocking streams, and one is being captured");
  }
}

void refuse_unsafe_call(const char* call) {
  if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) {
    return;
  }
  const Scheduler::Lock lock = Scheduler::instance().lock();
  bool found = false;
  for (const std::shared_ptr<Capture>& capture : captures()) {
    const bool own = capture->thread == std::this_thread::get_id();
    const bool prohibited =
        own ? capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED
            : thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL && capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (prohibited) {
      capture->invalidated = true;
      found = true;
    }
  }
  if (found) {
    throw Failure(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                  fmt::format("{} is not permitted while a stream is being captured in this mode", call));
  }
}

extern "C" {

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  return driver_call([&] {
    require(mode, "mode");
    require_valid_mode(*mode);
    std::swap(*mode, thread_mode);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  return driver_call([&] {
    require_valid_mode(mode);
    const StreamRef target = find_stream(stream);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    require_capturable(*target.stream);
    begin(target, mode, make_graph(), {});
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode* dependencies,
                                     const CUgraphEdgeData* edges, std::size_t count,
                                     CUstreamCaptureMode mode) {
  return driver_call([&] {
    require_valid_mode(mode);
    const StreamRef target = find_stream(stream);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    require_capturable(*target.stream);
    const std::shared_ptr<Graph> found = find_graph(graph);
    require_not_capturing(*found);
    require_plain_edges(edges, count);
    begin(target, mode, found, find_nodes(*found, dependencies, count))->into_given_graph = true;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  return driver_call([&] {
    require(graph, "graph");
    *graph = nullptr;
    const StreamRef target = find_stream(stream);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<Capture> capture = target.stream->capture;
    if (capture == nullptr) {
      throw Failure(CUDA_ERROR_ILLEGAL_STATE, "the stream is not being captured");
    }
    if (capture->origin != target.stream) {
      invalidate(*capture, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture was begun in another stream");
    }
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != std::this_thread::get_id()) {
      throw Failure(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture was begun by another thread");
    }
    const bool joined = capture->invalidated || is_joined(*capture);
    finish(capture);
    if (capture->invalidated || !joined) {
      capture->invalidated = true;
      drop_graph(*capture);
      throw joined
          ? Failure(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an earlier call made the capture invalid")
          : Failure(CUDA_ERROR_STREAM_CAPTURE_UNJOINED,
                    "a stream forked from the captured one was not joined to it");
    }
    *graph = capture->graph->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  return driver_call([&] {
    require(status, "status");
    const StreamRef target = find_stream(stream);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    refuse_legacy_query(*target.stream, *target.context);
    *status = status_of(*target.stream);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* status, std::uint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies,
                                   const CUgraphEdgeData** edges, std::size_t* count) {
  return driver_call([&] {
    require(status, "status");
    const StreamRef target = find_stream(stream);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    refuse_legacy_query(*target.stream, *target.context);
    Stream& found = *target.stream;
    *status = status_of(found);
    if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE) {
      return CUDA_SUCCESS;
    }
    if (id != nullptr) {
      *id = found.capture->id;
    }
    if (graph != nullptr) {
      *graph = found.capture->graph->handle;
    }
    found.tail_handles.clear();
    for (const GraphNode* node : found.tail) {
      found.tail_handles.push_back(node->handle);
    }
    if (dependencies != nullptr) {
      *dependencies = found.tail_handles.data();
    }
    if (edges != nullptr) {
      *edges = nullptr;  // all edges are plain ones
    }
    if (count != nullptr) {
      *count = found.tail_handles.size();
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status, std::uint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies, std::size_t* count) {
  return cuStreamGetCaptureInfo_v3(stream, status, id, graph, dependencies, nullptr, count);
}

CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus* status, std::uint64_t* id) {
  return cuStreamGetCaptureInfo_v3(stream, status, id, nullptr, nullptr, nullptr, nullptr);
}

CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode* dependencies,
                                              const CUgraphEdgeData* edges, std::size_t count,
                                              unsigned int flags) {
  return driver_call([&] {
    if (flags > 1) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no flags {:#x}", flags));
    }
    const StreamRef target = find_stream(stream);
    const Scheduler::Lock lock = Scheduler::instance().lock();
    Stream& found = *target.stream;
    if (found.capture == nullptr) {
      throw Failure(CUDA_ERROR_ILLEGAL_STATE, "the stream is not being captured");
    }
    if (found.capture->invalidated) {
      throw Failure(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the stream's capture is invalid");
    }
    require_plain_edges(edges, count);
    const std::vector<GraphNode*> given = find_nodes(*found.capture->graph, dependencies, count);
    constexpr unsigned int set_dependencies = 1;
    if (flags == set_dependencies) {
      found.tail.clear();
    }
    for (GraphNode* node : given) {
      if (std::find(found.tail.begin(), found.tail.end(), node) == found.tail.end()) {
        found.tail.push_back(node);
      }
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode* dependencies, std::size_t count,
                                           unsigned int flags) {
  return cuStreamUpdateCaptureDependencies_v2(stream, dependencies, nullptr, count, flags);
}

}  // extern "C"

}  // namespace kerncast::simulator::api
