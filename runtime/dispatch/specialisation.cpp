#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "kerncast/op_definition.hpp"
#include "runtime/util/nearest_name.hpp"

namespace kerncast {
namespace {

std::string value_text(const ParamSpec& param, std::int64_t value) {
  switch (param.kind) {
    case ParamKind::boolean:
      return value != 0 ? "true" : "false";
    case ParamKind::dtype:
      return std::string(name_of(static_cast<DType>(value)));
    case ParamKind::choice:
      return value >= 0 && static_cast<std::size_t>(value) < param.choices.size()
                 ? param.choices[static_cast<std::size_t>(value)]
                 : fmt::format("#{}", value);
    case ParamKind::integer:
      break;
  }
  return fmt::format("{}", value);
}

std::string constraint_text(const ParamSpec& param) {
  switch (param.kind) {
    case ParamKind::boolean:
      return "true or false";
    case ParamKind::choice:
      return fmt::format("one of {}", fmt::join(param.choices, ", "));
    case ParamKind::dtype:
    case ParamKind::integer:
      break;
  }
  if (!param.allowed.empty()) {
    std::vector<std::string> names;
    names.reserve(param.allowed.size());
    for (const std::int32_t value : param.allowed) {
      names.push_back(value_text(param, value));
    }
    return fmt::format("one of {}", fmt::join(names, ", "));
  }
  if (param.kind == ParamKind::dtype) {
    return "a dtype";
  }
  std::string text = fmt::format("from {} to {}", param.minimum, param.maximum);
  if (param.multiple_of > 1) {
    text += fmt::format(" and a multiple of {}", param.multiple_of);
  }
  return text;
}

std::int64_t nearest_integer(const ParamSpec& param, std::int64_t value) {
  if (!param.allowed.empty()) {
    return *std::min_element(param.allowed.begin(), param.allowed.end(), [&](std::int64_t a, std::int64_t b) {
      return std::llabs(a - value) < std::llabs(b - value);
    });
  }
  const std::int64_t step = std::max<std::int64_t>(1, param.multiple_of);
  const std::int64_t lowest = (param.minimum + step - 1) / step * step;
  const std::int64_t highest = param.maximum / step * step;
  return std::clamp((value + step / 2) / step * step, lowest, std::max(lowest, highest));
}

[[noreturn]] void refuse(const OpDefinition& op, const ParamSpec& param, std::string_view got,
                         const std::string& nearest) {
  throw Error(
      ErrorCode::invalid_argument,
      fmt::format("{}: parameter {} = {} must be {}{}", op.name, param.name, got, constraint_text(param),
                  nearest.empty() ? std::string() : fmt::format("; nearest valid: {}", nearest)));
}

std::int64_t parse_integer(const OpDefinition& op, const ParamSpec& param, std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    refuse(op, param, text, fmt::format("{}", text.starts_with('-') ? param.minimum : param.maximum));
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    refuse(op, param, fmt::format("'{}'", text), {});
  }
  return value;
}

template <class Specs>
std::vector<std::string> names_of(const Specs& specs) {
  std::vector<std::string> names;
  names.reserve(specs.size());
  for (const auto& spec : specs) {
    names.push_back(spec.name);
  }
  return names;
}

[[noreturn]] void refuse_name(const OpDefinition& op, std::string_view kind, std::string_view name,
                              const std::vector<std::string>& names) {
  const std::string nearest = nearest_name(name, names);
  throw Error(ErrorCode::invalid_argument,
              fmt::format("{}: no {} '{}'{}; it has {}", op.name, kind, name,
                          nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest),
                          names.empty() ? std::string("none") : fmt::format("{}", fmt::join(names, ", "))));
}

int require_param(const OpDefinition& op, std::string_view name) {
  const int index = find_param(op, name);
  if (index < 0) {
    refuse_name(op, "parameter", name, names_of(op.params));
  }
  return index;
}

/// Refuses a name in `given` that none of `known` has.
template <class Given, class Known>
void check_names_of(const OpDefinition& op, std::string_view kind, const Given& given, const Known& known) {
  for (const auto& [name, value] : given) {
    const std::vector<std::string> names = names_of(known);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      refuse_name(op, kind, name, names);
    }
  }
}

}  // namespace

