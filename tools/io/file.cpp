#include "tools/io/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "kerncast/error.hpp"
#include "runtime/util/environment.hpp"
#include "runtime/util/output_target.hpp"
#include "tools/io/standard_output.hpp"

namespace kerncast::tools {
namespace {

[[noreturn]] void fail(const char* action, const std::string& path) {
  const int code = errno;
  throw Error(code == ENOENT ? ErrorCode::not_found : ErrorCode::io_error,
              fmt::format("cannot {} {}: {}", action, path, std::generic_category().message(code)));
}

/// True for a path that is written to and not replaced.
bool is_stream(const std::string& path) {
  struct stat status{};
  return is_standard_output(path) ||
         (::stat(path.c_str(), &status) == 0 && (S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode)));
}

void write_all(int descriptor, const char* next, std::size_t bytes, const std::string& path) {
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor, next, bytes);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      fail("write", path);
    }
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) {
    return "a directory";
  }
  return S_ISFIFO(mode) ? "a pipe, not a regular file" : "not a regular file";
}

/// The path with symbolic links resolved, so that writing replaces the target of a link and not the link. The
/// target need not exist. Throws if somebody else made a link.
std::string target_of(const std::string& path) {
  OutputTarget target = output_target(path);
  if (!target.foreign_link.empty()) {
    throw Error(ErrorCode::io_error, fmt::format("cannot write {}: the link {} belongs to another user", path,
                                                 target.foreign_link));
  }
  return std::move(target.path);
}

/// A file descriptor that is closed at the end of its scope.
struct Descriptor {
  int value = -1;
  explicit Descriptor(int given) : value(given) {}
  ~Descriptor() {
    if (value >= 0) {
      ::close(value);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

}  // namespace

std::string read_file(const std::string& path, std::uint64_t limit) {
  // Without O_NONBLOCK, opening a FIFO that nobody writes to would hang.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (file.value < 0 || ::fstat(file.value, &status) != 0) {
    fail("open", path);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::io_error, fmt::format("cannot read {}: it is {}", path, kind_of(status.st_mode)));
  }
  std::string text;
  char block[65536];
  for (;;) {
    const ssize_t got = ::read(file.value, block, sizeof block);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      fail("read", path);
    }
    if (got == 0) {
      return text;
    }
    text.append(block, static_cast<std::size_t>(got));
    if (text.size() > limit) {
      throw Error(ErrorCode::io_error,
                  fmt::format("cannot read {}: it is larger than {} bytes, the most expected", path, limit));
    }
  }
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat first{};
  struct stat second{};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

void check_output(const std::string& path) {
  if (is_stream(path)) {
    if (!is_standard_output(path) && ::access(path.c_str(), W_OK) != 0) {
      fail("write", path);
    }
    return;
  }
  struct stat status{};
  const std::string target = target_of(path);
  const bool there = ::stat(target.c_str(), &status) == 0;
  if (!there && errno != ENOENT) {
    fail("write", path);
  }
  if (there && !S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::io_error, fmt::format("cannot write {}: it is {}", path, kind_of(status.st_mode)));
  }
  const std::string folder = std::filesystem::path(target).parent_path().string();
  if (::access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) != 0) {
    fail("write", path);
  }
}

AtomicOutput::AtomicOutput(std::string path) : path_(std::move(path)) {
  check_output(path_);
  if (is_stream(path_)) {
    open_stream();
    return;
  }
  target_ = target_of(path_);
  temporary_ = target_ + ".XXXXXX";
  descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (descriptor_ < 0) {
    fail("create", path_);
  }
}

void AtomicOutput::open_stream() {
  // Without O_NONBLOCK, opening a pipe that nobody reads would hang.
  stream_ = is_standard_output(path_) ? ::fcntl(standard_output(), F_DUPFD_CLOEXEC, 0)
                                      : ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (stream_ < 0 && errno == ENXIO) {
    throw Error(ErrorCode::io_error, fmt::format("cannot write {}: nobody reads from the pipe", path_));
  }
  if (stream_ < 0) {
    fail("write", path_);
  }
  if (!is_standard_output(path_)) {
    ::fcntl(stream_, F_SETFL, ::fcntl(stream_, F_GETFL) & ~O_NONBLOCK);
  }
  const std::string folder = environment("TMPDIR");
  std::string collected = (folder.empty() ? "/tmp" : folder) + "/kerncast.XXXXXX";
  descriptor_ = ::mkostemp(collected.data(), O_CLOEXEC);
  if (descriptor_ < 0) {
    const int code = errno;
    ::close(stream_);
    errno = code;
    fail("create", collected);
  }
  ::unlink(collected.c_str());
}

AtomicOutput::~AtomicOutput() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
  if (stream_ >= 0) {
    ::close(stream_);
  }
}

void AtomicOutput::write(const void* data, std::size_t bytes) {
  write_all(descriptor_, static_cast<const char*>(data), bytes, path_);
}

void AtomicOutput::copy_to_stream() {
  char block[65536];
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(descriptor_, block, sizeof block, at);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      fail("read back what belongs into", path_);
    }
    if (got == 0) {
      return;
    }
    write_all(stream_, block, static_cast<std::size_t>(got), path_);
    at += got;
  }
}

void AtomicOutput::commit() {
  if (stream_ >= 0) {
    copy_to_stream();
    return;
  }
  // mkstemp creates a private file; set the mode that an ordinary open would give.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(descriptor_, 0666U & ~mask) != 0 || ::fsync(descriptor_) != 0) {
    fail("write", path_);
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    fail("replace", path_);
  }
  ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace kerncast::tools
