#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

/// The events of kernels that a Runtime tells its host while it works: misses, compiles, loads and, if the
/// host asks for them, launches.
namespace kerncast {

/// The kinds of a KernelEvent.
enum class KernelEventKind : std::uint8_t {
  miss,           ///< a launch needs a kernel that is not in memory
  compile_begin,  ///< a compile starts, after the cache was asked
  compile_end,    ///< it is over; `error` is empty if it made a kernel
  load,           ///< a kernel was loaded into a device and can be launched
  replaced,  ///< the kernel of tuned tunables cannot be had, for the reason in `error`; the op's own serves
  launch,    ///< a kernel was handed to a stream; the device may run it later
};

/// Stable lower-case name of `kind`, as the trace file has it.
[[nodiscard]] constexpr std::string_view event_name(KernelEventKind kind) noexcept {
  constexpr std::array<std::string_view, 6> names = {"miss", "compile_begin", "compile_end",
                                                     "load", "replaced",      "launch"};
  const auto index = static_cast<std::size_t>(kind);
  return index < names.size() ? names[index] : "unknown";
}

/// One event. The texts live until the listener returns.
struct KernelEvent {
  KernelEventKind kind = KernelEventKind::miss;
  std::string_view op;    ///< "norm.rms_norm"
  std::string_view spec;  ///< as format_specialisation writes it
  std::string_view arch;  ///< "sm_90a"
  std::string_view key;   ///< 32 hex digits; empty for misses, replacements and launches
  std::string_view error;
  int device = -1;  ///< ordinal; -1 for compiles, which need no device
  /// The time of the compile, of the load or, for a launch, of the call of the driver. 0 for the others.
  std::chrono::nanoseconds duration{};
  std::chrono::steady_clock::time_point begin;
  std::int64_t rows = 0;  ///< of replacements and launches; 0 for the others
  // The following members are set for launches alone.
  std::size_t stage = 0;  ///< an op of several kernels launches one for each stage
  std::array<unsigned, 3> grid{};
  std::array<unsigned, 3> block{};
  void* stream = nullptr;  ///< CUstream
};

/// Receives events from any thread, in the middle of the call that causes them: it must not call the Runtime.
/// An exception that it throws is dropped, with one warning, since no listener fails a launch.
using KernelListener = std::function<void(const KernelEvent&)>;

}  // namespace kerncast
