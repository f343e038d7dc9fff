#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "runtime/simulator/driver_scheduler.hpp"

namespace kerncast::simulator::api {

struct StreamRef;

struct GraphNode {
  CUgraphNode handle = nullptr;
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  std::vector<std::size_t> after;  ///< indexes of earlier nodes
  Work work;
};

/// What a capture recorded. Nodes stand in an order that satisfies their dependencies.
struct Graph {
  CUgraph handle = nullptr;
  std::vector<GraphNode> nodes;
  bool capturing = false;  ///< guarded by the scheduler's mutex, as `nodes` is until the capture ends
};

struct GraphExec {
  CUgraphExec handle = nullptr;
  std::shared_ptr<const std::vector<GraphNode>> nodes;
  Point
      last;  ///< its latest launch, as launches of one graph do not overlap; guarded by the scheduler's mutex
};

/// A capture in progress, or over. Guarded by the scheduler's mutex.
struct Capture {
  std::uint64_t id = 0;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::thread::id thread;
  bool invalidated = false;
  bool over = false;
  std::shared_ptr<Graph> graph;
  std::shared_ptr<Stream> origin;
  std::vector<std::shared_ptr<Stream>> streams;  ///< origin and those forked from it
};

/// Puts work on a stream: enqueued (its end is returned), or recorded where the stream is being captured.
/// Throws Failure(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED), or CUDA_ERROR_STREAM_CAPTURE_IMPLICIT for work on
/// the legacy default stream while a blocking stream of the context is being captured. Work enqueued also
/// comes after `*chain`, which becomes its end, where `chain` is given.
std::optional<Point> submit(const StreamRef& target, CUgraphNodeType type, Work work, Point* chain = nullptr);
/// Waits for `point`, then throws the context's fault if it has one.
void wait_for(const StreamRef& target, const Point& point);

/// Adds `stream` to a capture, its next node coming after `nodes`.
void join_capture(Scheduler::Lock& lock, const std::shared_ptr<Stream>& stream,
                  const std::shared_ptr<Capture>& capture, const std::vector<std::size_t>& nodes);
/// Marks a capture invalid and throws Failure(code).
[[noreturn]] void invalidate(Capture& capture, CUresult code, const char* why);
/// Ends and invalidates the capture that `stream` takes part in, if any.
void abandon_capture(Scheduler::Lock& lock, Stream& stream);

/// The checks below throw Failure and invalidate the captures in the way, as the driver does.
/// For calls that wait for, or ask after, a stream.
void refuse_capturing(Scheduler::Lock& lock, const Stream& stream);
/// For calls that wait for a whole context.
void refuse_while_captured(Scheduler::Lock& lock, const Context& context);
/// For calls that involve the legacy default stream.
void refuse_legacy_while_captured(Scheduler::Lock& lock, const Context& context);
/// For calls that are unsafe during capture unless the modes allow them, such as allocations and module
/// loads.
void refuse_unsafe_call(const char* call);

}  // namespace kerncast::simulator::api
