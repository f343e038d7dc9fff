#include "tools/io/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
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

/// Marks a temporary file beside the file that it becomes. The process that writes it holds it locked.
constexpr const char* temporary_mark = ".kerncast-";
// Most names examined in the folder of an output.
constexpr int most_names = 10'000;

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

bool names(const std::string& path, int descriptor) {
  struct stat held{};
  struct stat named{};
  return ::fstat(descriptor, &held) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

/// A path that leads to the open file.
std::string link_of(int descriptor) {
  return fmt::format("/proc/self/fd/{}", descriptor);
}

/// Creates a locked file without a name in `folder`. The result is -1 if that is not offered there, or if no
/// name could be given to the file later.
int open_nameless(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return -1;
  }
  struct stat held{};
  struct stat seen{};
  if (::fstat(descriptor, &held) != 0 || ::stat(link_of(descriptor).c_str(), &seen) != 0 ||
      held.st_ino != seen.st_ino) {
    ::close(descriptor);
    return -1;
  }
  static_cast<void>(::flock(descriptor, LOCK_EX | LOCK_NB));
  return descriptor;
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

/// Removes the temporary files of processes that were killed while they wrote `target`: those that nobody
/// holds locked. On a file system without locks they stay.
void remove_abandoned(const std::string& target) {
  const std::string prefix = std::filesystem::path(target).filename().string() + temporary_mark;
  std::error_code error;
  std::filesystem::directory_iterator at(folder_of(target), error);
  for (int seen = 0; !error && at != std::filesystem::directory_iterator() && seen < most_names; ++seen) {
    if (at->path().filename().string().starts_with(prefix)) {
      const std::string path = at->path().string();
      const Descriptor file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
      struct stat status{};
      if (file.value >= 0 && ::fstat(file.value, &status) == 0 && S_ISREG(status.st_mode) &&
          status.st_uid == ::geteuid() && ::flock(file.value, LOCK_EX | LOCK_NB) == 0 &&
          names(path, file.value)) {
        ::unlink(path.c_str());
      }
    }
    at.increment(error);
  }
}

/// Gives the file `from` the name `to`, which no file may have. Returns 0 or errno. Not every file system has
/// both calls.
int rename_to_new(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return errno;
  }
  if (::link(from.c_str(), to.c_str()) != 0) {
    return errno;
  }
  ::unlink(from.c_str());
  return 0;
}

[[noreturn]] void refuse_existing(const std::string& path) {
  throw Error(
      ErrorCode::io_error,
      fmt::format("cannot create {}: there is a file of this name, which is never overwritten", path));
}

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
  if (::access(folder_of(target).c_str(), W_OK | X_OK) != 0) {
    fail("write", path);
  }
}

AtomicOutput::AtomicOutput(std::string path, Nameless nameless, Publishing publishing)
    : path_(std::move(path)), publishing_(publishing) {
  if (publishing_ == Publishing::new_secret) {
    struct stat status{};
    if (::lstat(path_.c_str(), &status) == 0) {
      refuse_existing(path_);
    }
    target_ = path_;
  } else {
    check_output(path_);
    if (is_stream(path_)) {
      open_stream();
      return;
    }
    target_ = target_of(path_);
  }
  remove_abandoned(target_);
  descriptor_ = nameless == Nameless::if_offered ? open_nameless(folder_of(target_)) : -1;
  if (descriptor_ < 0) {
    open_temporary();
  }
}

void AtomicOutput::open_temporary() {
  // Until the lock is taken, a process that writes the same path may take the file for an abandoned one.
  constexpr int attempts = 4;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    temporary_ = target_ + temporary_mark + "XXXXXX";
    descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
    if (descriptor_ < 0) {
      fail("create", path_);
    }
    removed_on_signal_.emplace(temporary_);
    static_cast<void>(::flock(descriptor_, LOCK_EX | LOCK_NB));
    if (names(temporary_, descriptor_)) {
      return;
    }
    removed_on_signal_.reset();
    ::close(std::exchange(descriptor_, -1));
  }
  errno = EAGAIN;
  fail("create", path_);
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
  descriptor_ = ::open(folder_of(collected).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  const bool has_name = descriptor_ < 0;
  descriptor_ = has_name ? ::mkostemp(collected.data(), O_CLOEXEC) : descriptor_;
  if (descriptor_ < 0) {
    const int code = errno;
    ::close(stream_);
    errno = code;
    fail("create", collected);
  }
  if (has_name) {
    ::unlink(collected.c_str());
  }
}

AtomicOutput::~AtomicOutput() {
  if (descriptor_ >= 0) {
    if (!temporary_.empty()) {
      ::unlink(temporary_.c_str());
    }
    ::close(descriptor_);
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
  // The file was created for its owner alone. One that is no secret gets the mode of an ordinary open.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  const mode_t mode = publishing_ == Publishing::new_secret ? 0600U : 0666U & ~mask;
  if (::fchmod(descriptor_, mode) != 0 || ::fsync(descriptor_) != 0) {
    fail("write", path_);
  }
  publishing_ == Publishing::new_secret ? publish_new() : replace();
  removed_on_signal_.reset();
  ::close(descriptor_);
  descriptor_ = -1;
}

void AtomicOutput::publish_new() {
  int error = 0;
  if (!temporary_.empty()) {
    error = rename_to_new(temporary_, target_);
  } else if (::linkat(AT_FDCWD, link_of(descriptor_).c_str(), AT_FDCWD, target_.c_str(), AT_SYMLINK_FOLLOW) !=
             0) {
    error = errno;
  }
  if (error == EEXIST) {
    refuse_existing(path_);
  }
  if (error != 0) {
    errno = error;
    fail("create", path_);
  }
}

void AtomicOutput::replace() {
  if (temporary_.empty()) {
    // A link replaces no file, so the file gets a temporary name for a moment.
    std::string name = fmt::format("{}{}{}-{}", target_, temporary_mark, ::getpid(), descriptor_);
    removed_on_signal_.emplace(name);
    if (::linkat(AT_FDCWD, link_of(descriptor_).c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      fail("write", path_);
    }
    temporary_ = std::move(name);
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    fail("replace", path_);
  }
}

}  // namespace kerncast::tools
