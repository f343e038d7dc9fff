#include "tools/tune/tune_points.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "kerncast/error.hpp"

namespace kerncast::tools {
namespace {

/// The part of the time left that the search of a point may take.
constexpr double search_part = 0.8;

/// The threads of a run, and what they share.
class SeatThreads {
 public:
  explicit SeatThreads(const PointsRun& run)
      : run_(run),
        started_(std::chrono::steady_clock::now()),
        now_(run.seats.size()),
        in_flight_(run.seats.size()),
        running_(run.seats.size()) {
    for (std::size_t i = 0; i < run.seats.size(); ++i) {
      threads_.emplace_back([this, i] { serve(i); });
    }
  }
  /// Ends the searches under way, and waits for that.
  ~SeatThreads() {
    stop();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  SeatThreads(const SeatThreads&) = delete;
  SeatThreads& operator=(const SeatThreads&) = delete;

  struct Finished {
    std::size_t index = 0;
    TuneResult result;
  };

  /// Lets the searches under way end soon.
  void stop() { stop_.store(true); }
  /// True until every thread has ended and every result was taken.
  [[nodiscard]] bool busy() {
    const std::lock_guard lock(mutex_);
    return running_ > 0 || !finished_.empty();
  }
  [[nodiscard]] std::vector<Finished> take(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, time, [this] { return !finished_.empty() || running_ == 0; });
    return std::exchange(finished_, {});
  }
  void add_to(RunProgress& progress) {
    const std::lock_guard lock(mutex_);
    progress.seconds = seconds();
    progress.now.clear();
    progress.in_flight.clear();
    for (std::size_t i = 0; i < now_.size(); ++i) {
      if (now_[i].point != nullptr) {
        progress.now.push_back(now_[i]);
      }
      progress.in_flight.insert(progress.in_flight.end(), in_flight_[i].begin(), in_flight_[i].end());
    }
  }
  [[nodiscard]] std::vector<std::string> errors() {
    const std::lock_guard lock(mutex_);
    return errors_;
  }

 private:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  }

  void serve(std::size_t seat_index) {
    std::string error;
    try {
      const DeviceSeat seat = run_.seats[seat_index]();
      work(seat_index, seat);
      error = seat.store->finish();
    } catch (const std::exception& failure) {
      error = failure.what();
    }
    const std::lock_guard lock(mutex_);
    if (!error.empty()) {
      errors_.push_back(std::move(error));
    }
    now_[seat_index] = {};
    --running_;
    changed_.notify_all();
  }

  /// The next point, or the number of points if none is left.
  [[nodiscard]] std::size_t next_point() {
    const std::lock_guard lock(mutex_);
    if (!returned_.empty()) {
      const std::size_t index = returned_.back();
      returned_.pop_back();
      return index;
    }
    return next_ < run_.points->size() ? next_++ : next_;
  }

  void work(std::size_t seat_index, const DeviceSeat& seat) {
    TunePolicy policy = run_.policy;
    policy.is_over = [this] { return run_.budget.spent(); };
    while (!stop_.load()) {
      const std::size_t index = next_point();
      if (index >= run_.points->size()) {
        return;
      }
      const Point& point = (*run_.points)[index];
      policy.search_is_over = [until = run_.budget.portion(search_part)] { return until.spent(); };
      TuneResult result = tune_point(*seat.evaluator, *seat.store, point, run_.templates(point), policy,
                                     stop_, [&](const TuneProgress& progress) {
                                       std::vector<std::string> compiles = seat.evaluator->in_flight();
                                       const std::lock_guard lock(mutex_);
                                       now_[seat_index] = progress;
                                       now_[seat_index].point = &point;
                                       in_flight_[seat_index] = std::move(compiles);
                                     });
      const std::lock_guard lock(mutex_);
      now_[seat_index] = {};
      if (seat.evaluator->lost()) {
        // Another device may tune the point, or the next run.
        returned_.push_back(index);
        throw Error(ErrorCode::driver_error,
                    fmt::format("a device is lost and tunes no more: {}", result.error));
      }
      finished_.push_back({index, std::move(result)});
      changed_.notify_all();
    }
  }

  const PointsRun& run_;
  std::atomic<bool> stop_{false};
  std::chrono::steady_clock::time_point started_;
  std::mutex mutex_;
  std::size_t next_ = 0;
  std::vector<std::size_t> returned_;  ///< points of devices that were lost
  std::condition_variable changed_;
  std::vector<Finished> finished_;
  std::vector<TuneProgress> now_;
  std::vector<std::vector<std::string>> in_flight_;
  std::vector<std::string> errors_;
  std::size_t running_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace

double estimate_seconds_left(const RunProgress& progress, const TimeBudget& budget) {
  // Points whose trials were stored take no time, so they say nothing of the rate.
  double work = static_cast<double>(progress.fresh);
  double under_way = 0;
  for (const TuneProgress& now : progress.now) {
    const std::size_t expected = now.expected > 0 ? now.expected : now.candidates;
    under_way +=
        expected > 0 ? std::min(1.0, static_cast<double>(now.trials) / static_cast<double>(expected)) : 0;
  }
  work += under_way;
  const double left =
      static_cast<double>(progress.points - std::min(progress.points, progress.done)) - under_way;
  const double seconds = work > 0 ? progress.seconds / work * std::max(left, 0.0) : 0;
  return std::min(seconds, budget.seconds_left());
}

PointsOutcome run_points(const PointsRun& run, const std::atomic<bool>& stop,
                         const std::function<void(const RunProgress&)>& tick,
                         const std::function<void(const TuneResult&)>& finished) {
  std::vector<SeatThreads::Finished> results;
  PointsOutcome outcome;
  {
    SeatThreads threads(run);
    RunProgress progress;
    progress.points = run.points->size();
    while (threads.busy()) {
      if (stop.load()) {
        threads.stop();
      }
      for (SeatThreads::Finished& one : threads.take(std::chrono::milliseconds(100))) {
        ++progress.done;
        progress.failed += one.result.error.empty() ? 0 : 1;
        progress.trials += one.result.tried;
        progress.fresh += one.result.stored < one.result.tried ? 1 : 0;
        finished(one.result);
        results.push_back(std::move(one));
      }
      threads.add_to(progress);
      progress.seconds_left = estimate_seconds_left(progress, run.budget);
      tick(progress);
    }
    outcome.errors = threads.errors();
  }
  std::sort(results.begin(), results.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  outcome.left = run.points->size() - results.size();
  for (SeatThreads::Finished& one : results) {
    outcome.results.push_back(std::move(one.result));
  }
  return outcome;
}

}  // namespace kerncast::tools
