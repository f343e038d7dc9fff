#include "cache/posix/folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <system_error>

#include "cache/posix/trusted_path.hpp"
#include "cache/posix/write_all.hpp"

namespace kerncast::cache {
namespace {

constexpr int temporary_attempts = 4;

// Other users may read published entries; they then use it as a read-only layer; the umask of the
// process can deny that. Nobody else may write, since a cache that others can write to is not trusted.
constexpr mode_t folder_mode = 0755;
constexpr mode_t published_mode = 0644;
constexpr mode_t private_mode = 0600;

template <class Call>
int retry(Call&& call) {
  int result = -1;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

Descriptor open_at(int folder, const std::string& name, int flags, mode_t mode = 0) {
  return Descriptor(retry([&] { return ::openat(folder, name.c_str(), flags | O_CLOEXEC, mode); }));
}

std::string message(std::string_view call, std::string_view folder, std::string_view name, int error) {
  return fmt::format("{} {}{}{}: {}", call, folder, name.empty() ? "" : "/", name,
                     std::generic_category().message(error));
}

/// Reads `size` bytes into `bytes`; if the file is shorter, `bytes` becomes empty. False on an error.
bool read_all(int fd, std::size_t size, std::string& bytes) {
  bytes.resize(size);
  std::size_t at = 0;
  while (at < size) {
    const ssize_t got = ::read(fd, bytes.data() + at, size - at);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      bytes.clear();
      return got == 0;
    }
    at += static_cast<std::size_t>(got);
  }
  return true;
}

/// Creates every part of `path`. Returns 0, or errno and the part that failed.
std::pair<int, std::string> make_folders(const std::string& path) {
  std::filesystem::path partial;
  for (const auto& part : std::filesystem::path(path)) {
    partial /= part;
    if (::mkdir(partial.c_str(), folder_mode) == 0 || errno == EEXIST) {
      continue;
    }
    // In a read-only or inaccessible parent, mkdir fails for folders that exist, too.
    const int error = errno;
    struct stat info{};
    if (::stat(partial.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
      return {error, partial.string()};
    }
  }
  return {0, {}};
}

}  // namespace

std::string temporary_name() {
  static std::atomic<unsigned> serial{0};
  // Containers that share a directory may have equal process ids, so the name contains the time too.
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  return fmt::format("{}{}-{}-{:x}", temporary_prefix, ::getpid(), serial++, now);
}

Folder::Folder(Descriptor descriptor, std::string path, std::string_view call)
    : descriptor_(std::move(descriptor)), path_(std::move(path)) {
  if (!descriptor_.valid()) {
    failure_ = {errno, message(call, path_, {}, errno)};
  }
}

Folder Folder::open(const std::string& path) {
  return {open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY), path, "open"};
}

Folder Folder::open(const std::string& path, const Trust& trust) {
  TrustedPath found = open_trusted(path, O_RDONLY | O_DIRECTORY, trust);
  Folder folder;
  folder.descriptor_ = std::move(found.file);
  folder.path_ = path;
  folder.failure_ = {found.error, std::move(found.reason)};
  return folder;
}

Folder Folder::make(const std::string& path) {
  Folder folder = open(path);
  if (folder.valid()) {
    return folder;
  }
  if (const auto [error, part] = make_folders(path); error != 0) {
    folder.failure_ = {error, message("mkdir", part, {}, error)};
    return folder;
  }
  return open(path);
}

Folder Folder::failed(IoFailure failure) {
  Folder folder;
  folder.failure_ = std::move(failure);
  return folder;
}

Folder trusted(Folder folder, const Trust& trust) {
  std::string reason = folder.valid() ? reason_not_trusted(folder.fd(), trust) : std::string();
  return reason.empty() ? std::move(folder) : Folder::failed({not_trusted, std::move(reason)});
}

Folder Folder::child(std::string_view name) const {
  std::string path = path_ + '/';
  path += name;
  return {open_at(fd(), std::string(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW), std::move(path), "open"};
}

Folder Folder::make_child(std::string_view name) const {
  if (::mkdirat(fd(), std::string(name).c_str(), folder_mode) != 0 && errno != EEXIST) {
    const int error = errno;
    Folder there = child(name);
    if (!there.valid()) {
      there.failure_ = {error, message("mkdir", path_, name, error)};
    }
    return there;
  }
  return child(name);
}

FileContent Folder::read(std::string_view name, std::uint64_t limit) const {
  const std::string text(name);
  FileContent content;
  content.held = open_at(fd(), text, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!content.held.valid()) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR || error == EBADF) {
      return content;
    }
    content.defect = message("open", path_, name, error);
    content.state = FileContent::State::unreadable;
    const std::optional<FileKind> found = kind(name);
    if (found && *found != FileKind::regular) {
      content.state = FileContent::State::foreign;
      content.defect = "not a regular file";
      content.held = pin(name);
    }
    return content;
  }
  struct stat& info = content.info;
  if (::fstat(content.held.get(), &info) != 0) {
    content.state = FileContent::State::unreadable;
    content.defect = message("stat", path_, name, errno);
  } else if (!S_ISREG(info.st_mode)) {
    content.state = FileContent::State::foreign;
    content.defect = "not a regular file";
  } else if (static_cast<std::uint64_t>(info.st_size) > limit) {
    content.state = FileContent::State::foreign;
    content.defect = fmt::format("{} bytes, more than {}", info.st_size, limit);
  } else if (!read_all(content.held.get(), static_cast<std::size_t>(info.st_size), content.bytes)) {
    content.state = FileContent::State::unreadable;
    content.defect = message("read", path_, name, errno);
  } else {
    content.state = FileContent::State::read;
  }
  return content;
}

