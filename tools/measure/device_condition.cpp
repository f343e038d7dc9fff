#include "tools/measure/device_condition.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <string_view>
#include <utility>

namespace kerncast::tools {
namespace {

constexpr int success = 0;
constexpr int sm_clock = 1;
constexpr int memory_clock = 2;
constexpr int gpu_sensor = 0;

/// Bits of nvmlClocksThrottleReasons that mean a clock below what the load asks for.
constexpr std::array<std::pair<std::uint64_t, std::string_view>, 5> slowing = {{
    {0x4, "power cap"},
    {0x8, "hardware slowdown"},
    {0x20, "heat (software)"},
    {0x40, "heat (hardware)"},
    {0x80, "power brake"},
}};

/// A sentence about a clock that changed too much, or nothing.
std::string change_text(std::string_view clock, std::optional<unsigned int> before,
                        std::optional<unsigned int> after) {
  if (!before || !after || *before == 0 ||
      std::fabs(static_cast<double>(*after) / *before - 1) <= clock_change_limit) {
    return {};
  }
  return fmt::format("the {} clock went from {} to {} MHz", clock, *before, *after);
}

}  // namespace

std::vector<std::string> slowing_reasons(std::uint64_t bits) {
  std::vector<std::string> reasons;
  for (const auto& [bit, text] : slowing) {
    if ((bits & bit) != 0) {
      reasons.emplace_back(text);
    }
  }
  return reasons;
}

std::string disturbance(const DeviceCondition& before, const DeviceCondition& after) {
  std::vector<std::string> causes;
  for (std::string cause : {change_text("SM", before.sm_mhz, after.sm_mhz),
                            change_text("memory", before.memory_mhz, after.memory_mhz)}) {
    if (!cause.empty()) {
      causes.push_back(std::move(cause));
    }
  }
  const std::vector<std::string> reasons = slowing_reasons(before.throttle_reasons | after.throttle_reasons);
  if (!reasons.empty()) {
    causes.push_back(fmt::format("the device throttled: {}", fmt::join(reasons, ", ")));
  }
  return fmt::format("{}", fmt::join(causes, "; "));
}

struct DeviceMonitor::Api {
#define KERNCAST_NVML_FUNCTION(name, symbol, parameters) int(*name) parameters = nullptr;
#define KERNCAST_NVML_OPTIONAL KERNCAST_NVML_FUNCTION
#include "tools/measure/nvml_functions.inc"
#undef KERNCAST_NVML_OPTIONAL
#undef KERNCAST_NVML_FUNCTION

  /// Loads the table. Returns what is missing, or an empty text. The library stays open for the life of the
  /// process, as a driver's does.
  std::string load(const std::string& library) {
    void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      const char* text = dlerror();
      return text != nullptr ? text : fmt::format("{} cannot be loaded", library);
    }
    std::string missing;
#define KERNCAST_NVML_FUNCTION(name, symbol, parameters)           \
  name = reinterpret_cast<decltype(name)>(dlsym(handle, #symbol)); \
  if (name == nullptr && missing.empty()) {                        \
    missing = #symbol;                                             \
  }
#define KERNCAST_NVML_OPTIONAL(name, symbol, parameters) \
  name = reinterpret_cast<decltype(name)>(dlsym(handle, #symbol));
#include "tools/measure/nvml_functions.inc"
#undef KERNCAST_NVML_OPTIONAL
#undef KERNCAST_NVML_FUNCTION
    return missing.empty() ? std::string() : fmt::format("{} lacks {}", library, missing);
  }
};

DeviceMonitor::DeviceMonitor(const std::string& uuid, const std::string& library) {
  auto api = std::make_unique<Api>();
  defect_ = api->load(library);
  if (!defect_.empty()) {
    return;
  }
  if (const int result = api->init(); result != success) {
    defect_ = fmt::format("nvmlInit failed with code {}", result);
    return;
  }
  if (const int result = api->device_by_uuid(uuid.c_str(), &device_); result != success) {
    defect_ = fmt::format("NVML does not know {} (code {})", uuid, result);
    api->shutdown();
    return;
  }
  api_ = std::move(api);
}

DeviceMonitor::~DeviceMonitor() {
  if (api_) {
    api_->shutdown();
  }
}

DeviceCondition DeviceMonitor::look() const {
  DeviceCondition seen;
  if (!api_) {
    return seen;
  }
  unsigned int value = 0;
  if (api_->clock(device_, sm_clock, &value) == success) {
    seen.sm_mhz = value;
  }
  if (api_->clock(device_, memory_clock, &value) == success) {
    seen.memory_mhz = value;
  }
  if (api_->temperature(device_, gpu_sensor, &value) == success) {
    seen.celsius = value;
  }
  if (api_->power(device_, &value) == success) {
    seen.watts = value * 1e-3;
  }
  unsigned long long reasons = 0;
  if (api_->throttle_reasons(device_, &reasons) == success) {
    seen.throttle_reasons = reasons;
  }
  return seen;
}

std::string DeviceMonitor::driver_version() const {
  std::array<char, 80> text{};  // as NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
  const bool seen = api_ && api_->driver_version != nullptr &&
                    api_->driver_version(text.data(), static_cast<unsigned int>(text.size())) == success;
  text.back() = '\0';
  return seen ? std::string(text.data()) : std::string();
}

std::string DeviceMonitor::clock_policy() const {
  using Question = int (*)(void*, int, unsigned int*);
  const auto answer = [this](Question question, std::string_view what) -> std::string {
    unsigned int sm = 0;
    unsigned int memory = 0;
    const bool seen = question != nullptr && question(device_, sm_clock, &sm) == success &&
                      question(device_, memory_clock, &memory) == success && sm > 0;
    return seen ? fmt::format("{} {}/{} MHz", what, sm, memory) : std::string();
  };
  if (!api_) {
    return {};
  }
  const std::string set = answer(api_->applications_clock, "applications clocks");
  return set.empty() ? answer(api_->most_clock, "up to") : set;
}

}  // namespace kerncast::tools
