#include "runtime/simulator/driver/context/scheduler.hpp"

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {
namespace {

/// The most launches of a stream that run at once.
constexpr std::uint64_t most_overlapping = 8;

}  // namespace

Scheduler& Scheduler::instance() {
  static auto* scheduler = new Scheduler;
  return *scheduler;
}

Point Scheduler::enqueue(Lock& lock, const std::shared_ptr<Stream>& stream, Task task) {
  const Context& context = *task.context;
  if (stream->legacy) {
    for (const std::shared_ptr<Stream>& other : context.streams) {
      if (other != stream && other->blocking && !other->orders_nothing()) {
        task.after.push_back(end_of(other));
      }
    }
  } else if (stream->blocking && !context.legacy->orders_nothing()) {
    task.after.push_back(end_of(context.legacy));
  }
  if (!stream->has_worker) {
    start_worker(stream);
    stream->has_worker = true;
  }
  // Work of other streams that comes between two launches keeps them from overlapping.
  task.dependent = task.dependent && stream->last_link != nullptr &&
                   std::all_of(task.after.begin(), task.after.end(),
                               [](const Point& point) { return point.stream->completed >= point.sequence; });
  if (DeviceClock* clock = state().clock(context.device); clock != nullptr) {
    task.start.now = clock->host_time();
    task.end = std::make_shared<TaskEnd>(TaskEnd{clock});
  }
  stream->tasks.push_back(std::move(task));
  // From here on the launch will complete, so that a later one may wait for it.
  const Task& queued = stream->tasks.back();
  if (queued.dependent && !stream->last_link->completed()) {
    queued.link->follow(stream->last_link);
  }
  stream->last_link = queued.link;
  if (queued.end != nullptr) {
    stream->last_end = queued.end;
  }
  ++stream->enqueued;
  hand_over(lock, stream);
  return end_of(stream);
}

/// Has a worker drain `stream`. Throws Failure(CUDA_ERROR_OUT_OF_MEMORY) if no thread can be started.
void Scheduler::start_worker(const std::shared_ptr<Stream>& stream) {
  ready_.push_back(stream);
  if (ready_.size() <= idle_workers_) {
    ready_changed_.notify_one();
    return;
  }
  try {
    std::thread([this] { work(); }).detach();
  } catch (const std::system_error& error) {
    ready_.pop_back();
    throw Failure(CUDA_ERROR_OUT_OF_MEMORY, std::string("no thread for the stream: ") + error.what());
  }
}

/// Lets another worker begin the next launch of `stream` if the one that has begun last allows it.
void Scheduler::hand_over(Lock&, const std::shared_ptr<Stream>& stream) {
  Stream& from = *stream;
  if (from.running == nullptr || from.handed_over || from.tasks.empty()) {
    return;
  }
  const Task& next = from.tasks.front();
  if (next.link == nullptr || next.link->before() != from.running) {
    from.running->release();  // no launch will follow it, so it need not sit for one
    return;
  }
  if (state().overlap == Overlap::late || !from.running->triggered() ||
      from.begun - from.completed >= most_overlapping) {
    return;
  }
  try {
    start_worker(stream);
  } catch (const std::exception&) {
    return;  // the launches then come one after the other
  }
  from.running->followed();
  from.handed_over = true;
}

void Scheduler::await(Lock& lock, const Point& point) {
  point.stream->done.wait(lock, [&] { return point.stream->completed >= point.sequence; });
}

bool Scheduler::passed(const Point& point) {
  const bool passed = point.stream->completed >= point.sequence;
  if (passed && point.end != nullptr) {
    point.end->clock->host_saw(point.end->time);
  }
  return passed;
}

void Scheduler::wait(Lock& lock, const Point& point) {
  point.stream->done.wait(lock, [&] { return passed(point); });
}

void Scheduler::wait(Lock& lock, const std::vector<Point>& points) {
  for (const Point& point : points) {
    wait(lock, point);
  }
}

void Scheduler::work() {
  Lock lock(mutex_);
  for (;;) {
    ++idle_workers_;
    ready_changed_.wait(lock, [this] { return !ready_.empty(); });
    --idle_workers_;
    const std::shared_ptr<Stream> stream = std::move(ready_.front());
    ready_.pop_front();
    drain(lock, stream);
  }
}

void Scheduler::drain(Lock& lock, const std::shared_ptr<Stream>& drained) {
  Stream& stream = *drained;
  stream.handed_over = false;
  for (bool mine = true; mine;) {
    if (stream.tasks.empty()) {
      stream.has_worker = false;
      return;
    }
    Task task = std::move(stream.tasks.front());
    stream.tasks.pop_front();
    const std::uint64_t number = ++stream.begun;
    stream.running = task.link;
    if (task.link != nullptr) {
      task.link->on_trigger([this, &drained] {
        Lock relock(mutex_);
        hand_over(relock, drained);
      });
    }
    Moment moment = task.start;
    moment.link = task.link.get();
    moment.now = std::max(moment.now, stream.reached);
    for (const Point& point : task.after) {
      await(lock, point);
      if (point.end != nullptr) {
        moment.now = std::max(moment.now, point.end->time);
      }
    }
    if (task.dependent && moment.now == stream.reached) {
      moment.hidden = std::max(moment.now - std::max(task.start.now, stream.began), DeviceTime::zero());
    }
    const DeviceTime began = moment.now;
    const std::shared_ptr<TaskEnd> end = task.end;
    const std::shared_ptr<GridLink> link = task.link;
    lock.unlock();
    if (task.work && (task.after_fault || task.context->fault() == CUDA_SUCCESS)) {
      try {
        task.work(*task.context, moment);
      } catch (const std::exception& error) {
        task.context->set_fault(CUDA_ERROR_UNKNOWN, error.what());
      }
    }
    const bool failed = task.context->fault() != CUDA_SUCCESS;
    task = {};  // what the task holds may take the lock when it goes
    lock.lock();
    if (link != nullptr) {
      link->settle();
    }
    // A launch that overlaps with those before it ends after them.
    stream.done.wait(lock, [&] { return stream.completed + 1 == number; });
    stream.began = began;
    stream.reached = moment.now;
    if (end != nullptr) {
      end->time = moment.now;
    }
    if (link != nullptr) {
      link->complete(failed);
    }
    mine = stream.begun == number && !stream.handed_over;
    if (mine) {
      stream.running = nullptr;
    }
    ++stream.completed;
    stream.done.notify_all();
  }
}

}  // namespace kerncast::simulator::api
