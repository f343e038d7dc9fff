#pragma once

#include <atomic>
#include <csignal>

namespace kerncast::tools {

/// While the object lives, Ctrl-C and SIGTERM set a flag and end nothing, so that what is done can be kept
/// and reported. A second one ends the process as usual.
class StopOnInterrupt {
 public:
  StopOnInterrupt();
  ~StopOnInterrupt();
  /// True after such a signal. It becomes false when the next object is made.
  [[nodiscard]] static const std::atomic<bool>& requested();
  StopOnInterrupt(const StopOnInterrupt&) = delete;
  StopOnInterrupt& operator=(const StopOnInterrupt&) = delete;

 private:
  struct sigaction before_[2]{};
};

}  // namespace kerncast::tools
