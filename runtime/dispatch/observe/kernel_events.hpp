#pragma once

#include <memory>
#include <string>

#include "cache/posix/warn_once.hpp"
#include "kerncast/listener.hpp"
#include "runtime/dispatch/observe/trace_file.hpp"

namespace kerncast {

/// Hands the events of a Runtime to those who listen: the host and the trace file. Thread-safe.
class KernelEvents {
 public:
  /// `listener` may be null, and `trace` empty. The host hears of launches only if `host_hears_launches`.
  KernelEvents(KernelListener listener, bool host_hears_launches, const std::string& trace,
               cache::WarningSink warn);

  /// True if anybody listens. If not, an event need not be made.
  [[nodiscard]] bool heard() const { return listener_ != nullptr || trace_ != nullptr; }
  [[nodiscard]] bool launches_heard() const { return host_hears_launches_ || trace_ != nullptr; }

  void tell(const KernelEvent& event) const noexcept;
  /// Completes the trace file.
  void finish() noexcept;

 private:
  KernelListener listener_;
  bool host_hears_launches_;
  mutable cache::WarnOnce warn_;
  std::unique_ptr<TraceFile> trace_;
};

}  // namespace kerncast
