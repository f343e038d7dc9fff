#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/compiler/compiler.hpp"
#include "runtime/compiler/worker/process.hpp"

namespace kerncast::compiler::worker {

/// The smallest share of memory with which a worker can compile. NVRTC alone holds 90 MiB.
constexpr std::uint64_t least_worker_bytes = std::uint64_t{128} << 20;

/// Number of workers that fit into `memory_bytes`: at most `jobs`, at least one. `jobs` if `memory_bytes` is
/// 0.
[[nodiscard]] int jobs_within(int jobs, std::uint64_t memory_bytes);

struct PoolOptions {
  std::vector<std::string> command;   ///< program and arguments of a worker: "kerncast worker"
  int jobs = 1;                       ///< largest number of processes
  std::uint64_t memory_bytes = 0;     ///< limit of all workers together; 0: no limit
  std::int64_t timeout_ms = 300'000;  ///< limit of one compile, and of the start of a worker
  /// Keeps the source of a compile that a worker failed at, under a name, and returns its path, or nothing if
  /// that fails. Empty: sources are not kept.
  std::function<std::string(const std::string& name, std::string_view source)> keep_failed;
};

/// Compiles in worker processes, since NVRTC serialises compiles within a process. A worker is started when
/// there is work for it, and serves one compile after another. Up to `jobs` compiles run at once, and further
/// callers wait. Thread-safe.
///
/// If memory is limited, each worker has an equal share of at least least_worker_bytes, so a small limit
/// means fewer workers. A worker that exceeds its share after a compile is replaced. A worker that exceeds it
/// during a compile is ended, and the kernel is compiled once more in a fresh worker, unless the worker was
/// fresh already.
class Pool {
 public:
  explicit Pool(PoolOptions options);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Compiles `request` and throws as compiler::compile does. If a worker dies or hangs, only this compile
  /// fails: Error(compile_failed) says how the worker ended and where the source is kept. Throws
  /// Error(unsupported) if no worker can be started, or if its NVRTC is not `nvrtc_version`, for which the
  /// kernel's key was made.
  [[nodiscard]] CompileResult compile(const CompileRequest& request, const std::string& nvrtc_version);

  /// The compiles under way, by CompileRequest::what.
  [[nodiscard]] std::vector<std::string> in_flight() const;
  /// Number of worker processes started so far.
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
  std::vector<std::string> in_flight_;  ///< one element for each place in use
  std::vector<const Process*> busy_;
  std::vector<std::unique_ptr<Process>> idle_;
};

}  // namespace kerncast::compiler::worker
