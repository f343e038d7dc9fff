#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

namespace kerncast::simulator::api {

/// A number that no other handle of the process has had. Handles are not addresses, so a stale or made-up
/// handle is never mistaken for another object.
[[nodiscard]] inline std::uintptr_t next_handle() {
  static std::atomic<std::uintptr_t> next{0x10000};
  return next.fetch_add(16, std::memory_order_relaxed);
}

/// The live objects of one kind by handle. Thread-safe.
template <class Handle, class Object>
class Handles {
 public:
  /// Registers `object` and stores its new handle in `object->handle`.
  Handle insert(const std::shared_ptr<Object>& object) {
    const auto handle = reinterpret_cast<Handle>(next_handle());
    object->handle = handle;
    insert(handle, object);
    return handle;
  }

  void insert(Handle handle, const std::shared_ptr<Object>& object) {
    const std::unique_lock lock(mutex_);
    objects_[handle] = object;
  }

  /// The object; null if there is none.
  [[nodiscard]] std::shared_ptr<Object> find(Handle handle) const {
    const std::shared_lock lock(mutex_);
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }

  /// Takes an object out; null if there is none.
  std::shared_ptr<Object> take(Handle handle) {
    const std::unique_lock lock(mutex_);
    const auto found = objects_.find(handle);
    if (found == objects_.end()) {
      return nullptr;
    }
    std::shared_ptr<Object> object = std::move(found->second);
    objects_.erase(found);
    return object;
  }

  /// Takes out and returns the objects for which `wanted(const Object&)` holds.
  template <class Predicate>
  std::vector<std::shared_ptr<Object>> take_if(Predicate&& wanted) {
    std::vector<std::shared_ptr<Object>> taken;
    const std::unique_lock lock(mutex_);
    for (auto it = objects_.begin(); it != objects_.end();) {
      if (wanted(*it->second)) {
        taken.push_back(std::move(it->second));
        it = objects_.erase(it);
      } else {
        ++it;
      }
    }
    return taken;
  }

  [[nodiscard]] std::vector<std::shared_ptr<Object>> all() const {
    std::vector<std::shared_ptr<Object>> objects;
    const std::shared_lock lock(mutex_);
    objects.reserve(objects_.size());
    for (const auto& [handle, object] : objects_) {
      objects.push_back(object);
    }
    return objects;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<Handle, std::shared_ptr<Object>> objects_;
};

}  // namespace kerncast::simulator::api
