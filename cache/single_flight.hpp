#pragma once

#include <future>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "cache/key.hpp"

namespace kerncast::cache {

/// One run per key at a time within the process: the first caller works, the others wait for its result. A
/// failure reaches every waiter and is not kept, so the next call tries again.
template <class T>
class SingleFlight {
 public:
  template <class Work>
  std::shared_ptr<T> run(const Key& key, Work&& work) {
    std::promise<std::shared_ptr<T>> promise;
    {
      std::unique_lock lock(mutex_);
      if (const auto found = flights_.find(key); found != flights_.end()) {
        const std::shared_future<std::shared_ptr<T>> other = found->second;
        lock.unlock();
        return other.get();
      }
      flights_.emplace(key, promise.get_future().share());
    }
    try {
      std::shared_ptr<T> result = std::forward<Work>(work)();
      promise.set_value(result);
      land(key);
      return result;
    } catch (...) {
      promise.set_exception(std::current_exception());
      land(key);
      throw;
    }
  }

 private:
  void land(const Key& key) {
    const std::lock_guard lock(mutex_);
    flights_.erase(key);
  }

  std::mutex mutex_;
  std::unordered_map<Key, std::shared_future<std::shared_ptr<T>>, KeyHash> flights_;
};

}  // namespace kerncast::cache
