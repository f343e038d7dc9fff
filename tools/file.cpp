#include "tools/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "kerncast/error.hpp"

namespace kerncast::tools {
namespace {

[[noreturn]] void fail(const char* action, const std::string& path) {
  const int code = errno;
  throw Error(code == ENOENT ? ErrorCode::not_found : ErrorCode::io_error,
              fmt::format("cannot {} {}: {}", action, path, std::generic_category().message(code)));
}

/// Closes on every way out.
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
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (file.value < 0 || ::fstat(file.value, &status) != 0) {
    fail("open", path);
  }
  if (S_ISDIR(status.st_mode)) {
    throw Error(ErrorCode::io_error, fmt::format("cannot read {}: it is a directory", path));
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
      throw Error(
          ErrorCode::io_error,
          fmt::format("cannot read {}: it is larger than the {} bytes expected at most", path, limit));
    }
  }
}

AtomicOutput::AtomicOutput(std::string path) : path_(std::move(path)), temporary_(path_ + ".XXXXXX") {
  descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (descriptor_ < 0) {
    fail("create", path_);
  }
}

AtomicOutput::~AtomicOutput() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicOutput::write(const void* data, std::size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, bytes);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      fail("write", path_);
    }
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void AtomicOutput::commit() {
  // mkstemp makes the file private; give it the mode an ordinary open would have.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(descriptor_, 0666U & ~mask) != 0 || ::fsync(descriptor_) != 0) {
    fail("write", path_);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail("replace", path_);
  }
  ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace kerncast::tools
