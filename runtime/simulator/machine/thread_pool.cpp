#include "runtime/simulator/machine/thread_pool.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/util/environment.hpp"

namespace kerncast::simulator {

namespace {

constexpr unsigned most_threads = 512;

struct Task {
  const std::function<void()>* job;
  unsigned wanted;   ///< helpers that may still join
  unsigned running;  ///< helpers inside the job
};

class Pool {
 public:
  Pool() {
    for (unsigned i = 1; i < host_threads(); ++i) {
      threads_.emplace_back([this] { serve(); });
    }
  }

  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }

  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void run(unsigned helpers, const std::function<void()>& job) {
    const auto task = std::make_shared<Task>(Task{&job, helpers, 0});
    if (helpers > 0) {
      {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(task);
      }
      wake_.notify_all();
    }
    job();
    std::unique_lock lock(mutex_);
    // Nobody may join from here on: the job's data live on the caller's stack.
    task->wanted = 0;
    std::erase(tasks_, task);
    done_.wait(lock, [&] { return task->running == 0; });
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (stopping_) {
        return;
      }
      const std::shared_ptr<Task> task = tasks_.front();
      ++task->running;
      if (--task->wanted == 0) {
        tasks_.pop_front();
      }
      lock.unlock();
      (*task->job)();
      lock.lock();
      --task->running;
      done_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::deque<std::shared_ptr<Task>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

unsigned host_threads() {
  static const unsigned count = [] {
    const long asked = std::strtol(environment("KERNCAST_SIM_THREADS").c_str(), nullptr, 10);
    const unsigned found = asked > 0 ? static_cast<unsigned>(std::min<long>(asked, most_threads))
                                     : std::thread::hardware_concurrency();
    return std::clamp(found, 1U, most_threads);
  }();
  return count;
}

void run_together(unsigned helpers, const std::function<void()>& job) {
  static Pool pool;
  pool.run(std::min(helpers, host_threads() - 1), job);
}

}  // namespace kerncast::simulator
