#include "tools/verify/load_probe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "kerncast/error.hpp"
#include "runtime/driver/driver_api.hpp"
#include "runtime/driver/driver_error.hpp"
#include "runtime/util/split.hpp"

namespace kerncast::tools {

bool takes_ptx(std::string_view arch, int sm) {
  constexpr std::string_view prefix = "sm_";
  if (!arch.starts_with(prefix)) {
    return false;
  }
  arch.remove_prefix(prefix.size());
  int wanted = 0;
  const auto [end, error] = std::from_chars(arch.data(), arch.data() + arch.size(), wanted);
  if (error != std::errc()) {
    return false;
  }
  const std::string_view suffix(end, static_cast<std::size_t>(arch.data() + arch.size() - end));
  if (suffix == "a") {
    return sm == wanted;
  }
  return sm >= wanted && (suffix.empty() || (suffix == "f" && sm / 10 == wanted / 10));
}

LoadProbe::LoadProbe() {
  const std::shared_ptr<const driver::Driver> driver = driver::load_driver();
  for (int i = 0; i < driver->device_count; ++i) {
    auto device = std::make_unique<DeviceState>(driver, i);
    if (std::none_of(devices_.begin(), devices_.end(),
                     [&](const auto& other) { return other->arch() == device->arch(); })) {
      devices_.push_back(std::move(device));
    }
  }
}

LoadOutcome LoadProbe::load(const cache::Entry& entry) {
  auto device = std::find_if(devices_.begin(), devices_.end(),
                             [&](const auto& found) { return found->arch() == entry.arch; });
  if (device == devices_.end() && !entry.ptx.empty()) {
    device = std::find_if(devices_.begin(), devices_.end(),
                          [&](const auto& found) { return takes_ptx(entry.arch, found->traits().sm); });
  }
  LoadOutcome outcome;
  if (device == devices_.end()) {
    return outcome;
  }
  outcome.tried = true;
  try {
    (*device)->make_current();
    (*device)->try_load(entry.cubin, entry.ptx, split(entry.lowered_name, '\n'),
                        fmt::format("{} [{}] for {}", entry.op, entry.spec, entry.arch));
  } catch (const Error& error) {
    outcome.defect = error.what();
    outcome.lasting = driver::code_is_to_blame(error);
  }
  return outcome;
}

}  // namespace kerncast::tools
