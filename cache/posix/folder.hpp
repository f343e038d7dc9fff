#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cache/posix/descriptor.hpp"

namespace kerncast::cache {

/// What was found under a name.
struct FileContent {
  enum class State : std::uint8_t {
    absent,
    unreadable,  ///< a permission, a disk error, too many open files: says nothing against the file
    foreign,     ///< no regular file, or one beyond the size asked for
    read,
  };
  State state = State::absent;
  std::string bytes;
  /// Why it is foreign or unreadable.
  std::string defect;
  /// Holds what was found open, so that its identity cannot pass to another file meanwhile.
  Descriptor held;
  /// Of what was read.
  struct stat info{};
};

/// A system call that failed; errno 0 is success.
struct IoFailure {
  int error = 0;
  std::string text;
  [[nodiscard]] explicit operator bool() const { return error != 0; }
};

enum class FileKind : std::uint8_t { regular, folder, other };

/// An open directory. Names are looked up in it without following symbolic links, so nothing is reached, made
/// or removed outside of it. Never blocks on what it finds; every descriptor is closed on exec.
class Folder {
 public:
  Folder() = default;
  /// `path` may lead through symbolic links: it is the user's own choice of directory.
  [[nodiscard]] static Folder open(const std::string& path);
  /// The same, after making `path` and its parents for this user alone.
  [[nodiscard]] static Folder make(const std::string& path);
  /// One that is not valid.
  [[nodiscard]] static Folder failed(IoFailure failure);
  [[nodiscard]] Folder child(std::string_view name) const;
  [[nodiscard]] Folder make_child(std::string_view name) const;

  [[nodiscard]] bool valid() const { return descriptor_.valid(); }
  /// Why it is not valid.
  [[nodiscard]] const IoFailure& failure() const { return failure_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return descriptor_.get(); }

  /// The whole of a regular file of at most `limit` bytes.
  [[nodiscard]] FileContent read(std::string_view name, std::uint64_t limit) const;

  /// Writes `bytes` to a temporary name, fsyncs, renames to `name` and fsyncs the folder, so that a reader
  /// sees the old file or the whole new one. The temporary is removed on failure, and locked while it is
  /// written.
  [[nodiscard]] IoFailure publish(std::string_view name, std::string_view bytes) const;
  /// A new file `name` that holds `bytes`, open for reading and writing and locked before it has its name;
  /// invalid on failure.
  [[nodiscard]] Descriptor create_locked(std::string_view name, std::string_view bytes) const;

  /// Holds whatever has `name` without opening it for use: closing this gives up no lock of the process on
  /// the file, as closing any other descriptor would those of SQLite.
  [[nodiscard]] Descriptor pin(std::string_view name) const;
  /// True while `name` stands for the file behind `fd`.
  [[nodiscard]] bool names(std::string_view name, int fd) const;
  /// Nothing where `name` does not exist.
  [[nodiscard]] std::optional<FileKind> kind(std::string_view name) const;
  /// Removes a file (a symbolic link itself, not its target) or an empty folder.
  bool remove(std::string_view name) const;
  /// Calls `visit` with at most `limit` names, in no order.
  void for_each(std::size_t limit, const std::function<void(const std::string&)>& visit) const;

 private:
  Folder(Descriptor descriptor, std::string path, std::string_view call);
  /// A locked file under a new name; invalid, with errno, on failure.
  [[nodiscard]] Descriptor create_temporary(std::string& name) const;

  Descriptor descriptor_;
  std::string path_;
  IoFailure failure_;
};

constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

/// Prefix of the name that a file has until it is complete.
constexpr std::string_view temporary_prefix = ".tmp-";

/// A new name for a temporary file. No other thread or process on this machine uses it; a process on another
/// machine that shares the folder is very unlikely to.
[[nodiscard]] std::string temporary_name();

}  // namespace kerncast::cache
