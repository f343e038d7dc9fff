#include "cache/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace kerncast::cache {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  bool close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

std::string failure(std::string_view call, const std::string& path) {
  return fmt::format("{} {}: {}", call, path, std::generic_category().message(errno));
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

std::optional<std::string> read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!file.valid() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return std::nullopt;
  }
  std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + at, bytes.size() - at);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      break;
    }
    at += static_cast<std::size_t>(got);
  }
  bytes.resize(at);
  return bytes;
}

std::string publish_file(const std::string& path, std::string_view bytes) {
  static std::atomic<unsigned> serial{0};
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const std::string temporary = fmt::format("{}/{}{}-{}", folder, temporary_prefix, ::getpid(), serial++);
  std::string problem;
  {
    Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.valid()) {
      return failure("create", temporary);
    }
    if (!write_all(file.get(), bytes)) {
      problem = failure("write", temporary);
    } else if (::fsync(file.get()) != 0) {
      problem = failure("fsync", temporary);
    } else if (!file.close()) {
      problem = failure("close", temporary);
    }
  }
  if (problem.empty() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    problem = failure("rename to", path);
  }
  if (!problem.empty()) {
    ::unlink(temporary.c_str());
    return problem;
  }
  // The entry is whole whether or not its name survives a power cut, so a failed fsync of the folder loses
  // nothing.
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.valid()) {
    static_cast<void>(::fsync(directory.get()));
  }
  return {};
}

std::string make_folders(const std::string& path) {
  std::string partial;
  for (const auto& part : std::filesystem::path(path)) {
    partial = (std::filesystem::path(partial) / part).string();
    if (partial.empty() || ::mkdir(partial.c_str(), 0700) == 0 || errno == EEXIST) {
      continue;
    }
    const int error = errno;
    struct stat info{};
    if (::stat(partial.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      continue;
    }
    errno = error;
    return failure("mkdir", partial);
  }
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return failure("stat", path);
  }
  if (!S_ISDIR(info.st_mode)) {
    errno = ENOTDIR;
    return failure("mkdir", path);
  }
  return {};
}

}  // namespace kerncast::cache
