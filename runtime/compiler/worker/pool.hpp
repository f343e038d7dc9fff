#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/compiler/compiler.hpp"
#include "runtime/compiler/worker/process.hpp"

namespace kerncast::compiler::worker {

/// The least share of memory that lets a worker compile: NVRTC alone holds 90 MiB.
constexpr std::uint64_t least_worker_bytes = std::uint64_t{128} << 20;

/// How many of `jobs` workers `memory_bytes` suffices for, one at least; all where it is 0.
[[nodiscard]] int jobs_within(int jobs, std::uint64_t memory_bytes);

struct PoolOptions {
  std::vector<std::string> command;   ///< a worker and its arguments, as "kerncast worker"
  int jobs = 1;                       ///< processes at most
  std::uint64_t memory_bytes = 0;     ///< of all of them. 0: no limit
  std::int64_t timeout_ms = 300'000;  ///< of one compile, and of a worker's start
  std::string
      failed_directory;  ///< where the source of a compile that a worker failed at is kept; empty: nowhere
};

/// Compiles in worker processes, which NVRTC needs to use more than one core: within a process it serialises.
/// Workers start when there is work for them and serve one compile after another. Thread-safe; as many
/// compiles run at once as there are jobs, and further callers wait.
///
/// Where memory is bounded, each worker has an equal share, of least_worker_bytes or more: there are fewer of
/// them where it does not suffice for all jobs. One that is past its share after a compile is replaced; one
/// that passes it during a compile is ended, and the kernel has a second try in a worker of its own, unless
/// it was the first.
class Pool {
 public:
  explicit Pool(PoolOptions options);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// As compiler::compile. A worker that dies or hangs fails this compile alone: Error(compile_failed) says
  /// how, and where the source is kept. Throws Error(unsupported) where no worker can be started, or only one
  /// whose NVRTC is not `nvrtc_version`, for which the kernel's key was made.
  [[nodiscard]] CompileResult compile(const CompileRequest& request, const std::string& nvrtc_version);

  /// What is compiled right now (CompileRequest::what).
  [[nodiscard]] std::vector<std::string> in_flight() const;
  /// Worker processes started so far.
  [[nodiscard]] int started() const { return started_.load(); }

  /// Ends all workers at once; compiles under way and later ones fail with Error(compile_failed).
  void stop();

 private:
  class Turn;
  [[nodiscard]] CompileResult compile_in(std::unique_ptr<Process>& worker, const CompileRequest& request);
  [[nodiscard]] CompileResult compile_within_share(std::unique_ptr<Process>& worker,
                                                   const CompileRequest& request,
                                                   const std::string& nvrtc_version);
  [[nodiscard]] std::unique_ptr<Process> take_worker(const std::string& nvrtc_version);
  [[nodiscard]] std::unique_ptr<Process> start_worker(const std::string& nvrtc_version);
  void give_back(std::unique_ptr<Process> worker);
  [[nodiscard]] std::string keep_source(const CompileRequest& request) const;

  PoolOptions options_;
  std::uint64_t share_bytes_ = 0;
  std::atomic<int> started_{0};
  mutable std::mutex mutex_;
  std::condition_variable turn_ended_;
  bool stopped_ = false;
  std::vector<std::string> in_flight_;  ///< one for each turn taken
  std::vector<const Process*> busy_;
  std::vector<std::unique_ptr<Process>> idle_;
};

}  // namespace kerncast::compiler::worker
