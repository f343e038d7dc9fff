#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace kerncast::tools {

/// Watches for work that does not end. A kernel that hangs cannot be ended from within its process, so the
/// one who is told has to replace the process. Thread-safe.
class HangGuard {
 public:
  /// Calls `told` on a thread of its own, once, with the name of the work that took longer than `limit`.
  HangGuard(std::chrono::milliseconds limit, std::function<void(const std::string& work)> told);
  ~HangGuard();
  HangGuard(const HangGuard&) = delete;
  HangGuard& operator=(const HangGuard&) = delete;

  /// Says that work of this name begins now; an empty name says that none is under way.
  void watch(const std::string& work);

 private:
  void serve();

  std::chrono::milliseconds limit_;
  std::function<void(const std::string&)> told_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string work_;
  std::chrono::steady_clock::time_point deadline_;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace kerncast::tools
