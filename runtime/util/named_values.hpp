#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace kerncast {

/// The names and values of a text such as "seed=7,jitter=0.05", which they point into. Throws
/// std::invalid_argument if a part has no '=' or a name is given twice.
[[nodiscard]] inline std::vector<std::pair<std::string_view, std::string_view>> named_values(
    std::string_view text) {
  std::vector<std::pair<std::string_view, std::string_view>> values;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, comma - at);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      throw std::invalid_argument(fmt::format("'{}' is not of the form NAME=VALUE", part));
    }
    const std::string_view name = part.substr(0, equals);
    if (std::any_of(values.begin(), values.end(), [&](const auto& value) { return value.first == name; })) {
      throw std::invalid_argument(fmt::format("{} is given twice", name));
    }
    values.emplace_back(name, part.substr(equals + 1));
    at = comma + 1;
  }
  return values;
}

}  // namespace kerncast
