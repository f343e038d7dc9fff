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

/// The worker itself failed, whatever it was compiling: it died, hung or spoke another protocol.
class WorkerFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// It was ended since it held more memory than it may.
class WorkerOutgrew : public WorkerFailed {
 public:
  using WorkerFailed::WorkerFailed;
};

/// What one compile may take.
struct CompileLimits {
  std::int64_t timeout_ms = 300'000;
  std::uint64_t memory_bytes = 0;  ///< of the whole worker; 0: no limit
};

/// A child process, ended at the latest with this.
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

  /// -1 once it was ended.
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Ends it if it has not ended of itself, and says how it ended: "exited with code 1", "died of SIGSEGV".
  [[nodiscard]] std::string end();

 private:
  /// Its status; -1 where it had to be ended.
  int wait() noexcept;

  pid_t pid_;
  int status_ = -1;
};

/// One worker process and the socket to it. Not thread-safe.
class Process {
 public:
  /// Runs `command`, a program and its arguments, with the socket as its standard input, and waits for its
  /// greeting. Throws WorkerFailed where it cannot be run, does not greet within `timeout_ms`, or is of
  /// another protocol.
  Process(const std::vector<std::string>& command, std::int64_t timeout_ms);

  [[nodiscard]] const Greeting& greeting() const { return greeting_; }
  [[nodiscard]] pid_t pid() const { return child_.pid(); }

  /// One compile. Throws what the worker's own threw, or WorkerFailed; after that only destruction is left.
  [[nodiscard]] CompileResult compile(const CompileRequest& request, const CompileLimits& limits);

  /// True before its first compile.
  [[nodiscard]] bool is_fresh() const { return fresh_; }

  /// False where it ended while it had nothing to do.
  [[nodiscard]] bool waits_for_work() const;
  /// Cuts the connection: a compile under way in another thread fails at once.
  void hang_up() const;

  /// Bytes of memory it holds now; 0 where the system does not tell.
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
