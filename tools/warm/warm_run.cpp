#include "tools/warm/warm_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "cache/cache.hpp"
#include "cache/remote/lease/lease_order.hpp"
#include "runtime/compiler/worker/pool.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

WarmResult compile_one(Runtime& runtime, const WarmStore& store, const PlannedKernel& kernel) {
  WarmResult result;
  result.planned = &kernel;
  result.reached = true;
  try {
    result.report = runtime.compile(*kernel.op, kernel.spec, kernel.arch, kernel.rows, kernel.tunables);
    result.error = store.loss(result.report);
  } catch (const std::exception& error) {
    result.error = error.what();
  }
  return result;
}

/// `missing` in the order in which this machine compiles. Machines that start together with one plan would
/// wait for each other's leases, one kernel after the other, if all began with the same one.
std::vector<std::size_t> in_own_order(const cache::Cache& cache, const std::vector<std::size_t>& missing) {
  if (!cache.takes_leases()) {
    return missing;
  }
  std::random_device random;
  const std::uint64_t seed = (std::uint64_t{random()} << 32) | random();
  std::vector<std::size_t> out;
  out.reserve(missing.size());
  for (const std::size_t place : cache::own_order(missing.size(), seed)) {
    out.push_back(missing[place]);
  }
  return out;
}

/// A finished compile and the index of its kernel in the plan.
struct Finished {
  std::size_t index = 0;
  WarmResult result;
};

/// Threads that compile the missing kernels of a plan. The thread that owns this object takes the results.
class CompileThreads {
 public:
  /// No further compile begins once `stop` is true.
  CompileThreads(Runtime& runtime, const WarmStore& store, const std::vector<PlannedKernel>& kernels,
                 std::size_t threads, const std::atomic<bool>& stop)
      : runtime_(runtime), store_(store), kernels_(kernels), stop_(stop), running_(threads) {
    threads_.reserve(running_);
    for (std::size_t i = running_; i > 0; --i) {
      threads_.emplace_back([this] { work(); });
    }
  }
  ~CompileThreads() {
    {
      const std::lock_guard lock(mutex_);
      waiting_.clear();
    }
    close();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  CompileThreads(const CompileThreads&) = delete;
  CompileThreads& operator=(const CompileThreads&) = delete;

  /// Adds kernels, by their indices in the plan.
  void add(const std::vector<std::size_t>& indices) {
    const std::lock_guard lock(mutex_);
    waiting_.insert(waiting_.end(), indices.begin(), indices.end());
    added_.notify_all();
  }
  /// Says that no kernel will be added any more, so that the threads end after the last one.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    added_.notify_all();
  }
  /// True until every thread has ended and every result was taken.
  [[nodiscard]] bool busy() {
    const std::lock_guard lock(mutex_);
    return running_ > 0 || !finished_.empty();
  }
  /// The results since the last call. Waits at most `time` for the first of them.
  [[nodiscard]] std::vector<Finished> take(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, time, [this] { return !finished_.empty() || running_ == 0; });
    return std::exchange(finished_, {});
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      added_.wait(lock, [this] { return !waiting_.empty() || closed_; });
      if (waiting_.empty() || stop_.load()) {
        break;
      }
      const std::size_t index = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      WarmResult result = compile_one(runtime_, store_, kernels_[index]);
      lock.lock();
      finished_.push_back({index, std::move(result)});
      changed_.notify_one();
    }
    --running_;
    changed_.notify_one();
  }

  Runtime& runtime_;
  const WarmStore& store_;
  const std::vector<PlannedKernel>& kernels_;
  const std::atomic<bool>& stop_;
  std::mutex mutex_;
  std::condition_variable added_;
  std::condition_variable changed_;
  std::deque<std::size_t> waiting_;
  bool closed_ = false;
  std::vector<Finished> finished_;
  std::size_t running_ = 0;
  std::vector<std::thread> threads_;
};

