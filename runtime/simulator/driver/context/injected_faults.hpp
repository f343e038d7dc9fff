#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace kerncast::simulator::api {

struct Context;

/// Faults on request, for tests of hosts that must go on after one. Launches are numbered from 1 in the order
/// in which the process's devices begin them.
struct InjectedFaults {
  std::uint64_t fault = 0;  ///< the launch that ends with an illegal address; 0: none
  std::uint64_t hang = 0;   ///< the launch that ends with a time-out
  std::uint64_t lost = 0;   ///< the launch from which on there is no device any more
  std::atomic<std::uint64_t> launches{0};

  /// Takes the settings from a text such as "fault=3,hang=5,lost=7". Throws std::invalid_argument.
  void parse(std::string_view text);
  /// Numbers a launch. True if it must not run, after it has set the context's fault.
  bool strike(Context& context);
  /// True once the devices are lost.
  [[nodiscard]] bool is_lost() const { return lost != 0 && launches.load() >= lost; }
};

}  // namespace kerncast::simulator::api