Descriptor Folder::create_temporary(std::string& name, mode_t mode) const {
  for (int attempt = 0; attempt < temporary_attempts; ++attempt) {
    name = temporary_name();
    Descriptor file = open_at(fd(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    if (!file.valid()) {
      if (errno == EEXIST) {
        continue;
      }
      return file;
    }
    // The lock shows a process that cleans up that the writer is alive; on a file system without locks only
    // the file's age does. Until the lock is taken, such a process may remove the file.
    const bool taken = ::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!taken && names(name, file.get())) {
      return file;
    }
    remove(name);
  }
  errno = ENOENT;
  return {};
}

IoFailure Folder::publish(std::string_view name, std::string_view bytes) const {
  std::string temporary;
  Descriptor file = create_temporary(temporary, published_mode);
  if (!file.valid()) {
    return {errno, message("create", path_, temporary, errno)};
  }
  IoFailure failure;
  const auto failed = [&](std::string_view call) {
    const int error = errno;
    failure = {error, message(call, path_, temporary, error)};
  };
  if (!write_all(file.get(), bytes)) {
    failed("write");
  } else if (retry([&] { return ::fsync(file.get()); }) != 0) {
    failed("fsync");
  } else if (::renameat(fd(), temporary.c_str(), fd(), std::string(name).c_str()) != 0) {
    failed("rename");
  }
  if (failure) {
    remove(temporary);
    return failure;
  }
  // After fsync, close has nothing left to report. If syncing the folder fails, a power cut may lose the
  // name; what is then missing is compiled again.
  static_cast<void>(file.close());
  static_cast<void>(::fsync(fd()));
  return {};
}

Descriptor Folder::create_locked(std::string_view name, std::string_view bytes) const {
  std::string temporary;
  Descriptor file = create_temporary(temporary, private_mode);
  if (file.valid() && (!write_all(file.get(), bytes) ||
                       ::renameat(fd(), temporary.c_str(), fd(), std::string(name).c_str()) != 0)) {
    remove(temporary);
    return {};
  }
  return file;
}

Descriptor Folder::pin(std::string_view name) const {
  return open_at(fd(), std::string(name), O_PATH | O_NOFOLLOW);
}

Descriptor Folder::pin_or_create(std::string_view name) const {
  // Only a new file is opened and closed here: closing one that exists would release SQLite's locks on it.
  static_cast<void>(
      Descriptor(::openat(fd(), std::string(name).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)));
  return pin(name);
}

bool Folder::names(std::string_view name, int fd) const {
  struct stat held{};
  struct stat named{};
  return ::fstat(fd, &held) == 0 &&
         ::fstatat(this->fd(), std::string(name).c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

std::optional<FileKind> Folder::kind(std::string_view name) const {
  struct stat info{};
  if (::fstatat(fd(), std::string(name).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return std::nullopt;
  }
  if (S_ISREG(info.st_mode)) {
    return FileKind::regular;
  }
  return S_ISDIR(info.st_mode) ? FileKind::folder : FileKind::other;
}

bool Folder::remove(std::string_view name) const {
  const std::string text(name);
  return ::unlinkat(fd(), text.c_str(), 0) == 0 ||
         ((errno == EISDIR || errno == EPERM) && ::unlinkat(fd(), text.c_str(), AT_REMOVEDIR) == 0);
}

void Folder::for_each(std::size_t limit, const std::function<void(const std::string&)>& visit) const {
  if (!valid()) {
    return;
  }
  // fdopendir takes ownership of its descriptor, and a duplicate would share the position with ours.
  const int fd = retry([&] { return ::openat(this->fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) {
    return;
  }
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, Close> directory(::fdopendir(fd));
  if (directory == nullptr) {
    ::close(fd);
    return;
  }
  // Each call has its own stream, so readdir needs no lock.
  while (const dirent* item = limit > 0 ? ::readdir(directory.get()) : nullptr) {
    const std::string name = item->d_name;
    if (name != "." && name != "..") {
      --limit;
      visit(name);
    }
  }
}

}  // namespace kerncast::cache
