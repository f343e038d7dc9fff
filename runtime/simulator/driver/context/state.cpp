#include "runtime/simulator/driver/context/state.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>

#include <charconv>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/report.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/memory/leaks.hpp"
#include "runtime/util/environment.hpp"

namespace kerncast::simulator::api {
namespace {

constexpr int driver_version = 13020;
constexpr int max_devices = 64;

std::string environment(const char* name, const char* otherwise) {
  std::string value = kerncast::environment(name);
  return value.empty() ? otherwise : value;
}

Checks read_checks() {
  const std::string wish = environment("KERNCAST_SIM_CHECKS", "on");
  if (wish == "on" || wish == "1") {
    return Checks::on;
  }
  if (wish == "off" || wish == "0") {
    return Checks::off;
  }
  if (wish == "report") {
    return Checks::report;
  }
  throw Failure(CUDA_ERROR_INVALID_VALUE,
                fmt::format("KERNCAST_SIM_CHECKS is {}; give on, off or report", wish));
}

/// The times on a device clock must not depend on which launches the host's threads happen to run at once.
Overlap read_overlap(bool has_clock) {
  const std::string wish = environment("KERNCAST_SIM_PDL", has_clock ? "late" : "any");
  if (wish != "any" && wish != "early" && wish != "late") {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("KERNCAST_SIM_PDL is {}; give any, early or late", wish));
  }
  if (has_clock && wish != "late") {
    throw Failure(
        CUDA_ERROR_INVALID_VALUE,
        fmt::format("KERNCAST_SIM_PDL is {}, and KERNCAST_SIM_CLOCK is set; with a device clock the "
                    "launches of a stream run one after the other, so leave one of the two out",
                    wish));
  }
  return wish == "early" ? Overlap::early : wish == "late" ? Overlap::late : Overlap::any;
}

/// The device that KERNCAST_SIM_CLOCK names; null if it is unset.
const devices::DeviceDescription* read_clock() {
  const std::string name = kerncast::environment("KERNCAST_SIM_CLOCK");
  const devices::DeviceDescription* found = devices::find_device_description(name);
  if (!name.empty() && found == nullptr) {
    std::vector<std::string> names;
    for (const devices::DeviceDescription& device : devices::device_descriptions()) {
      names.push_back(device.name);
    }
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("KERNCAST_SIM_CLOCK is {}; the devices that the cost "
                                                        "model describes are {}",
                                                        name, fmt::join(names, ", ")));
  }
  return found;
}

/// The figures of the device that gives the clock, or of a usual board of KERNCAST_SIM_ARCH.
ArchTraits read_arch(const devices::DeviceDescription* clocked) {
  const std::string given = kerncast::environment("KERNCAST_SIM_ARCH");
  const std::string arch =
      !given.empty() || clocked == nullptr ? environment("KERNCAST_SIM_ARCH", "sm_90") : clocked->arch;
  const std::optional<ArchTraits> traits = find_arch(arch);
  if (!traits) {
    throw Failure(
        CUDA_ERROR_INVALID_VALUE,
        fmt::format("KERNCAST_SIM_ARCH is {}; the virtual GPU knows sm_75, 80, 86, 87, 88, 89, 90, 100, "
                    "103, 110, 120 and 121",
                    arch));
  }
  if (clocked != nullptr && traits->sm != clocked->sm) {
    throw Failure(
        CUDA_ERROR_INVALID_VALUE,
        fmt::format("KERNCAST_SIM_ARCH is {}, and KERNCAST_SIM_CLOCK is {}, a device of sm_{}; leave "
                    "KERNCAST_SIM_ARCH out or make both agree",
                    arch, clocked->name, clocked->sm));
  }
  return clocked != nullptr ? traits_of(*clocked) : *traits;
}

Noise read_noise(bool has_clock) {
  const std::string text = kerncast::environment("KERNCAST_SIM_NOISE");
  if (text.empty()) {
    return {};
  }
  if (!has_clock) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  "KERNCAST_SIM_NOISE is set without KERNCAST_SIM_CLOCK; only a device clock has noise");
  }
  try {
    return parse_noise(text);
  } catch (const std::invalid_argument& error) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("KERNCAST_SIM_NOISE: {}", error.what()));
  }
}

