#include "tools/measure/device_choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
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

[[noreturn]] void refuse_number(const std::string& text) {
  throw UsageError(
      fmt::format("--device {}: a device of the driver is named by its number (did you mean cuda:0?)", text));
}

[[noreturn]] void refuse_described(const std::string& text, const std::string& kind,
                                   const std::string& name) {
  const std::vector<std::string> names = simulated_names();
  const std::string nearest = nearest_name(name, names);
  throw UsageError(fmt::format("--device {}: no described device is called '{}'{}; known are {}", text, name,
                               nearest_hint(nearest.empty() ? nearest : kind + ":" + nearest),
                               fmt::join(names, ", ")));
}

[[noreturn]] void refuse_kind(const std::string& text, bool estimates) {
  std::vector<std::string> known = {"cuda:0"};
  const std::string preferred = estimates ? "estimate:" : "sim:";
  for (const std::string& name : simulated_names()) {
    known.push_back("sim:" + name);
    if (estimates) {
      known.push_back("estimate:" + name);
    }
  }
  const bool is_name = find_device(text) != nullptr;
  throw UsageError(fmt::format("--device {} is no device{}; write it as cuda:0, {}", text,
                               nearest_hint(is_name ? preferred + text : nearest_name(text, known)),
                               estimates ? "sim:h100 or estimate:h100" : "or as sim:h100 for an estimate"));
}

}  // namespace

DeviceName parse_device_name(const std::string& text, bool estimates) {
  constexpr std::size_t most_shown = 40;
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string which = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  const std::string shown = text.substr(0, most_shown);
  DeviceName name;
  if (kind == "cuda") {
    const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), name.ordinal);
    if (error != std::errc() || end != which.data() + which.size() || name.ordinal < 0) {
      refuse_number(shown);
    }
    return name;
  }
  if (kind != "sim" && !(estimates && kind == "estimate")) {
    refuse_kind(shown, estimates);
  }
  name.kind = kind == "sim" ? DeviceName::Kind::sim : DeviceName::Kind::estimate;
  name.described = which;
  std::transform(which.begin(), which.end(), name.described.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  if (find_device(name.described) == nullptr) {
    refuse_described(shown, kind, which.substr(0, most_shown));
  }
  return name;
}

void set_virtual_gpu(const std::string& described, bool clock) {
  const devices::DeviceSpec* device = find_device(described);
  if (device == nullptr) {
    return;
  }
  ::setenv("KERNCAST_SIM_ARCH", fmt::format("sm_{}", device->sm).c_str(), 1);
  if (clock) {
    ::setenv("KERNCAST_SIM_CLOCK", described.c_str(), 1);
  }
}

RuntimeOptions DeviceChoice::apply(RuntimeOptions options) const {
  if (!driver.empty()) {
    options.driver = driver;
  }
  set_virtual_gpu(simulated, true);
  return options;
}

DeviceChoice parse_device_choice(const std::string& text) {
  if (text.empty()) {
    return {};
  }
  const DeviceName name = parse_device_name(text, false);
  return {name.kind == DeviceName::Kind::cuda ? "cuda" : "sim", name.ordinal, name.described};
}

double memory_gb_per_s(const DeviceChoice& choice, int memory_clock_khz, int memory_bus_bits) {
  if (const devices::DeviceSpec* device = find_device(choice.simulated)) {
    return device->memory_gb_per_s;
  }
  // Both edges of the clock carry data.
  return 2.0 * memory_clock_khz * 1e3 * memory_bus_bits / 8 * 1e-9;
}

}  // namespace kerncast::tools
