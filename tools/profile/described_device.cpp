#include "tools/profile/described_device.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {

const devices::DeviceDescription& require_device_description(std::string_view name) {
  if (const devices::DeviceDescription* found = devices::find_device_description(name); found != nullptr) {
    return *found;
  }
  std::vector<std::string> names;
  for (const devices::DeviceDescription& device : devices::device_descriptions()) {
    names.push_back(device.name);
  }
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string nearest = nearest_name(lower, names);
  throw UsageError(fmt::format("no description of device '{}'{}; there are {}", name,
                               nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest),
                               fmt::join(names, ", ")));
}

}  // namespace kerncast::tools
