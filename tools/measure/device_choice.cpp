#include "tools/measure/device_choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <vector>

#include "runtime/devices/device_specs.hpp"
#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

/// The devices that the cost model describes.
std::vector<std::string> simulated_names() {
  std::vector<std::string> names;
  for (const devices::DeviceSpec& device : devices::device_specs) {
    if (!device.id.empty()) {
      names.emplace_back(device.id);
    }
  }
  return names;
}

const devices::DeviceSpec* find_device(const std::string& id) {
  const auto* found = std::find_if(devices::device_specs.begin(), devices::device_specs.end(),
                                   [&](const devices::DeviceSpec& device) { return device.id == id; });
  return id.empty() || found == devices::device_specs.end() ? nullptr : found;
}

std::string nearest_hint(const std::string& nearest) {
  return nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest);
}

}  // namespace

RuntimeOptions DeviceChoice::apply(RuntimeOptions options) const {
  if (!driver.empty()) {
    options.driver = driver;
  }
  if (const devices::DeviceSpec* device = find_device(simulated)) {
    ::setenv("KERNCAST_SIM_CLOCK", simulated.c_str(), 1);
    ::setenv("KERNCAST_SIM_ARCH", fmt::format("sm_{}", device->sm).c_str(), 1);
  }
  return options;
}

DeviceChoice parse_device_choice(const std::string& text) {
  DeviceChoice choice;
  if (text.empty()) {
    return choice;
  }
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string which = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  if (kind == "cuda") {
    choice.driver = "cuda";
    const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), choice.ordinal);
    if (error != std::errc() || end != which.data() + which.size() || choice.ordinal < 0) {
      throw UsageError(
          fmt::format("--device {}: a device is named by its number (did you mean cuda:0?)", text));
    }
    return choice;
  }
  const std::vector<std::string> names = simulated_names();
  if (kind == "sim") {
    if (find_device(which) == nullptr) {
      const std::string nearest = nearest_name(which, names);
      throw UsageError(fmt::format("--device {}: no described device is called '{}'{}; known are {}", text,
                                   which, nearest_hint(nearest.empty() ? nearest : "sim:" + nearest),
                                   fmt::join(names, ", ")));
    }
    choice.driver = "sim";
    choice.simulated = which;
    return choice;
  }
  std::vector<std::string> known = {"cuda:0"};
  for (const std::string& name : names) {
    known.push_back("sim:" + name);
  }
  const bool is_name = std::find(names.begin(), names.end(), text) != names.end();
  throw UsageError(
      fmt::format("--device {} is no device{}; write it as cuda:0, or as sim:h100 for an estimate", text,
                  nearest_hint(is_name ? "sim:" + text : nearest_name(text, known))));
}

double memory_gb_per_s(const DeviceChoice& choice, int memory_clock_khz, int memory_bus_bits) {
  if (const devices::DeviceSpec* device = find_device(choice.simulated)) {
    return device->memory_gb_per_s;
  }
  // Both edges of the clock carry data.
  return 2.0 * memory_clock_khz * 1e3 * memory_bus_bits / 8 * 1e-9;
}

}  // namespace kerncast::tools
