#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kerncast::tools {

/// The whole of a regular file of at most `limit` bytes. Throws Error(not_found) or Error(io_error) with the
/// path and the cause.
[[nodiscard]] std::string read_file(const std::string& path, std::uint64_t limit);

/// True where both exist and are one file, under whatever names.
[[nodiscard]] bool same_file(const std::string& a, const std::string& b);

/// Throws Error(not_found) or Error(io_error) where a file at `path` could not be created or replaced, so
/// that work whose result would be lost is not begun.
void check_output(const std::string& path);

/// A file that comes into being whole or not at all: written under a temporary name beside `path`, renamed by
/// commit(). Without commit() the temporary file is removed and what was at `path` stays. Only regular files
/// are replaced; a symbolic link stays and its target is.
class AtomicOutput {
 public:
  /// Throws Error(io_error) with the path and the cause, as do write and commit.
  explicit AtomicOutput(std::string path);
  ~AtomicOutput();
  AtomicOutput(const AtomicOutput&) = delete;
  AtomicOutput& operator=(const AtomicOutput&) = delete;

  void write(const void* data, std::size_t bytes);
  void commit();

 private:
  std::string path_;
  std::string target_;  ///< path_ with its links followed
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace kerncast::tools
