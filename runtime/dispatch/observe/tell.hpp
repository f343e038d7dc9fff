#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>

#include "kerncast/op.hpp"
#include "runtime/dispatch/device_state.hpp"
#include "runtime/dispatch/hot_table.hpp"
#include "runtime/dispatch/kernel_builder.hpp"
#include "runtime/dispatch/observe/kernel_events.hpp"
#include "runtime/dispatch/tunables/tunables_chooser.hpp"

/// The events of a dispatcher, from what it knows where they happen. Those of launches need
/// an entry that has somebody who hears of them; the others do nothing if nobody listens.
namespace kerncast {

/// Begins what tell_launch() or drop_launch() of this thread ends, and returns the time.
[[nodiscard]] std::chrono::steady_clock::time_point begin_launch(const HotEntry& entry) noexcept;
/// Ends a launch that the driver has refused. Nobody hears of it.
void drop_launch(const HotEntry& entry) noexcept;
void tell_launch(const HotEntry& entry, std::size_t stage, const LaunchGeometry& geometry, const Call& call,
                 void* stream, std::chrono::steady_clock::time_point begin) noexcept;

void tell_miss(const KernelEvents& events, int device, const Variant& variant);

/// The load has just ended.
void tell_load(const KernelEvents& events, int device, const Variant& variant, const LoadedKernel& loaded);

void tell_replaced(const KernelEvents& events, const TunablesRequest& request, std::string_view reason);

}  // namespace kerncast
