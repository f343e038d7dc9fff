#pragma once

#include <unistd.h>

#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "cache/key.hpp"

namespace kerncast::cache {

/// Runs work once for each key at a time within the process: the first caller works, and the others wait for
/// its result. An exception reaches every caller that waited; it is not kept, so that a later caller tries
/// again. `work` must not call run() for the same key on the same object.
template <class T>
class SingleFlight {
 public:
  template <class Work>
  std::shared_ptr<T> run(const Key& key, Work&& work) {
    std::promise<std::shared_ptr<T>> promise;
    {
      std::unique_lock lock(mutex_);
      // In a forked child, no thread will finish a run that began before the fork.
      const auto found = flights_.find(key);
      if (found != flights_.end() && found->second.process == ::getpid()) {
        const std::shared_future<std::shared_ptr<T>> other = found->second.result;
        lock.unlock();
        return other.get();
      }
      flights_.insert_or_assign(key, Flight{promise.get_future().share(), ::getpid()});
    }
    std::shared_ptr<T> result;
    try {
      result = std::forward<Work>(work)();
    } catch (...) {
      // Remove the flight first, so that a caller that arrives now does not receive this failure.
      land(key);
      promise.set_exception(std::current_exception());
      throw;
    }
    promise.set_value(result);
    land(key);
    return result;
  }

 private:
  struct Flight {
    std::shared_future<std::shared_ptr<T>> result;
    pid_t process = 0;
  };

  void land(const Key& key) {
    const std::lock_guard lock(mutex_);
    flights_.erase(key);
  }

  std::mutex mutex_;
  std::unordered_map<Key, Flight, KeyHash> flights_;
};

}  // namespace kerncast::cache