int find_param(const OpDefinition& op, std::string_view name) noexcept {
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    if (op.params[i].name == name) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

void check_param(const OpDefinition& op, const ParamSpec& param, std::int64_t value) {
  bool valid = true;
  if (!param.allowed.empty()) {
    valid = std::find(param.allowed.begin(), param.allowed.end(), value) != param.allowed.end();
  } else {
    switch (param.kind) {
      case ParamKind::boolean:
        valid = value == 0 || value == 1;
        break;
      case ParamKind::choice:
        valid = value >= 0 && static_cast<std::size_t>(value) < param.choices.size();
        break;
      case ParamKind::dtype:
        valid = value >= 0 && value <= static_cast<int>(DType::f64);
        break;
      case ParamKind::integer:
        valid =
            value >= param.minimum && value <= param.maximum && value % std::max(1, param.multiple_of) == 0;
        break;
    }
  }
  if (!valid) {
    refuse(
        op, param, value_text(param, value),
        param.kind == ParamKind::integer ? fmt::format("{}", nearest_integer(param, value)) : std::string());
  }
}

std::int32_t parse_param(const OpDefinition& op, const ParamSpec& param, std::string_view text) {
  std::int64_t value = 0;
  switch (param.kind) {
    case ParamKind::integer:
      value = parse_integer(op, param, text);
      break;
    case ParamKind::boolean:
      if (text == "true" || text == "1") {
        value = 1;
      } else if (text != "false" && text != "0") {
        refuse(op, param, fmt::format("'{}'", text), {});
      }
      break;
    case ParamKind::dtype: {
      const std::optional<DType> type = dtype_from_name(text);
      if (!type) {
        std::vector<std::string> names;
        names.reserve(param.allowed.size());
        for (const std::int32_t allowed : param.allowed) {
          names.push_back(value_text(param, allowed));
        }
        refuse(op, param, fmt::format("'{}'", text), nearest_name(text, names));
      }
      value = static_cast<std::int64_t>(*type);
      break;
    }
    case ParamKind::choice: {
      const auto found = std::find(param.choices.begin(), param.choices.end(), text);
      if (found == param.choices.end()) {
        refuse(op, param, fmt::format("'{}'", text), nearest_name(text, param.choices));
      }
      value = found - param.choices.begin();
      break;
    }
  }
  check_param(op, param, value);
  return static_cast<std::int32_t>(value);
}

void check_specialisation(const OpDefinition& op, const Specialisation& spec) {
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    check_param(op, op.params[i], spec[i]);
  }
  if (op.validate != nullptr) {
    op.validate(spec);
  }
}

Specialisation specialise(const OpDefinition& op,
                          const std::vector<std::pair<std::string, std::string>>& settings) {
  Specialisation spec;
  std::vector<bool> given(op.params.size(), false);
  for (const auto& [name, text] : settings) {
    const auto index = static_cast<std::size_t>(require_param(op, name));
    spec.values[index] = parse_param(op, op.params[index], text);
    given[index] = true;
  }
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    if (given[i]) {
      continue;
    }
    if (!op.params[i].default_value) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("{}: parameter {} is required ({}); give it as {}=VALUE", op.name,
                              op.params[i].name, constraint_text(op.params[i]), op.params[i].name));
    }
    spec.values[i] = *op.params[i].default_value;
  }
  check_specialisation(op, spec);
  return spec;
}

std::string format_param(const ParamSpec& param, std::int32_t value) {
  return fmt::format("{}={}", param.name, value_text(param, value));
}

std::string param_source(const OpDefinition& op, const ParamSpec& param) {
  const auto tensor = [&](std::string_view name, bool output) {
    return std::any_of(op.tensors.begin(), op.tensors.end(), [&](const TensorSpec& spec) {
      return spec.name == name && (spec.direction == Direction::out) == output;
    });
  };
  const std::string_view name = param.name;
  if (name.starts_with("has_") && (tensor(name.substr(4), false) || tensor(name.substr(4), true))) {
    return fmt::format("whether {} is given", name.substr(4));
  }
  if (name.ends_with("_dtype")) {
    const std::string_view of = name.substr(0, name.size() - 6);
    if (tensor(of, false)) {
      return fmt::format("dtype of {}", of);
    }
    if (of == "y" && tensor("x", false) && tensor("y", true)) {
      return "the setting, else dtype of x";
    }
  }
  if (name == "dynamic" && tensor("scale", false)) {
    return "false if scale is given";
  }
  const bool scalar = std::any_of(op.scalars.begin(), op.scalars.end(),
                                  [&](const ScalarSpec& spec) { return spec.name == param.name; });
  return scalar ? fmt::format("whether the scalar {} is not 0", name) : std::string();
}

std::string format_specialisation(const OpDefinition& op, const Specialisation& spec) {
  std::string text;
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    if (op.params[i].default_value != std::optional<std::int32_t>(spec[i])) {
      text += (text.empty() ? "" : " ") + format_param(op.params[i], spec[i]);
    }
  }
  return text;
}

void check_names(const OpDefinition& op, const Bindings& bindings) {
  if (!op.tensors.empty()) {
    check_names_of(op, "tensor", bindings.tensors(), op.tensors);
    check_names_of(op, "scalar", bindings.scalars(), op.scalars);
  }
  check_names_of(op, "parameter", bindings.params(), op.params);
}

void check_settings_agree(const OpDefinition& op, const Specialisation& spec, const Bindings& bindings) {
  for (const auto& [name, text] : bindings.params()) {
    const auto index = static_cast<std::size_t>(require_param(op, name));
    const std::int32_t value = parse_param(op, op.params[index], text);
    if (value != spec[index]) {
      const std::string source = param_source(op, op.params[index]);
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("{}: parameter {} was set to {}, but the tensors give {}{}{}{}; leave it out or fix "
                      "the tensors",
                      op.name, name, text, value_text(op.params[index], spec[index]),
                      source.empty() ? "" : " (", source, source.empty() ? "" : ")"));
    }
  }
}

}  // namespace kerncast
