#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "kerncast/error.hpp"
#include "runtime/dispatch/kernel_builder.hpp"
#include "runtime/dispatch/observe/kernel_events.hpp"
#include "runtime/dispatch/observe/tell.hpp"
#include "runtime/dispatch/tunables/tunables_chooser.hpp"

/// From a choice of tunables to a kernel, as launches and calls by name have it in common.
namespace kerncast {

/// The kernel of `request` with the tunables of `choice`.
[[nodiscard]] inline Variant variant_of(const TunablesRequest& request, const TunablesChoice& choice) {
  return {request.op, request.spec, choice.tunables, request.arch};
}

/// The first line of an error's text says what failed; the rest is the compiler's log.
[[nodiscard]] inline std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

/// The message about a kernel that is neither cached nor compiled, because of `reason`, with the command that
/// warms it.
[[nodiscard]] std::string not_cached(const Variant& variant, std::string_view reason, int sm_count,
                                     std::int64_t rows);

/// Returns work(variant of `choice`). A tuned record never fails a launch that the op's own tunables would
/// serve: if the kernel of tuned tunables cannot be built or loaded, `choice` becomes the defaults and `work`
/// runs again.
template <class Work>
auto try_tuned_then_default(TunablesChooser& chooser, const KernelEvents& events,
                            const TunablesRequest& request, TunablesChoice& choice, Work&& work) {
  if (choice.origin == TunablesOrigin::tuned) {
    try {
      return work(variant_of(request, choice));
    } catch (const Error& error) {
      constexpr ErrorCode no_kernel[] = {ErrorCode::compile_failed, ErrorCode::not_found,
                                         ErrorCode::capture_miss, ErrorCode::cache_miss};
      if (std::find(std::begin(no_kernel), std::end(no_kernel), error.code()) == std::end(no_kernel)) {
        throw;
      }
      const std::string reason = first_line(error.what());
      chooser.passed_over(request, choice, reason);
      tell_replaced(events, request, reason);
      choice = chooser.defaults(request);
    }
  }
  return work(variant_of(request, choice));
}

/// Notes in `report` where its tunables come from.
template <class Report>
void report_tunables_origin(const TunablesChoice& choice, Report& report) {
  report.tunables_origin = choice.origin;
  report.tuned_record = choice.record;
}

}  // namespace kerncast
