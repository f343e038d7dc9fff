#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace kerncast::cache {

using WarningSink = std::function<void(std::string_view)>;

/// Passes the first warning of each kind to `sink` and drops the rest. Thread-safe.
class WarnOnce {
 public:
  explicit WarnOnce(WarningSink sink) : sink_(std::move(sink)) {}
  void once(const std::string& kind, const std::string& message) {
    {
      const std::lock_guard lock(mutex_);
      if (!told_.insert(kind).second) {
        return;
      }
    }
    if (sink_) {
      sink_(message);
    }
  }

 private:
  WarningSink sink_;
  std::mutex mutex_;
  std::set<std::string> told_;
};

}  // namespace kerncast::cache
