#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kerncast::simulator {

class GridAccesses;

/// The moment at which a dependent launch begins, if the launch before it lets it begin early.
enum class Overlap : std::uint8_t {
  any,    ///< as the host's threads come to it
  early,  ///< as early as possible: a launch that lets its dependent begin sits until that waits for it
  late,   ///< as late as possible: when the launch before has ended
};

/// One launch of a chain of launches that may overlap, as its neighbours see it (programmatic dependent
/// launch). A launch triggers once each of its blocks has executed griddepcontrol.launch_dependents or has
/// ended; the launch that follows it may begin then. griddepcontrol.wait waits until the launch before has
/// completed, which is after all that come before that one. Thread-safe, but for what says otherwise.
class GridLink {
 public:
  explicit GridLink(Overlap overlap) : overlap_(overlap) {}
  GridLink(const GridLink&) = delete;
  GridLink& operator=(const GridLink&) = delete;

  // Before the launch begins.

  /// Makes the launch depend on `before`.
  void follow(std::shared_ptr<GridLink> before) { before_ = std::move(before); }
  /// Sets the function that is called when the launch triggers. It is called with no lock held.
  void on_trigger(std::function<void()> call) { call_ = std::move(call); }

  // While the launch runs, by its own threads.

  /// The launch has `blocks` blocks of kernel `kernel`.
  void begin(std::uint64_t blocks, std::string kernel);
  /// One more block triggers. `waited`: it has waited for the launches before.
  void block_triggers(bool waited);
  /// Triggers the launch, if it has not triggered yet.
  void trigger();
  /// The launch before need not sit any longer for this one.
  void settle();
  /// True while blocks of this launch that trigger sit.
  [[nodiscard]] bool holds() const {
    return overlap_ == Overlap::early && !released_.load(std::memory_order_acquire);
  }
  /// Ends that.
  void release();
  [[nodiscard]] bool early() const { return overlap_ == Overlap::early; }
  /// True if the launches before have completed.
  [[nodiscard]] bool ready() const { return before_ == nullptr || before_->completed(); }
  /// True if they have completed with a fault.
  [[nodiscard]] bool before_failed() const {
    return before_ != nullptr && before_->failed_.load(std::memory_order_acquire);
  }
  /// Blocks the calling thread until `stop`, or until the launch is ready if it `waits`, or has been released
  /// if it `sits`.
  void sleep(bool waits, bool sits, const std::atomic<bool>& stop);
  /// Has sleeping threads look at their `stop` again.
  static void wake();
  /// Blocks the calling thread until the launch is ready.
  void await_before();

  // By whoever runs the launches of a chain.

  [[nodiscard]] const std::shared_ptr<GridLink>& before() const { return before_; }
  [[nodiscard]] bool triggered() const { return triggered_.load(std::memory_order_acquire); }
  /// Blocks the calling thread until the launch has triggered or completed.
  void await_trigger();
  /// The dependent launch has been started: a launch that sits waits for it however long that takes.
  void followed();
  /// The launch and all before it have ended. Launches that can no longer concern a later one are forgotten.
  void complete(bool failed);
  [[nodiscard]] bool completed() const { return completed_.load(std::memory_order_acquire); }

  /// The launches that this one may have overlapped, the latest first. That depends on what the kernels do
  /// and not on when the host's threads came to it.
  [[nodiscard]] std::vector<std::shared_ptr<GridLink>> overlapped() const;
  [[nodiscard]] const std::string& kernel() const { return kernel_; }

  /// The memory that the launch touched; null if nobody notes it. Set before its blocks begin.
  std::shared_ptr<GridAccesses> accesses;

 private:
  Overlap overlap_;
  std::shared_ptr<GridLink> before_;  ///< changes when the launch completes
  std::function<void()> call_;
  std::string kernel_;
  std::atomic<std::uint64_t> untriggered_{0};  ///< blocks
  std::atomic<bool> waited_{false};  ///< it cannot have triggered before the launches before had completed
  std::atomic<bool> triggered_{false};
  std::atomic<bool> released_{false};
  std::atomic<bool> completed_{false};
  std::atomic<bool> failed_{false};
  bool followed_ = false;                               ///< guarded by the mutex of all links
  std::chrono::steady_clock::time_point triggered_at_;  ///< guarded by it too
};

}  // namespace kerncast::simulator
