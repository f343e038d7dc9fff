#include "runtime/dispatch/observe/kernel_events.hpp"

#include <fmt/format.h>

#include <utility>

namespace kerncast {

KernelEvents::KernelEvents(KernelListener listener, bool host_hears_launches, const std::string& trace,
                           const std::string& nvtx, const cache::WarningSink& warn)
    : listener_(std::move(listener)),
      host_hears_launches_(listener_ != nullptr && host_hears_launches),
      warn_(warn),
      trace_(trace.empty() ? nullptr : std::make_unique<TraceFile>(trace, warn)),
      nvtx_(NvtxRanges::from_setting(nvtx, warn)) {}

void KernelEvents::tell(const KernelEvent& event) const noexcept {
  if (trace_ != nullptr) {
    trace_->write(event);
  }
  if (nvtx_ != nullptr) {
    nvtx_->write(event);
  }
  if (listener_ == nullptr || (event.kind == KernelEventKind::launch && !host_hears_launches_)) {
    return;
  }
  try {
    listener_(event);
  } catch (...) {
    try {
      warn_.once("listener",
                 "the listener of this process threw an exception; it is dropped, as later ones are");
    } catch (const std::exception&) {
      return;  // There is no memory for the warning.
    }
  }
}

void KernelEvents::finish() noexcept {
  if (trace_ != nullptr) {
    trace_->finish();
  }
}

}  // namespace kerncast
