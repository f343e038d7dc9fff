#include "runtime/simulator/machine/grid_link.hpp"

#include <condition_variable>
#include <mutex>
#include <utility>

namespace kerncast::simulator {

namespace {

/// The most launches that are remembered for the one that comes after them.
constexpr std::size_t most_overlapped = 4;
/// Time for which a launch that has triggered sits until the host submits its dependent.
constexpr std::chrono::milliseconds grace{10};

/// Guards what links wait for. There are few links at a time, so they share it.
std::mutex mutex;
std::condition_variable changed;

void set(std::atomic<bool>& flag) {
  {
    const std::lock_guard lock(mutex);
    flag.store(true, std::memory_order_release);
  }
  changed.notify_all();
}

}  // namespace

void GridLink::begin(std::uint64_t blocks, std::string kernel) {
  untriggered_.store(blocks, std::memory_order_relaxed);
  kernel_ = std::move(kernel);
}

void GridLink::block_triggers(bool waited) {
  if (waited) {
    waited_.store(true, std::memory_order_relaxed);
  }
  if (untriggered_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    trigger();
  }
}

void GridLink::trigger() {
  {
    const std::lock_guard lock(mutex);
    if (triggered_.load(std::memory_order_relaxed)) {
      return;
    }
    triggered_at_ = std::chrono::steady_clock::now();
    triggered_.store(true, std::memory_order_release);
  }
  changed.notify_all();
  if (call_) {
    call_();
  }
}

void GridLink::settle() {
  if (before_ != nullptr) {
    before_->release();
  }
}

void GridLink::release() {
  if (!released_.load(std::memory_order_acquire)) {
    set(released_);
  }
}

void GridLink::sleep(bool waits, bool sits, const std::atomic<bool>& stop) {
  std::unique_lock lock(mutex);
  const auto over = [&] {
    return stop.load(std::memory_order_relaxed) || (waits && ready()) || (sits && !holds());
  };
  while (!over()) {
    if (!sits || followed_ || !triggered_.load(std::memory_order_relaxed)) {
      changed.wait(lock);
    } else if (changed.wait_until(lock, triggered_at_ + grace) == std::cv_status::timeout && !followed_) {
      released_.store(true, std::memory_order_release);
      changed.notify_all();
    }
  }
}

void GridLink::wake() {
  {
    const std::lock_guard lock(mutex);
  }
  changed.notify_all();
}

void GridLink::await_before() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return ready(); });
}

void GridLink::await_trigger() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return triggered() || completed(); });
}

void GridLink::followed() {
  {
    const std::lock_guard lock(mutex);
    followed_ = true;
  }
  changed.notify_all();
}

void GridLink::complete(bool failed) {
  std::shared_ptr<GridLink> forgotten;  // goes after the lock
  {
    const std::lock_guard lock(mutex);
    failed_.store(failed, std::memory_order_release);
    completed_.store(true, std::memory_order_release);
    GridLink* last = this;
    for (std::size_t i = 1; i < most_overlapped && last->before_ != nullptr && !last->waited_; ++i) {
      last = last->before_.get();
    }
    forgotten = std::exchange(last->before_, nullptr);
  }
  changed.notify_all();
}

std::vector<std::shared_ptr<GridLink>> GridLink::overlapped() const {
  const std::lock_guard lock(mutex);
  std::vector<std::shared_ptr<GridLink>> found;
  for (std::shared_ptr<GridLink> link = before_; link != nullptr && found.size() < most_overlapped;) {
    found.push_back(link);
    link = link->waited_ ? nullptr : link->before_;
  }
  return found;
}

}  // namespace kerncast::simulator
