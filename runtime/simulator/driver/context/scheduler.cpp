#include "runtime/simulator/driver/context/scheduler.hpp"

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {

Scheduler& Scheduler::instance() {
  static auto* scheduler = new Scheduler;
  return *scheduler;
}

Point Scheduler::enqueue(Lock&, const std::shared_ptr<Stream>& stream, Task task) {
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
    ready_.push_back(stream);
    if (ready_.size() > idle_workers_) {
      try {
        std::thread([this] { work(); }).detach();
      } catch (const std::system_error& error) {
        ready_.pop_back();
        throw Failure(CUDA_ERROR_OUT_OF_MEMORY, std::string("no thread for the stream: ") + error.what());
      }
    } else {
      ready_changed_.notify_one();
    }
    stream->has_worker = true;
  }
  if (DeviceClock* clock = state().clock(context.device); clock != nullptr) {
    task.start.now = clock->host_time();
    task.end = std::make_shared<TaskEnd>(TaskEnd{clock});
    stream->last_end = task.end;
  }
  stream->tasks.push_back(std::move(task));
  ++stream->enqueued;
  return end_of(stream);
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
    drain(lock, *stream);
  }
}

void Scheduler::drain(Lock& lock, Stream& stream) {
  while (!stream.tasks.empty()) {
    Task task = std::move(stream.tasks.front());
    stream.tasks.pop_front();
    Moment moment = task.start;
    moment.now = std::max(moment.now, stream.reached);
    for (const Point& point : task.after) {
      await(lock, point);
      if (point.end != nullptr) {
        moment.now = std::max(moment.now, point.end->time);
      }
    }
    const std::shared_ptr<TaskEnd> end = task.end;
    lock.unlock();
    if (task.work && (task.after_fault || task.context->fault() == CUDA_SUCCESS)) {
      try {
        task.work(*task.context, moment);
      } catch (const std::exception& error) {
        task.context->set_fault(CUDA_ERROR_UNKNOWN, error.what());
      }
    }
    task = {};  // what the task holds may take the lock when it goes
    lock.lock();
    stream.reached = moment.now;
    if (end != nullptr) {
      end->time = moment.now;
    }
    ++stream.completed;
    stream.done.notify_all();
  }
  stream.has_worker = false;
}

}  // namespace kerncast::simulator::api
