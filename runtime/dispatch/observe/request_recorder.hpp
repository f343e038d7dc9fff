#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "cache/posix/warn_once.hpp"
#include "kerncast/op_definition.hpp"

namespace kerncast {

/// Records the kernels that launches ask for in a file that a later warm-up reads. Each line is one
/// request_line(). Any number of processes may append to the file; each records a kernel once.
///
/// The row count of a line is any of the bucket. If the file cannot be written, there is one warning and no
/// launch fails. Thread-safe.
class RequestRecorder {
 public:
  /// An empty `path` records nothing.
  RequestRecorder(std::string path, cache::WarningSink warn);

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
