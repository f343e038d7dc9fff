#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kerncast::tools {

/// The content of a regular file of at most `limit` bytes. Throws Error(not_found) or Error(io_error) with
/// the path and the cause.
[[nodiscard]] std::string read_file(const std::string& path, std::uint64_t limit);

/// True if both paths exist and lead to the same file.
[[nodiscard]] bool same_file(const std::string& a, const std::string& b);

/// Throws Error(not_found) or Error(io_error) if a file at `path` could not be created or replaced. Call it
/// before work whose result would otherwise be lost.
void check_output(const std::string& path);

/// A file that is written completely or not at all: under a temporary name beside `path`, which commit()
/// renames. Without commit(), the temporary file is removed and a file at `path` stays as it was. Only
/// regular files are replaced; of a symbolic link the target is replaced.
class AtomicOutput {
 public:
  /// Throws Error(io_error) with the path and the cause, like write() and commit().
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
