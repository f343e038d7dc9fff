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

/// Entries in this process's memory. What is in it stays until the layer goes, so that a reader takes no lock
/// and counts no reference; once it is full it takes no more.
class MemoryCache {
 public:
  /// Holds at most `limit` bytes of cubin, PTX and key fields; 0 holds nothing.
  explicit MemoryCache(std::size_t limit) : limit_(limit) {}

  /// Valid as long as this layer; null where it has none.
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
