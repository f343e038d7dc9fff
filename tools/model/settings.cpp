#include "tools/model/settings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

double parse_scalar(const OpDefinition& op, const std::string& name, const std::string& text) {
  // libc++ 19 has no from_chars for double. strtod is safe, since the command never changes the locale.
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const bool blank = text.empty() || std::isspace(static_cast<unsigned char>(text.front())) != 0;
  if (blank || *end != '\0' || !std::isfinite(value)) {
    throw UsageError(fmt::format("{}: scalar {} = '{}' is not a finite number", op.name, name, text));
  }
  return value;
}

std::vector<std::string> setting_names(const OpDefinition& op) {
  std::vector<std::string> names;
  names.reserve(op.params.size() + op.scalars.size());
  for (const ParamSpec& param : op.params) {
    names.push_back(param.name);
  }
  for (const ScalarSpec& scalar : op.scalars) {
    names.push_back(scalar.name);
  }
  return names;
}

/// The specialisation with the widest access below the default that the other settings allow, as the tensors
/// of a call would give it. Empty if they allow none, or name one themselves.
std::optional<Specialisation> with_narrower_access(const OpDefinition& op, const Settings& settings) {
  const int place = find_param(op, "alignment");
  if (place < 0 || std::any_of(
                       settings.params.begin(), settings.params.end(),
                       [](const auto& param) { return param.first == "alignment"; })) {
    return std::nullopt;
  }
  std::vector<std::int32_t> widths = op.params[static_cast<std::size_t>(place)].allowed;
  std::sort(widths.rbegin(), widths.rend());
  for (const std::int32_t width : widths) {
    std::vector<std::pair<std::string, std::string>> params = settings.params;
    params.emplace_back("alignment", std::to_string(width));
    try {
      return specialise(op, params);
    } catch (const Error&) {
      continue;  // the caller reports the error of the default
    }
  }
  return std::nullopt;
}

}  // namespace

const OpDefinition& require_op(const std::string& name) {
  const OpDefinition* only = nullptr;
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    if (name.find('.') == std::string::npos && op->name.ends_with("." + name)) {
      if (only != nullptr) {
        throw UsageError(
            fmt::format("'{}' is short for {} and for {}; give the whole name", name, only->name, op->name));
      }
      only = op;
    }
  }
  if (only != nullptr) {
    return *only;
  }
  try {
    return OpRegistry::instance().require(name);
  } catch (const Error& error) {
    throw UsageError(error.what(), error.code());
  }
}

Settings parse_settings(const OpDefinition& op, const std::vector<std::string>& texts) {
  Settings settings;
  std::vector<std::string> seen;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError(fmt::format("'{}' is not a setting; write it as name=value", text));
    }
    const std::string name = text.substr(0, equals);
    const std::string value = text.substr(equals + 1);
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      throw UsageError(fmt::format("{}: {} is set twice", op.name, name));
    }
    seen.push_back(name);
    const bool scalar = std::any_of(op.scalars.begin(), op.scalars.end(),
                                    [&](const ScalarSpec& spec) { return spec.name == name; });
    const int index = find_param(op, name);
    if (index >= 0 && scalar && value != "true" && value != "false") {
      // A flag and a number of one name: the number is given, and the flag says that it is not zero.
      settings.scalars.emplace_back(name, parse_scalar(op, name, value));
      settings.params.emplace_back(name, settings.scalars.back().second != 0 ? "true" : "false");
      continue;
    }
    if (index >= 0) {
      try {
        static_cast<void>(parse_param(op, op.params[static_cast<std::size_t>(index)], value));
      } catch (const Error& error) {
        throw UsageError(error.what(), error.code());
      }
      settings.params.emplace_back(name, value);
      continue;
    }
    if (!scalar) {
      const std::vector<std::string> names = setting_names(op);
      const std::string nearest = nearest_name(name, names);
      throw UsageError(
          fmt::format("{}: no parameter or scalar '{}'{}; it has {}", op.name, name,
                      nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest),
                      fmt::join(names, ", ")));
    }
    settings.scalars.emplace_back(name, parse_scalar(op, name, value));
  }
  return settings;
}

Specialisation specialise_settings(const OpDefinition& op, const Settings& settings) {
  try {
    return specialise(op, settings.params);
  } catch (const Error& error) {
    if (const std::optional<Specialisation> narrower = with_narrower_access(op, settings)) {
      return *narrower;
    }
    throw UsageError(error.what(), error.code());
  }
}

std::optional<Tunables> parse_tunable_settings(const OpDefinition& op,
                                               const std::vector<std::string>& texts) {
  if (texts.empty()) {
    return std::nullopt;
  }
  std::vector<std::pair<std::string, std::string>> settings;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError(fmt::format("'{}' is not a tunable; write it as name=value", text));
    }
    settings.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  try {
    return parse_tunables(op, settings);
  } catch (const Error& error) {
    throw UsageError(error.what(), error.code());
  }
}

std::string constraint_text(const ParamSpec& param) {
  const auto name_value = [&](std::int32_t value) {
    return param.kind == ParamKind::dtype ? std::string(name_of(static_cast<DType>(value)))
                                          : fmt::format("{}", value);
  };
  if (param.kind == ParamKind::boolean) {
    return "true or false";
  }
  if (param.kind == ParamKind::choice) {
    return fmt::format("one of {}", fmt::join(param.choices, ", "));
  }
  if (!param.allowed.empty()) {
    std::vector<std::string> names;
    names.reserve(param.allowed.size());
    for (const std::int32_t value : param.allowed) {
      names.push_back(name_value(value));
    }
    return fmt::format("one of {}", fmt::join(names, ", "));
  }
  if (param.kind == ParamKind::dtype) {
    return "any dtype";
  }
  std::string text = fmt::format("integer from {} to {}", param.minimum, param.maximum);
  if (param.multiple_of > 1) {
    text += fmt::format(", a multiple of {}", param.multiple_of);
  }
  return text;
}

void check_arch(const std::string& arch) {
  const bool prefixed = arch.starts_with("sm_");
  const std::string rest = prefixed ? arch.substr(3) : std::string();
  const std::size_t digits = rest.find_first_not_of("0123456789");
  const std::string suffix = digits == std::string::npos ? std::string() : rest.substr(digits);
  const std::size_t count = rest.size() - suffix.size();
  if (!prefixed || count < 2 || count > 3 || !(suffix.empty() || suffix == "a" || suffix == "f")) {
    throw UsageError(fmt::format("'{}' is not an architecture; write it as sm_90a or sm_100a", arch));
  }
}

}  // namespace kerncast::tools
