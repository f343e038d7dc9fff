#include "runtime/compiler/worker/pool.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "kerncast/error.hpp"

namespace kerncast::compiler::worker {

/// Holds one of the `jobs` places for as long as it lives.
class Pool::Turn {
 public:
  Turn(Pool& pool, const std::string& what) : pool_(pool), what_(what) {
    std::unique_lock lock(pool_.mutex_);
    pool_.turn_ended_.wait(lock, [&] {
      return pool_.stopped_ || pool_.in_flight_.size() < static_cast<std::size_t>(pool_.options_.jobs);
    });
    if (pool_.stopped_) {
      throw Error(ErrorCode::compile_failed, fmt::format("compiling {}: stopped", what));
    }
    pool_.in_flight_.push_back(what);
  }
  ~Turn() {
    {
      const std::lock_guard lock(pool_.mutex_);
      pool_.in_flight_.erase(std::find(pool_.in_flight_.begin(), pool_.in_flight_.end(), what_));
    }
    pool_.turn_ended_.notify_one();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Pool& pool_;
  const std::string& what_;
};

int jobs_within(int jobs, std::uint64_t memory_bytes) {
  const std::uint64_t fitting = std::max<std::uint64_t>(memory_bytes / least_worker_bytes, 1);
  return memory_bytes == 0 ? jobs : static_cast<int>(std::min(static_cast<std::uint64_t>(jobs), fitting));
}

Pool::Pool(PoolOptions options) : options_(std::move(options)) {
  options_.jobs = jobs_within(std::max(options_.jobs, 1), options_.memory_bytes);
  share_bytes_ = options_.memory_bytes / static_cast<std::uint64_t>(options_.jobs);
}

Pool::~Pool() = default;

CompileResult Pool::compile(const CompileRequest& request, const std::string& nvrtc_version) {
  const Turn turn(*this, request.what);
  std::unique_ptr<Process> worker = take_worker(nvrtc_version);
  try {
    CompileResult result = compile_within_share(worker, request, nvrtc_version);
    give_back(std::move(worker));
    return result;
  } catch (const Error&) {
    give_back(std::move(worker));
    throw;
  } catch (const WorkerFailed& failed) {
    const std::string kept = keep_source(request);
    throw Error(ErrorCode::compile_failed,
                fmt::format("compiling {}: {}{}", request.what, failed.what(),
                            kept.empty() ? std::string() : fmt::format("; its source is kept in {}", kept)));
  }
}

CompileResult Pool::compile_within_share(std::unique_ptr<Process>& worker, const CompileRequest& request,
                                         const std::string& nvrtc_version) {
  if (!worker->is_fresh()) {
    try {
      return compile_in(worker, request);
    } catch (const WorkerOutgrew&) {
      // Memory that earlier compiles left behind may be the reason, so a fresh worker may succeed.
      worker.reset();
      worker = start_worker(nvrtc_version);
    }
  }
  return compile_in(worker, request);
}

CompileResult Pool::compile_in(std::unique_ptr<Process>& worker, const CompileRequest& request) {
  {
    const std::lock_guard lock(mutex_);
    busy_.push_back(worker.get());
    if (stopped_) {
      worker->hang_up();
    }
  }
  struct Done {
    Pool& pool;
    const Process* worker;
    ~Done() {
      const std::lock_guard lock(pool.mutex_);
      pool.busy_.erase(std::find(pool.busy_.begin(), pool.busy_.end(), worker));
    }
  } const done{*this, worker.get()};
  return worker->compile(request, {options_.timeout_ms, share_bytes_});
}

std::unique_ptr<Process> Pool::take_worker(const std::string& nvrtc_version) {
  while (true) {
    std::unique_ptr<Process> worker;
    {
      const std::lock_guard lock(mutex_);
      if (idle_.empty()) {
        break;
      }
      worker = std::move(idle_.back());
      idle_.pop_back();
    }
    if (worker->waits_for_work()) {
      return worker;
    }
  }
  return start_worker(nvrtc_version);
}

std::unique_ptr<Process> Pool::start_worker(const std::string& nvrtc_version) {
  try {
    auto worker = std::make_unique<Process>(options_.command, options_.timeout_ms);
    ++started_;
    const Greeting& greeting = worker->greeting();
    if (greeting.nvrtc != nvrtc_version) {
      throw WorkerFailed(greeting.nvrtc.empty()
                             ? fmt::format("the compile worker found no NVRTC: {}", greeting.remedy)
                             : fmt::format("the compile worker has NVRTC {}, but {} is wanted",
                                           greeting.nvrtc, nvrtc_version));
    }
    return worker;
  } catch (const WorkerFailed& failed) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{} (started as: {})", failed.what(), fmt::join(options_.command, " ")));
  }
}

void Pool::give_back(std::unique_ptr<Process> worker) {
  if (worker == nullptr || (share_bytes_ > 0 && worker->resident_bytes() > share_bytes_)) {
    return;
  }
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(worker));
}

std::string Pool::keep_source(const CompileRequest& request) const {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || options_.keep_failed == nullptr) {
      return {};
    }
  }
  return options_.keep_failed(
      fmt::format("{:016x}.cu", XXH3_64bits(request.source.data(), request.source.size())),
      fmt::format("// {}\n// nvrtc {}\n{}", request.what, fmt::join(request.options, " "), request.source));
}

std::vector<std::string> Pool::in_flight() const {
  const std::lock_guard lock(mutex_);
  return in_flight_;
}

void Pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    for (const Process* worker : busy_) {
      worker->hang_up();
    }
  }
  turn_ended_.notify_all();
}

}  // namespace kerncast::compiler::worker
