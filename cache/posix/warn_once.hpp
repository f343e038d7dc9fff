#pragma once

#include <cstddef>
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
  /// True if nothing of this `kind` was told before, and fewer than `most` kinds of anything. It counts as
  /// told from now on.
  [[nodiscard]] bool is_first(const std::string& kind, std::size_t most) {
    const std::lock_guard lock(mutex_);
    return told_.size() < most && told_.insert(kind).second;
  }

 private:
  WarningSink sink_;
  std::mutex mutex_;
  std::set<std::string> told_;
};

}  // namespace kerncast::cache
