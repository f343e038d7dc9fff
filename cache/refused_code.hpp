#pragma once

#include <atomic>
#include <mutex>
#include <string_view>
#include <unordered_set>

#include "cache/key.hpp"

namespace kerncast::cache {

/// Digest of what a driver loads of an entry.
[[nodiscard]] Key code_digest(std::string_view cubin, std::string_view ptx, std::string_view lowered_name);

/// The code that this process could not load, by its digest. Thread-safe.
class RefusedCode {
 public:
  /// Code that this process has compiled is never refused: another compile would give the same.
  void vouch_for(const Key& code);
  /// False if the code is vouched for.
  bool refuse(const Key& code);
  /// True if some code is refused. Without a lock, as this is asked at every look-up.
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_acquire); }
  [[nodiscard]] bool contains(const Key& code) const;

 private:
  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  std::unordered_set<Key, KeyHash> refused_;
  std::unordered_set<Key, KeyHash> compiled_;
};

}  // namespace kerncast::cache
