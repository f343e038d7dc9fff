#include "runtime/dispatch/observe/tell.hpp"

#include <algorithm>
#include <iterator>
#include <string>

namespace kerncast {
namespace {

KernelEvent event_of(KernelEventKind kind, const OpDefinition& op, std::string_view spec,
                     std::string_view arch) {
  KernelEvent event;
  event.kind = kind;
  event.op = op.name;
  event.spec = spec;
  event.arch = arch;
  event.begin = std::chrono::steady_clock::now();
  return event;
}

}  // namespace

std::chrono::steady_clock::time_point begin_launch(const HotEntry& entry) noexcept {
  if (const NvtxRanges* ranges = entry.launch_events->launch_ranges()) {
    ranges->push(entry.kernel.c_str());
  }
  return std::chrono::steady_clock::now();
}

void drop_launch(const HotEntry& entry) noexcept {
  if (const NvtxRanges* ranges = entry.launch_events->launch_ranges()) {
    ranges->pop();
  }
}

void tell_launch(const HotEntry& entry, std::size_t stage, const LaunchGeometry& geometry, const Call& call,
                 void* stream, std::chrono::steady_clock::time_point begin) noexcept {
  KernelEvent event;
  event.kind = KernelEventKind::launch;
  event.op = std::string_view(entry.kernel).substr(0, entry.kernel.find(' '));
  event.spec = entry.spec;
  event.arch = entry.arch;
  event.device = call.device;
  event.begin = begin;
  event.duration = std::chrono::steady_clock::now() - begin;
  drop_launch(entry);
  event.rows = call.rows;
  event.stage = stage;
  std::copy(std::begin(geometry.grid), std::end(geometry.grid), event.grid.begin());
  std::copy(std::begin(geometry.block), std::end(geometry.block), event.block.begin());
  event.stream = stream;
  entry.launch_events->tell(event);
}

void tell_miss(const KernelEvents& events, int device, const Variant& variant) {
  if (!events.heard()) {
    return;
  }
  const std::string spec = format_specialisation(*variant.op, variant.spec);
  KernelEvent event = event_of(KernelEventKind::miss, *variant.op, spec, variant.arch);
  event.device = device;
  events.tell(event);
}

void tell_load(const KernelEvents& events, int device, const Variant& variant, const LoadedKernel& loaded) {
  if (!events.heard()) {
    return;
  }
  const std::string spec = format_specialisation(*variant.op, variant.spec);
  const std::string key = loaded.binary->key.hex();
  KernelEvent event = event_of(KernelEventKind::load, *variant.op, spec, variant.arch);
  event.key = key;
  event.device = device;
  event.duration = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double, std::micro>(loaded.load_us));
  event.begin -= event.duration;
  events.tell(event);
}

void tell_replaced(const KernelEvents& events, const TunablesRequest& request, std::string_view reason) {
  if (!events.heard()) {
    return;
  }
  const std::string spec = format_specialisation(*request.op, request.spec);
  KernelEvent event = event_of(KernelEventKind::replaced, *request.op, spec, request.arch);
  event.error = reason;
  event.rows = request.rows;
  events.tell(event);
}

}  // namespace kerncast
