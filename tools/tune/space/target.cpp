#include "tools/tune/space/target.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "tools/io/usage_error.hpp"
#include "tools/model/settings.hpp"
#include "tools/profile/described_device.hpp"

namespace kerncast::tools {

TuneTarget parse_target(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string name = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  TuneTarget target;
  target.text = text;
  if (kind == "cuda") {
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), target.ordinal);
    if (error != std::errc() || end != name.data() + name.size() || target.ordinal < 0) {
      throw UsageError(fmt::format("--device {}: a device of the driver is named by its number, as cuda:0",
                                   text.substr(0, 40)));
    }
    target.kind = TuneTarget::Kind::cuda;
    return target;
  }
  if (kind != "estimate" && kind != "sim") {
    throw UsageError(
        fmt::format("--device {}: give cuda:NUMBER, sim:NAME or estimate:NAME, such as estimate:h100",
                    text.substr(0, 40)));
  }
  target.kind = kind == "sim" ? TuneTarget::Kind::sim : TuneTarget::Kind::estimate;
  target.description = &require_device_description(name);
  return target;
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
  for (const std::string& arch : devices.empty() ? archs : std::vector<std::string>()) {
    const devices::DeviceDescription* description = devices::device_description_of(arch);
    if (description == nullptr) {
      throw UsageError(fmt::format("no described device has architecture {}; name one by --device", arch));
    }
    if (description->arch != arch) {
      throw UsageError(
          fmt::format("{} is described for {}, and not for {}", description->name, description->arch, arch));
    }
    targets.push_back({TuneTarget::Kind::estimate, 0, description, "estimate:" + description->name});
  }
  return targets;
}

}  // namespace kerncast::tools
