#pragma once

#include <sys/types.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "cache/posix/descriptor.hpp"
#include "runtime/compiler/compiler.hpp"
#include "runtime/compiler/worker/message.hpp"

namespace kerncast::compiler::worker {

/// The worker failed, not the kernel that it compiled: it died, hung or spoke another protocol.
class WorkerFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The worker was ended because it exceeded its memory limit.
class WorkerOutgrew : public WorkerFailed {
 public:
  using WorkerFailed::WorkerFailed;
};

/// Limits of one compile.
struct CompileLimits {
  std::int64_t timeout_ms = 300'000;
  std::uint64_t memory_bytes = 0;  ///< limit of the whole worker process; 0: no limit
};

/// A child process, which leads its process group. It is ended with its group when this object is destroyed,
/// if not before.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ >= 0) {
      static_cast<void>(wait());
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// The process id; -1 after the process has ended.
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Ends the process if it still runs, and says how it ended: "exited with code 1", "died of SIGSEGV".
  [[nodiscard]] std::string end();

 private:
  /// The exit status; -1 if the process had to be ended.
  int wait() noexcept;

  pid_t pid_;
  int status_ = -1;
};

/// One worker process and the socket to it. Not thread-safe.
class Process {
 public:
  /// Runs `command`, a program and its arguments, with the socket as its standard input and the variables of
  /// worker_environment(), and waits for its greeting. Throws WorkerFailed if it cannot be run, does not
  /// greet within `timeout_ms`, or speaks another protocol.
  Process(const std::vector<std::string>& command, std::int64_t timeout_ms);
  /// Ends the process. An idle one ends by itself when it sees the connection cut; nobody waits for its
  /// patience.
  ~Process() { hang_up(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] const Greeting& greeting() const { return greeting_; }
  [[nodiscard]] pid_t pid() const { return child_.pid(); }

  /// Compiles `request` in the worker. Throws the Error that the compile threw there, or WorkerFailed, after
  /// which the worker can only be destroyed.
  [[nodiscard]] CompileResult compile(const CompileRequest& request, const CompileLimits& limits);

  /// True before the first compile.
  [[nodiscard]] bool is_fresh() const { return fresh_; }

  /// False if the process ended while it was idle.
  [[nodiscard]] bool waits_for_work() const;
  /// Cuts the connection: a compile under way in another thread fails at once.
  void hang_up() const;

  /// Resident memory in bytes; 0 if the system does not say.
  [[nodiscard]] std::uint64_t resident_bytes() const;

 private:
  void watch_memory(const CompileLimits& limits) const;
  [[nodiscard]] Message receive(std::int64_t timeout_ms);
  [[noreturn]] void failed(Exchange how, std::int64_t timeout_ms);

  cache::Descriptor socket_;
  Child child_;
  Greeting greeting_;
  bool fresh_ = true;
};

}  // namespace kerncast::compiler::worker
