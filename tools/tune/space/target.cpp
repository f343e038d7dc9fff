#include "tools/tune/space/target.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "tools/io/usage_error.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {

namespace {

/// The device that is estimated where nothing says which.
constexpr const char* usual_device = "estimate:h100";

TuneTarget estimate_of(const std::string& arch) {
  const devices::DeviceDescription* description = devices::device_description_of(arch);
  if (description == nullptr) {
    throw UsageError(fmt::format("no described device has architecture {}; name one by --device", arch));
  }
  if (description->arch != arch) {
    throw UsageError(
        fmt::format("{} is described for {}, and not for {}", description->name, description->arch, arch));
  }
  return {TuneTarget::Kind::estimate, 0, description, "estimate:" + description->name, {}};
}

}  // namespace

TuneTarget parse_target(const std::string& text) {
  const DeviceName name = parse_device_name(text, true);
  return {name.kind, name.ordinal, devices::find_device_description(name.described), text, {}};
}

std::vector<TuneTarget> default_targets(const std::string& gpu_arch, const std::vector<std::string>& archs) {
  for (const std::string& arch : archs) {
    check_arch(arch);
  }
  const bool suits =
      std::all_of(archs.begin(), archs.end(), [&](const std::string& arch) { return arch == gpu_arch; });
  if (!gpu_arch.empty() && suits) {
    TuneTarget gpu = parse_target("cuda:0");
    gpu.why = "the driver's first GPU";
    return {gpu};
  }
  std::vector<TuneTarget> targets;
  if (archs.empty()) {
    targets.push_back(parse_target(usual_device));
  }
  for (const std::string& arch : archs) {
    targets.push_back(estimate_of(arch));
  }
  for (TuneTarget& target : targets) {
    target.why = gpu_arch.empty() ? "the driver has no GPU"
                                  : fmt::format("the driver's GPU has another architecture, {}", gpu_arch);
  }
  return targets;
}

std::vector<TuneTarget> choose_targets(const std::vector<std::string>& devices,
                                       const std::vector<std::string>& archs) {
  std::vector<TuneTarget> targets;
  for (const std::string& arch : archs) {
    check_arch(arch);
  }
  for (const std::string& text : devices) {
    TuneTarget target = parse_target(text);
    for (const TuneTarget& other : targets) {
      const bool both_virtual = other.description != nullptr && target.description != nullptr;
      if (other.text == target.text || (other.description == nullptr) != (target.description == nullptr)) {
        throw UsageError(
            fmt::format("--device {}: {} stands beside it; several devices must be different ones "
                        "of the driver, or described ones",
                        target.text, other.text));
      }
      if (both_virtual && other.description->arch == target.description->arch) {
        throw UsageError(fmt::format("--device {}: {} has the same architecture; tune for one of them",
                                     target.text, other.text));
      }
    }
    if (target.description != nullptr && !archs.empty() &&
        std::find(archs.begin(), archs.end(), target.description->arch) == archs.end()) {
      throw UsageError(fmt::format("--device {} has architecture {}, and --arch names {}", target.text,
                                   target.description->arch, fmt::join(archs, ", ")));
    }
    targets.push_back(std::move(target));
  }
  const bool described = !targets.empty() && targets.front().description != nullptr;
  for (const std::string& arch : described ? archs : std::vector<std::string>()) {
    if (std::none_of(targets.begin(), targets.end(),
                     [&](const TuneTarget& target) { return target.description->arch == arch; })) {
      throw UsageError(fmt::format("--arch {}: no --device has this architecture", arch));
    }
  }
  return targets;
}

}  // namespace kerncast::tools
