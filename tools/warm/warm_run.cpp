#include "tools/warm/warm_run.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <queue>
#include <thread>

#include "runtime/compiler/worker/pool.hpp"
#include "runtime/dispatch/runtime_impl.hpp"

namespace kerncast::tools {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

WarmResult compile_one(Runtime& runtime, const PlannedKernel& kernel) {
  WarmResult result;
  result.planned = &kernel;
  result.reached = true;
  try {
    result.report = runtime.compile(*kernel.op, kernel.spec, kernel.arch, kernel.rows, kernel.tunables);
  } catch (const std::exception& error) {
    result.error = error.what();
  }
  return result;
}

}  // namespace

std::vector<WarmResult> run_warm(Runtime& runtime, const std::vector<PlannedKernel>& kernels, int jobs,
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
      ++progress.cached;
      finished(results[i]);
    } else {
      missing.push_back(i);
    }
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::queue<std::pair<std::size_t, WarmResult>> done;
  std::size_t next = 0;
  std::size_t running = 0;
  const auto work = [&] {
    std::unique_lock lock(mutex);
    while (next < missing.size() && !stop.load()) {
      const std::size_t index = missing[next++];
      lock.unlock();
      WarmResult result = compile_one(runtime, kernels[index]);
      lock.lock();
      done.emplace(index, std::move(result));
      changed.notify_one();
    }
    --running;
    changed.notify_one();
  };

  // Two for each compiler: while one publishes what it got, the other's kernel already compiles.
  std::vector<std::thread> threads;
  running = std::min(missing.size(), static_cast<std::size_t>(jobs) * 2);
  threads.reserve(running);
  for (std::size_t i = running; i > 0; --i) {
    threads.emplace_back(work);
  }
  const auto started = Clock::now();
  compiler::worker::Pool* const workers = implementation_of(runtime).builder.workers();
  bool stopped = false;
  std::unique_lock lock(mutex);
  while (running > 0 || !done.empty()) {
    changed.wait_for(lock, std::chrono::milliseconds(100), [&] { return !done.empty() || running == 0; });
    while (!done.empty()) {
      auto [index, result] = std::move(done.front());
      done.pop();
      lock.unlock();
      if (stop.load() && !result.error.empty()) {
        result = WarmResult{&kernels[index], {}, {}, false};
      } else {
        result.error.empty() ? ++progress.compiled : ++progress.failed;
        finished(result);
      }
      results[index] = std::move(result);
      lock.lock();
    }
    lock.unlock();
    if (stop.load() && !stopped) {
      stopped = true;
      if (workers != nullptr) {
        workers->stop();
      }
    }
    progress.seconds = seconds_since(started);
    progress.in_flight = workers != nullptr ? workers->in_flight() : std::vector<std::string>();
    tick(progress);
    lock.lock();
  }
  lock.unlock();
  for (std::thread& thread : threads) {
    thread.join();
  }
  return results;
}

}  // namespace kerncast::tools
