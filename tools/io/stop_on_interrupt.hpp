#pragma once

#include <atomic>
#include <csignal>

namespace kerncast::tools {

/// While the object lives, Ctrl-C, SIGTERM and SIGHUP set a flag and end nothing, so that what is done can be
/// kept and reported. A second one ends the process as usual. A SIGHUP that is ignored stays ignored.
class StopOnInterrupt {
 public:
  StopOnInterrupt();
  ~StopOnInterrupt();
  /// True after such a signal. It becomes false when the next object is made.
  [[nodiscard]] static const std::atomic<bool>& requested();
  StopOnInterrupt(const StopOnInterrupt&) = delete;
  StopOnInterrupt& operator=(const StopOnInterrupt&) = delete;

 private:
  struct sigaction before_[3]{};
};

}  // namespace kerncast::tools
