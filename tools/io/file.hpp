#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "tools/io/removed_on_signal.hpp"

namespace kerncast::tools {

/// The content of a regular file of at most `limit` bytes. Throws Error(not_found) or Error(io_error) with
/// the path and the cause.
[[nodiscard]] std::string read_file(const std::string& path, std::uint64_t limit);

/// True if both paths exist and lead to the same file.
[[nodiscard]] bool same_file(const std::string& a, const std::string& b);

/// Throws Error(not_found) or Error(io_error) if a file at `path` could not be created, replaced or written
/// to. Call it before work whose result would otherwise be lost.
void check_output(const std::string& path);

/// Says if a file may be without a name while it is written. `never` is for tests, since most file systems
/// offer it.
enum class Nameless : std::uint8_t { if_offered, never };

/// The fate of a file that is at the path of an output.
enum class Publishing : std::uint8_t {
  replacing,   ///< it is replaced
  new_secret,  ///< it stays and is an error; the new file is for its owner alone (mode 600)
};

/// A file that is written completely or not at all: without a name until commit(), so that a process that is
/// interrupted or killed leaves nothing. Where the file system has no files without names, it is written
/// under a temporary name beside `path`, which a signal that ends the process removes; what a killed process
/// left there is removed by the next that writes `path`. Without commit(), a file at `path` stays as it was.
/// The target of a symbolic link is replaced. If `path` stands for standard output, or is a pipe or a
/// character device such as /dev/null, commit() writes there what was collected before. Where a secret is to
/// be, a link, a pipe and a device are files that are there already.
class AtomicOutput {
 public:
  /// Throws Error(io_error) with the path and the cause, like write() and commit().
  explicit AtomicOutput(std::string path, Nameless nameless = Nameless::if_offered,
                        Publishing publishing = Publishing::replacing);
  ~AtomicOutput();
  AtomicOutput(const AtomicOutput&) = delete;
  AtomicOutput& operator=(const AtomicOutput&) = delete;

  void write(const void* data, std::size_t bytes);
  void commit();

 private:
  std::string path_;
  Publishing publishing_;
  void open_stream();
  void copy_to_stream();
  void open_temporary();
  void publish_new();
  void replace();

  std::string target_;     ///< path_ with its links followed
  std::string temporary_;  ///< empty while the file has no name
  std::optional<RemovedOnSignal> removed_on_signal_;
  int descriptor_ = -1;
  int stream_ = -1;  ///< if `path` is no file that can be replaced
};

}  // namespace kerncast::tools
