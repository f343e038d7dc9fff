#pragma once

#include <memory>
#include <string>

#include "cache/posix/warn_once.hpp"
#include "kerncast/listener.hpp"
#include "runtime/dispatch/observe/nvtx_ranges.hpp"
#include "runtime/dispatch/observe/trace_file.hpp"

namespace kerncast {

/// Hands the events of a Runtime to those who listen: the host, the trace file and NVTX. Thread-safe.
class KernelEvents {
 public:
  /// `listener` may be null, and `trace` empty. The host hears of launches only if `host_hears_launches`.
  /// `nvtx` is as NvtxRanges::from_setting() reads it.
  KernelEvents(KernelListener listener, bool host_hears_launches, const std::string& trace,
               const std::string& nvtx, const cache::WarningSink& warn);

  /// True if anybody listens. If not, an event need not be made.
  [[nodiscard]] bool heard() const { return listener_ != nullptr || trace_ != nullptr || nvtx_ != nullptr; }
  [[nodiscard]] bool launches_heard() const {
    return host_hears_launches_ || trace_ != nullptr || launch_ranges() != nullptr;
  }
  /// The ranges of loads, which their caller pushes and pops; null if nothing is marked.
  [[nodiscard]] const NvtxRanges* ranges() const { return nvtx_.get(); }
  /// The ranges of launches; null if launches are not marked.
  [[nodiscard]] const NvtxRanges* launch_ranges() const {
    return nvtx_ != nullptr && nvtx_->launches() ? nvtx_.get() : nullptr;
  }

  void tell(const KernelEvent& event) const noexcept;
  /// Completes the trace file.
  void finish() noexcept;

 private:
  KernelListener listener_;
  bool host_hears_launches_;
  mutable cache::WarnOnce warn_;
  std::unique_ptr<TraceFile> trace_;
  std::unique_ptr<NvtxRanges> nvtx_;
};

}  // namespace kerncast
