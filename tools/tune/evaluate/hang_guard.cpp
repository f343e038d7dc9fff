#include "tools/tune/evaluate/hang_guard.hpp"

#include <utility>

namespace kerncast::tools {

HangGuard::HangGuard(std::chrono::milliseconds limit, std::function<void(const std::string&)> told)
    : limit_(limit), told_(std::move(told)), thread_([this] { serve(); }) {}

HangGuard::~HangGuard() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void HangGuard::watch(const std::string& work) {
  const std::lock_guard lock(mutex_);
  work_ = work;
  deadline_ = std::chrono::steady_clock::now() + limit_;
  changed_.notify_all();
}

void HangGuard::serve() {
  std::unique_lock lock(mutex_);
  while (!closed_) {
    if (work_.empty()) {
      changed_.wait(lock);
    } else if (std::chrono::steady_clock::now() < deadline_) {
      // A copy, since the work may change while this thread waits.
      const std::chrono::steady_clock::time_point deadline = deadline_;
      changed_.wait_until(lock, deadline);
    } else {
      const std::string hanging = std::exchange(work_, {});
      lock.unlock();
      told_(hanging);
      lock.lock();
    }
  }
}

}  // namespace kerncast::tools
