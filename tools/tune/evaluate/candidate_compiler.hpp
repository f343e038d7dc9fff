#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "kerncast/runtime.hpp"
#include "tools/tune/space/point.hpp"
#include "tools/tune/space/space.hpp"

namespace kerncast::tools {

/// The outcome of compiling a candidate.
struct Compiled {
  int registers = 0;     ///< per thread
  int spill_bytes = 0;   ///< per thread, stored and loaded
  int shared_bytes = 0;  ///< static, per block
  std::string error;     ///< why there is no kernel; empty if there is one
  bool refused = false;  ///< the compiler refused the source; else the machine failed
};

/// Compiles candidates into the cache of a runtime while others are measured. Thread-safe.
class CandidateCompiler {
 public:
  /// Compiles up to `jobs` kernels at once, in the runtime's worker processes if it has them. `runtime` must
  /// outlive the object.
  CandidateCompiler(Runtime& runtime, std::size_t jobs);
  /// Abandons what is waiting, and waits for the compiles under way.
  ~CandidateCompiler();
  CandidateCompiler(const CandidateCompiler&) = delete;
  CandidateCompiler& operator=(const CandidateCompiler&) = delete;

  /// Begins with these candidates, in this order, before any that are still waiting.
  void prepare(const Point& point, std::span<const Candidate> candidates);
  /// Waits for the kernel of a candidate; begins with it if nobody asked for it before.
  [[nodiscard]] Compiled take(const Point& point, const Candidate& candidate);
  /// The compiles under way, in words.
  [[nodiscard]] std::vector<std::string> in_flight() const;

 private:
  struct Work {
    std::string name;
    const OpDefinition* op = nullptr;
    Specialisation spec;
    std::string arch;
    std::int64_t rows = 1;
    Tunables tunables;
  };
  /// Puts `work` first unless it is done or under way. The lock is held.
  void put_first(Work work);
  [[nodiscard]] static Work work_of(const Point& point, const Candidate& candidate);
  [[nodiscard]] Compiled compile(const Work& work) const;
  void serve();

  Runtime& runtime_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> waiting_;
  std::vector<std::string> running_;
  std::map<std::string, Compiled> done_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace kerncast::tools
