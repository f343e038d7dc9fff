#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kerncast::tools {

/// The whole of a file of at most `limit` bytes. Throws Error(not_found) or Error(io_error) with the path and
/// the cause.
[[nodiscard]] std::string read_file(const std::string& path, std::uint64_t limit);

/// A file that comes into being whole or not at all: written under a temporary name beside `path`, renamed by
/// commit(). Without commit() the temporary file is removed and what was at `path` stays.
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
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace kerncast::tools
