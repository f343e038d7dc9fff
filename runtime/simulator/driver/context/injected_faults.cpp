#include "runtime/simulator/driver/context/injected_faults.hpp"

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>

#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/util/named_values.hpp"

namespace kerncast::simulator::api {

void InjectedFaults::parse(std::string_view text) {
  fault = hang = lost = 0;
  for (const auto& [name, value] : named_values(text)) {
    std::uint64_t* const number = name == "fault"  ? &fault
                                  : name == "hang" ? &hang
                                  : name == "lost" ? &lost
                                                   : nullptr;
    if (number == nullptr) {
      throw std::invalid_argument(fmt::format("'{}' is none of fault, hang and lost", name));
    }
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *number);
    if (error != std::errc{} || end != value.data() + value.size() || *number == 0) {
      throw std::invalid_argument(
          fmt::format("{} is '{}'; give the number of a launch, from 1", name, value));
    }
  }
}

bool InjectedFaults::strike(Context& context) {
  if (fault == 0 && hang == 0 && lost == 0) {
    return false;
  }
  const std::uint64_t number = ++launches;
  if (lost != 0 && number >= lost) {
    context.set_fault(CUDA_ERROR_DEVICE_UNAVAILABLE,
                      fmt::format("the device was lost at launch {}, as KERNCAST_SIM_FAULTS asks", lost));
  } else if (number == hang) {
    context.set_fault(CUDA_ERROR_LAUNCH_TIMEOUT,
                      fmt::format("launch {} did not end, as KERNCAST_SIM_FAULTS asks", number));
  } else if (number == fault) {
    context.set_fault(CUDA_ERROR_ILLEGAL_ADDRESS,
                      fmt::format("launch {} faulted, as KERNCAST_SIM_FAULTS asks", number));
  } else {
    return false;
  }
  return true;
}

}  // namespace kerncast::simulator::api
