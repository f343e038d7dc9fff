#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cache/posix/descriptor.hpp"
#include "cache/posix/trust.hpp"

namespace kerncast::cache {

/// The result of reading a name.
struct FileContent {
  enum class State : std::uint8_t {
    absent,
    unreadable,  ///< not readable at present (permission, disk error, too many open files); the file may be
                 ///< sound
    foreign,     ///< not a regular file, or larger than the caller's limit: nothing that this library wrote
    read,
  };
  State state = State::absent;
  std::string bytes;
  /// The reason if `state` is foreign or unreadable.
  std::string defect;
  /// Keeps the file open, so that no other file can get its identity (inode) meanwhile.
  Descriptor held;
  /// Owner, mode, size and times of the file that was read.
  struct stat info{};
};

/// A failed system call. `error` is its errno; 0 means success.
struct IoFailure {
  int error = 0;
  std::string text;
  [[nodiscard]] explicit operator bool() const { return error != 0; }
};

enum class FileKind : std::uint8_t { regular, folder, other };

/// An open directory. Names are looked up in it without following symbolic links, so that nothing outside of
/// it is read, created or removed. No operation blocks on what it finds (as a pipe would). Descriptors are
/// closed on exec.
class Folder {
 public:
  Folder() = default;
  /// Opens `path`, which may contain symbolic links since the user chose it.
  [[nodiscard]] static Folder open(const std::string& path);
  /// Opens `path` if `trust` accepts it and the way to it; see open_trusted().
  [[nodiscard]] static Folder open(const std::string& path, const Trust& trust);
  /// Creates `path` and its parents with access for this user alone, if they do not exist, and opens it.
  [[nodiscard]] static Folder make(const std::string& path);
  /// An invalid folder with this failure.
  [[nodiscard]] static Folder failed(IoFailure failure);
  [[nodiscard]] Folder child(std::string_view name) const;
  [[nodiscard]] Folder make_child(std::string_view name) const;

  [[nodiscard]] bool valid() const { return descriptor_.valid(); }
  /// The failure because of which the folder is invalid.
  [[nodiscard]] const IoFailure& failure() const { return failure_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return descriptor_.get(); }

  /// Reads a whole regular file of at most `limit` bytes.
  [[nodiscard]] FileContent read(std::string_view name, std::uint64_t limit) const;

  /// Writes `bytes` under a temporary name, syncs, renames to `name` and syncs the folder, so that a reader
  /// sees either the old file or the complete new one. The temporary file is locked while it is written, and
  /// removed on failure.
  [[nodiscard]] IoFailure publish(std::string_view name, std::string_view bytes) const;
  /// Creates the file `name` with `bytes`, open for reading and writing. It is locked before it gets its
  /// name. The result is invalid on failure.
  [[nodiscard]] Descriptor create_locked(std::string_view name, std::string_view bytes) const;

  /// Holds whatever has `name`, without access to its content (O_PATH). Closing such a descriptor does not
  /// release the locks that this process (SQLite) has on the file; closing an ordinary one would.
  [[nodiscard]] Descriptor pin(std::string_view name) const;
  /// pin(), after creating an empty file with access for this user alone if `name` does not exist.
  [[nodiscard]] Descriptor pin_or_create(std::string_view name) const;
  /// True if `name` stands for the file behind `fd`.
  [[nodiscard]] bool names(std::string_view name, int fd) const;
  /// The kind of file called `name`. Empty if it does not exist.
  [[nodiscard]] std::optional<FileKind> kind(std::string_view name) const;
  /// Removes a file (a symbolic link itself, not its target) or an empty folder.
  bool remove(std::string_view name) const;
  /// Calls `visit` with at most `limit` names, in no order.
  void for_each(std::size_t limit, const std::function<void(const std::string&)>& visit) const;

 private:
  Folder(Descriptor descriptor, std::string path, std::string_view call);
  /// Creates a locked file under a new name. The result is invalid, with errno set, on failure.
  [[nodiscard]] Descriptor create_temporary(std::string& name, mode_t mode) const;

  Descriptor descriptor_;
  std::string path_;
  IoFailure failure_;
};

/// Returns `folder` if `trust` accepts it, else an invalid folder with the error not_trusted.
[[nodiscard]] Folder trusted(Folder folder, const Trust& trust);

constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

/// Prefix of the name that a file has until it is complete.
constexpr std::string_view temporary_prefix = ".tmp-";

/// A new name for a temporary file. No other thread or process on this machine uses it; a process on another
/// machine that shares the folder is very unlikely to.
[[nodiscard]] std::string temporary_name();

}  // namespace kerncast::cache
