#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "cache/entry.hpp"
#include "cache/key.hpp"

namespace kerncast::cache {

/// Entries in the memory of this process. An entry is never removed, so that a reader needs neither a lock
/// nor a reference count. Once the limit is reached, further entries are not added.
class MemoryCache {
 public:
  /// `limit` is the most bytes of cubin, PTX and key fields to hold; 0 holds nothing.
  explicit MemoryCache(std::size_t limit) : limit_(limit) {}

  /// The entry of `key`, valid as long as this object; null if it is not here.
  [[nodiscard]] const Entry* find(const Key& key) const noexcept;
  void insert(const Key& key, std::shared_ptr<const Entry> entry);

 private:
  struct Node {
    Key key;
    std::shared_ptr<const Entry> entry;
  };
  static constexpr std::size_t slots = 8192;
  static constexpr std::size_t most_entries = slots / 2;

  std::size_t limit_;
  std::array<std::atomic<const Node*>, slots> table_{};
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::vector<std::unique_ptr<const Node>> nodes_;
};

}  // namespace kerncast::cache
