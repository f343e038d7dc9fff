#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/simulator/clock/device_clock.hpp"
#include "runtime/simulator/driver/abi/symbols.hpp"
#include "runtime/simulator/machine/grid_link.hpp"

namespace kerncast::simulator::api {

struct Capture;
struct Context;
struct GraphNode;
struct Stream;

/// The device time that a task has come to. It stays 0 without a device clock.
struct Moment {
  DeviceTime now{};
  double pace = 1;           ///< the factor by which noise makes the task longer
  bool eager = false;        ///< the host submitted the work by itself, not in a graph
  DeviceTime hidden{};       ///< the most of its launch that can lie behind the launch before it
  GridLink* link = nullptr;  ///< of a launch that may overlap with its neighbours

  void pass(DeviceTime time) { now += DeviceTime(std::llround(static_cast<double>(time.count()) * pace)); }
};

/// The work of one task: a launch, a copy, a fill. It reports its faults to the context, and moves the moment
/// on by the time that it would take.
using Work = std::function<void(Context&, Moment&)>;

/// The device time at which a task ended, on the clock of its device. Guarded by the scheduler's mutex.
struct TaskEnd {
  DeviceClock* clock = nullptr;
  DeviceTime time{};
};

/// The end of one task of a stream.
struct Point {
  std::shared_ptr<Stream> stream;
  std::uint64_t sequence = 0;
  std::shared_ptr<const TaskEnd> end{};  ///< null without a device clock
};

struct Task {
  std::shared_ptr<Context> context;
  std::vector<Point> after;          ///< tasks of other streams that come first
  Work work;                         ///< may be empty
  bool after_fault = false;          ///< runs even when the context has faulted
  Moment start{};                    ///< begins no earlier
  std::shared_ptr<TaskEnd> end{};    ///< null without a device clock
  std::shared_ptr<GridLink> link{};  ///< of a launch that may overlap with its neighbours in the stream
  bool dependent = false;            ///< a launch that may begin before the launch before it has ended
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
  std::uint64_t begun = 0;
  std::uint64_t completed = 0;
  std::deque<Task> tasks;
  DeviceTime began{};                       ///< device time at which the last completed task began
  DeviceTime reached{};                     ///< and at which it ended
  std::shared_ptr<const TaskEnd> last_end;  ///< of the task that was enqueued last
  std::shared_ptr<GridLink> last_link;      ///< of the task that was enqueued last
  std::shared_ptr<GridLink> running;        ///< of the task that has begun last
  bool handed_over = false;                 ///< another worker is about to begin the next task
  bool has_worker = false;
  bool destroyed = false;  ///< no handle any more; goes when it has drained
  std::condition_variable done;

  std::shared_ptr<Capture> capture;
  std::vector<GraphNode*> tail;           ///< nodes that the next captured one comes after
  std::vector<CUgraphNode> tail_handles;  ///< what cuStreamGetCaptureInfo hands out

  [[nodiscard]] bool drained() const { return completed == enqueued; }
  /// True if nothing can come after it: its work has ended, and at no device time.
  [[nodiscard]] bool orders_nothing() const { return drained() && last_end == nullptr; }
};

/// The end of the task that was enqueued last. The scheduler's mutex is held.
[[nodiscard]] inline Point end_of(const std::shared_ptr<Stream>& stream) {
  return {stream, stream->enqueued, stream->last_end};
}

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
  /// Has the host wait until `point` is passed; the lock is released meanwhile.
  static void wait(Lock& lock, const Point& point);
  static void wait(Lock& lock, const std::vector<Point>& points);
  /// True if `point` is passed. The host then knows its device time.
  [[nodiscard]] static bool passed(const Point& point);

 private:
  Scheduler() = default;
  void work();
  void start_worker(const std::shared_ptr<Stream>& stream);
  void hand_over(Lock& lock, const std::shared_ptr<Stream>& stream);
  void drain(Lock& lock, const std::shared_ptr<Stream>& stream);
  static void await(Lock& lock, const Point& point);

  std::mutex mutex_;
  std::condition_variable ready_changed_;
  std::deque<std::shared_ptr<Stream>> ready_;  ///< active streams without a worker
  std::size_t idle_workers_ = 0;
};

}  // namespace kerncast::simulator::api
