#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "cache/posix/warn_once.hpp"
#include "kerncast/op.hpp"

namespace kerncast {

/// The kernels that launches asked for, as a file that a later warm-up reads: one JSON object a line,
/// appended by any number of processes, each kernel once a process.
///
///     {"op": "norm.rms_norm", "set": "x_dtype=bf16 hidden=7168", "arch": "sm_90a", "sms": 132, "rows": 17}
///
/// `rows` is any row count of the bucket. Failing to write is warned of once and hurts no launch.
/// Thread-safe.
class RequestLog {
 public:
  /// An empty `path` records nothing.
  RequestLog(std::string path, cache::WarningSink warn);

  void note(const OpDefinition& op, const Specialisation& spec, std::string_view arch, int sm_count,
            std::int64_t rows);

 private:
  void append(const std::string& line);

  std::string path_;
  cache::WarningSink warn_;
  std::mutex mutex_;
  std::set<std::string> noted_;
  bool failed_ = false;
};

}  // namespace kerncast
