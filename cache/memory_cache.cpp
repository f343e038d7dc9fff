#include "cache/memory_cache.hpp"

namespace kerncast::cache {
namespace {

std::size_t size_of(const Entry& entry) {
  std::size_t bytes = entry.cubin.size() + entry.ptx.size();
  for (const auto& [label, value] : entry.key_fields) {
    bytes += label.size() + value.size();
  }
  return bytes;
}

}  // namespace

const Entry* MemoryCache::find(const Key& key) const noexcept {
  for (std::size_t at = KeyHash{}(key);; ++at) {
    const Node* node = table_[at % slots].load(std::memory_order_acquire);
    if (node == nullptr) {
      return nullptr;
    }
    if (node->key == key) {
      return node->entry.get();
    }
  }
}

void MemoryCache::insert(const Key& key, std::shared_ptr<const Entry> entry) {
  const std::size_t bytes = size_of(*entry);
  const std::lock_guard lock(mutex_);
  if (limit_ == 0 || nodes_.size() >= most_entries || bytes > limit_ - bytes_ || find(key) != nullptr) {
    return;
  }
  bytes_ += bytes;
  const Node* node = nodes_.emplace_back(std::make_unique<const Node>(Node{key, std::move(entry)})).get();
  std::size_t at = KeyHash{}(key);
  while (table_[at % slots].load(std::memory_order_relaxed) != nullptr) {
    ++at;
  }
  table_[at % slots].store(node, std::memory_order_release);
}

}  // namespace kerncast::cache
