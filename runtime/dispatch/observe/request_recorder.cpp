#include "runtime/dispatch/observe/request_recorder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cache/posix/descriptor.hpp"
#include "runtime/dispatch/observe/request_record.hpp"
#include "runtime/util/output_target.hpp"

namespace kerncast {

RequestRecorder::RequestRecorder(std::string path, cache::WarningSink warn)
    : path_(std::move(path)), warn_(std::move(warn)) {}

void RequestRecorder::note(const OpDefinition& op, const Specialisation& spec, std::string_view arch,
                           int sm_count, std::int64_t rows) {
  if (path_.empty()) {
    return;
  }
  const std::string settings = format_specialisation(op, spec);
  const std::lock_guard lock(mutex_);
  if (!failed_ && noted_.insert(request_line(op.name, settings, arch, sm_count, row_bucket(rows))).second) {
    append(request_line(op.name, settings, arch, sm_count, rows) + "\n");
  }
}

namespace {

/// Opens `path` for appending. A link that somebody else made is not followed, and a pipe that nobody reads
/// does not block.
cache::Descriptor open_record(const std::string& path) {
  const OutputTarget target = output_target(path);
  if (!target.foreign_link.empty()) {
    errno = EPERM;
    return {};
  }
  return cache::Descriptor(
      ::open(target.path.c_str(),
             O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644));
}

}  // namespace

void RequestRecorder::append(const std::string& line) {
  const cache::Descriptor file = open_record(path_);
  if (file.valid()) {
    // If the file system has no locks, a single write at the end of a file is still whole on local file
    // systems.
    static_cast<void>(flock(file.get(), LOCK_EX));
    if (::write(file.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) {
      return;
    }
  }
  failed_ = true;
  warn_(fmt::format("the kernels asked for cannot be recorded in {}: {}", path_, std::strerror(errno)));
}

}  // namespace kerncast
