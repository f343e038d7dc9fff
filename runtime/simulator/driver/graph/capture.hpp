#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"

namespace kerncast::simulator::api {

/// A capture in progress, or over. Guarded by the scheduler's mutex.
struct Capture {
  std::uint64_t id = 0;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  bool into_given_graph = false;  ///< cuStreamBeginCaptureToGraph: the graph is the caller's whatever happens
  std::thread::id thread;
  bool invalidated = false;
  bool over = false;
  std::shared_ptr<Graph> graph;
  std::shared_ptr<Stream> origin;
  std::vector<std::shared_ptr<Stream>> streams;  ///< origin and those forked from it
};

/// Puts work on a stream: enqueues it and returns its end, or records it if the stream is being captured.
/// Throws Failure(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED), or CUDA_ERROR_STREAM_CAPTURE_IMPLICIT for work on
/// the legacy default stream while a blocking stream of the context is being captured.
std::optional<Point> submit(const StreamRef& target, CUgraphNodeType type, const Payload& payload);
/// Puts work that cannot be recorded on a stream. Throws Failure(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED) while
/// the stream is captured, and invalidates the capture.
std::optional<Point> submit_uncaptured(const StreamRef& target, Work work);
/// The checks that every work for a stream goes through: its capture is valid, its context lives, and the
/// legacy default stream does not meet a capture.
void require_open(Scheduler::Lock& lock, const StreamRef& target);
/// Waits for `point`, then throws the context's fault if it has one.
void wait_for(const StreamRef& target, const Point& point);

/// True if the stream takes part in a capture. The scheduler must not be locked by this thread.
[[nodiscard]] bool is_captured(const StreamRef& target);
/// Adds `stream` to a capture, its next node coming after `nodes`.
void join_capture(Scheduler::Lock& lock, const std::shared_ptr<Stream>& stream,
                  const std::shared_ptr<Capture>& capture, const std::vector<GraphNode*>& nodes);
/// Marks a capture invalid and throws Failure(code).
[[noreturn]] void invalidate(Capture& capture, CUresult code, const char* why);
/// Ends and invalidates the capture that `stream` takes part in, if any.
void abandon_capture(Scheduler::Lock& lock, Stream& stream);

/// The checks below throw Failure and invalidate the captures in the way, as the driver does. This one is for
/// calls that wait for, or query, a stream.
void refuse_capturing(Scheduler::Lock& lock, const Stream& stream);
/// The check for calls that wait for a whole context.
void refuse_while_captured(Scheduler::Lock& lock, const Context& context);
/// The check for calls that involve the legacy default stream.
void refuse_legacy_while_captured(Scheduler::Lock& lock, const Context& context);
/// The check for calls that are unsafe during capture unless the modes allow them, such as allocations and
/// module loads.
void refuse_unsafe_call(const char* call);

}  // namespace kerncast::simulator::api
