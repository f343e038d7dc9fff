#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/simulator/driver/abi/symbols.hpp"

namespace kerncast::simulator::api {

struct Capture;
struct Context;
struct GraphNode;
struct Stream;

/// The work of one task: a launch, a copy, a fill. It reports its faults to the context.
using Work = std::function<void(Context&)>;

/// The end of one task of a stream.
struct Point {
  std::shared_ptr<Stream> stream;
  std::uint64_t sequence = 0;
};

struct Task {
  std::shared_ptr<Context> context;
  std::vector<Point> after;  ///< tasks of other streams that come first
  Work work;                 ///< may be empty
  bool after_fault = false;  ///< runs even when the context has faulted
};

/// A stream. All fields but the first four are guarded by the scheduler's mutex.
struct Stream {
  CUstream handle = nullptr;
  std::weak_ptr<Context> context;
  bool legacy = false;    ///< the default stream, which orders itself with all blocking ones
  bool blocking = false;  ///< created without CU_STREAM_NON_BLOCKING
  std::atomic<int> priority{0};
  std::uint64_t id = 0;

  std::uint64_t enqueued = 0;
  std::uint64_t completed = 0;
  std::deque<Task> tasks;
  bool has_worker = false;
  bool destroyed = false;  ///< no handle any more; goes when it has drained
  std::condition_variable done;

  std::shared_ptr<Capture> capture;
  std::vector<GraphNode*> tail;           ///< nodes that the next captured one comes after
  std::vector<CUgraphNode> tail_handles;  ///< what cuStreamGetCaptureInfo hands out

  [[nodiscard]] bool drained() const { return completed == enqueued; }
};

/// Orders and runs the tasks of all streams, each active stream on a thread of its own. Its mutex also guards
/// what decides order: streams, events' records and captures. Never destroyed, and its threads are never
/// joined: a process may exit with work in flight.
class Scheduler {
 public:
  using Lock = std::unique_lock<std::mutex>;

  static Scheduler& instance();

  [[nodiscard]] Lock lock() { return Lock(mutex_); }
  /// Adds `task` to the end of `stream`. It waits for the points that the legacy default stream's rules and
  /// `task.after` name. Tasks only wait for tasks enqueued before them, so no order of calls can deadlock.
  /// Throws Failure(CUDA_ERROR_OUT_OF_MEMORY) if no thread can be started.
  Point enqueue(Lock& lock, const std::shared_ptr<Stream>& stream, Task task);
  /// Waits until `point` is passed; the lock is released meanwhile.
  static void wait(Lock& lock, const Point& point);
  static void wait(Lock& lock, const std::vector<Point>& points);
  [[nodiscard]] static bool passed(const Point& point) { return point.stream->completed >= point.sequence; }

 private:
  Scheduler() = default;
  void work();
  void drain(Lock& lock, Stream& stream);

  std::mutex mutex_;
  std::condition_variable ready_changed_;
  std::deque<std::shared_ptr<Stream>> ready_;  ///< active streams without a worker
  std::size_t idle_workers_ = 0;
};

}  // namespace kerncast::simulator::api