/// Gives the threads what this machine has to compile: all that is missing at once, or what it takes from the
/// queue and, when that is over, the rest.
class Feeder {
 public:
  /// Without `shared` there is no queue.
  Feeder(CompileThreads& threads, const cache::Cache& cache, SharedWork* shared,
         const std::vector<std::size_t>& missing, std::size_t places)
      : threads_(threads), cache_(cache), shared_(shared), places_(places) {
    if (shared_ == nullptr) {
      threads_.add(in_own_order(cache_, missing));
      threads_.close();
    }
  }
  /// Has to be called about ten times a second until busy() of the threads is false.
  void feed() {
    if (shared_ == nullptr) {
      return;
    }
    const std::vector<std::size_t> taken = shared_->take(places_ - std::min(places_, in_hand_));
    in_hand_ += taken.size();
    threads_.add(taken);
    if (shared_->over()) {
      threads_.add(in_own_order(cache_, shared_->rest()));
      threads_.close();
      shared_ = nullptr;
    }
  }
  void ended(std::size_t index) {
    if (shared_ != nullptr) {
      --in_hand_;
      shared_->ended(index);
    }
  }
  void stop() {
    threads_.close();
    if (shared_ != nullptr) {
      std::exchange(shared_, nullptr)->leave();
    }
  }
  /// The number of kernels that other machines work on while this one has nothing to do; else 0.
  [[nodiscard]] std::uint64_t awaited() const {
    return shared_ != nullptr && in_hand_ == 0 ? shared_->open() : 0;
  }

 private:
  CompileThreads& threads_;
  const cache::Cache& cache_;
  SharedWork* shared_;
  std::size_t places_;
  std::size_t in_hand_ = 0;
};

}  // namespace

std::vector<WarmResult> run_warm(Runtime& runtime, const WarmStore& store,
                                 const std::vector<PlannedKernel>& kernels, int jobs, SharedWork* shared,
                                 const std::atomic<bool>& stop,
                                 const std::function<void(const WarmProgress&)>& tick,
                                 const std::function<void(const WarmResult&)>& finished) {
  std::vector<WarmResult> results(kernels.size());
  std::vector<std::size_t> missing;
  WarmProgress progress;
  progress.total = kernels.size();
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    results[i].planned = &kernels[i];
    if (kernels[i].cached) {
      results[i].report = *kernels[i].cached;
      results[i].reached = true;
      results[i].error = store.loss(results[i].report);
      results[i].error.empty() ? ++progress.cached : ++progress.failed;
      finished(results[i]);
    } else {
      missing.push_back(i);
    }
  }
  // Compiling what cannot be kept would take its time and help nobody.
  if (const std::string defect = missing.empty() ? std::string() : store.defect(); !defect.empty()) {
    for (const std::size_t i : missing) {
      results[i].reached = true;
      results[i].error = defect;
      finished(results[i]);
    }
    return results;
  }

  const auto started = Clock::now();
  compiler::worker::Pool* const workers = implementation_of(runtime).builder.workers();
  bool stopped = false;
  // Two threads for each compiler: while one publishes its result, the kernel of the other is compiled.
  CompileThreads threads(runtime, store, kernels,
                         std::min(missing.size(), static_cast<std::size_t>(jobs) * 2), stop);
  Feeder feeder(threads, implementation_of(runtime).cache, missing.empty() ? nullptr : shared, missing,
                static_cast<std::size_t>(jobs));
  while (threads.busy()) {
    if (!stopped) {
      feeder.feed();
    }
    for (Finished& one : threads.take(std::chrono::milliseconds(100))) {
      if (stop.load() && !one.result.error.empty()) {
        // The compile was abandoned and did not fail by itself.
        one.result = WarmResult{&kernels[one.index], {}, {}, false};
      } else {
        one.result.error.empty() ? ++progress.compiled : ++progress.failed;
        finished(one.result);
        feeder.ended(one.index);
      }
      results[one.index] = std::move(one.result);
    }
    if (stop.load() && !std::exchange(stopped, true)) {
      feeder.stop();
      implementation_of(runtime).cache.stop_waiting();
      if (workers != nullptr) {
        workers->stop();
      }
    }
    progress.seconds = seconds_since(started);
    progress.in_flight = workers != nullptr ? workers->in_flight() : std::vector<std::string>();
    if (const std::uint64_t awaited = feeder.awaited(); awaited > 0) {
      progress.in_flight = {fmt::format("waiting for {} of other machines", counted(awaited, "kernel"))};
    }
    tick(progress);
  }
  const bool evicted = store.evicted();
  for (WarmResult& result : results) {
    if (evicted && result.reached && result.error.empty()) {
      result.error = store.loss(result.report);
      if (!result.error.empty()) {
        finished(result);
      }
    }
  }
  return results;
}

}  // namespace kerncast::tools