void read_faults(InjectedFaults& faults) {
  const std::string text = kerncast::environment("KERNCAST_SIM_FAULTS");
  if (text.empty()) {
    return;
  }
  try {
    faults.parse(text);
  } catch (const std::invalid_argument& error) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("KERNCAST_SIM_FAULTS: {}", error.what()));
  }
}

void initialise(DriverState& state) {
  configure_report();
  const devices::DeviceDescription* const clocked = read_clock();
  const ArchTraits traits = read_arch(clocked);
  const Noise noise = read_noise(clocked != nullptr);
  const std::string devices = environment("KERNCAST_SIM_DEVICES", "1");
  int count = 0;
  const auto [end, error] = std::from_chars(devices.data(), devices.data() + devices.size(), count);
  if (error != std::errc{} || end != devices.data() + devices.size() || count < 0 || count > max_devices) {
    throw Failure(
        CUDA_ERROR_INVALID_VALUE,
        fmt::format("KERNCAST_SIM_DEVICES is {}; give a number from 0 to {}", devices, max_devices));
  }
  if (count == 0) {
    throw Failure(CUDA_ERROR_NO_DEVICE, "KERNCAST_SIM_DEVICES is 0");
  }
  state.checks = read_checks();
  state.overlap = read_overlap(clocked != nullptr);
  read_faults(state.faults);
  if (environment("KERNCAST_SIM_LEAKS", "0") == "1") {
    report_leaks_at_exit();
  }
  state.arch = traits;
  state.device_count = count;
  state.total_memory = total_memory(traits);
  state.clocked = clocked;
  for (int device = 0; clocked != nullptr && device < count; ++device) {
    state.clocks.push_back(std::make_unique<DeviceClock>(*clocked, noise));
  }
  state.primaries.resize(static_cast<std::size_t>(count));
  for (DriverState::Primary& primary : state.primaries) {
    primary.handle = reinterpret_cast<CUcontext>(next_handle());
  }
  // A forked child has none of the threads that run streams, but may have the locks that they held.
  pthread_atfork(nullptr, nullptr, [] { api::state().initialised.store(false, std::memory_order_release); });
  state.initialised.store(true, std::memory_order_release);
}

}  // namespace

DriverState& state() {
  static auto* state = new DriverState;
  return *state;
}

void Context::set_fault(CUresult code, const std::string& message) {
  const std::lock_guard lock(fault_mutex_);
  if (fault_.load(std::memory_order_relaxed) == CUDA_SUCCESS) {
    fault_message_ = message;
    report(message);
    fault_.store(code, std::memory_order_release);
  }
}

std::string Context::fault_message() const {
  const std::lock_guard lock(fault_mutex_);
  return fault_message_;
}

void Context::require_no_fault() const {
  if (const CUresult code = fault(); code != CUDA_SUCCESS) {
    throw Failure(code, fault_message());
  }
}

std::vector<Point> ends_of_streams(const Context& context, bool blocking_only) {
  std::vector<Point> ends;
  for (const std::shared_ptr<Stream>& stream : context.streams) {
    if (!stream->orders_nothing() && (!blocking_only || stream->legacy || stream->blocking)) {
      ends.push_back(end_of(stream));
    }
  }
  return ends;
}

extern "C" {

CUresult cuInit(unsigned int flags) {
  return bare_call([&] {
    if (flags != 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, "cuInit takes no flags");
    }
    DriverState& all = state();
    const std::lock_guard lock(all.init_mutex);
    if (!all.initialised.load(std::memory_order_acquire)) {
      if (all.device_count != 0) {
        throw Failure(CUDA_ERROR_NOT_INITIALIZED, "a forked child cannot use the driver of its parent");
      }
      try {
        initialise(all);
      } catch (const Failure& failure) {
        report(failure.what());
        throw;
      }
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuDriverGetVersion(int* version) {
  return bare_call([&] {
    require(version, "version");
    *version = driver_version;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
