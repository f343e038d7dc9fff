#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "cache/posix/descriptor.hpp"
#include "cache/posix/warn_once.hpp"
#include "kerncast/listener.hpp"

namespace kerncast {

/// Writes events as a trace that Perfetto and chrome://tracing open: the JSON array format, with one event in
/// each line, so that the file of a killed process can be read too. Compiles, loads and launches have their
/// length on the host, in microseconds of the steady clock.
///
/// A `%p` in the path stands for the process id. The file is replaced by the first event; a forked child
/// writes nothing to it. Events are collected in memory and written every 64 KiB or after a second. If the
/// file cannot be written or has reached its limit, there is one warning and nothing else. Thread-safe.
class TraceFile {
 public:
  static constexpr std::uint64_t usual_limit = 256U << 20U;

  TraceFile(std::string path, cache::WarningSink warn, std::uint64_t limit = usual_limit);
  ~TraceFile();
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  /// Never throws.
  void write(const KernelEvent& event) noexcept;
  /// Writes what is collected and ends the array. Later events are dropped. Never throws.
  void finish() noexcept;

 private:
  void add(const KernelEvent& event);
  void open();
  void flush();
  void give_up(const std::string& reason);

  const std::string path_;
  const cache::WarningSink warn_;
  const std::uint64_t limit_;
  const pid_t process_;
  std::mutex mutex_;
  cache::Descriptor file_;
  std::string collected_;
  std::uint64_t written_ = 0;
  std::chrono::steady_clock::time_point flushed_;
  bool ended_ = false;
};

}  // namespace kerncast
