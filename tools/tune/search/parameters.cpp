#include "tools/tune/search/parameters.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <stdexcept>

#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {

double parse_parameter(const std::string& what, const ParameterInfo& info, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool number = !text.empty() &&
                      (text[0] == '-' || text[0] == '.' || (text[0] >= '0' && text[0] <= '9')) &&
                      *end == '\0' && std::isfinite(value);
  if (!number || value < info.least || value > info.most) {
    throw UsageError(
        fmt::format("{} {} is no number from {} to {}", what, text.substr(0, 40), info.least, info.most));
  }
  return value;
}

Parameters::Parameters(const std::vector<ParameterInfo>& infos) : infos_(infos) {}

void Parameters::set(const std::string& owner, const std::string& name, const std::string& text) {
  const auto found = std::find_if(infos_.begin(), infos_.end(),
                                  [&](const ParameterInfo& info) { return info.name == name; });
  if (found == infos_.end()) {
    std::vector<std::string> names;
    names.reserve(infos_.size());
    for (const ParameterInfo& info : infos_) {
      names.push_back(info.name);
    }
    const std::string nearest = nearest_name(name, names);
    throw UsageError(fmt::format("{} has no parameter {}{}", owner, name.substr(0, 40),
                                 names.empty()     ? std::string()
                                 : nearest.empty() ? fmt::format("; it has {}", fmt::join(names, ", "))
                                                   : fmt::format(" (did you mean {}?)", nearest)));
  }
  found->value = parse_parameter(fmt::format("{}: {}", owner, name), *found, text);
}

double Parameters::operator[](std::string_view name) const {
  for (const ParameterInfo& info : infos_) {
    if (info.name == name) {
      return info.value;
    }
  }
  throw std::logic_error("there is no parameter " + std::string(name));
}

std::size_t Parameters::count(std::string_view name) const {
  return static_cast<std::size_t>(std::max(0.0, std::round((*this)[name])));
}

}  // namespace kerncast::tools
