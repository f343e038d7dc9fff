#include "templates/host/named_arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "templates/host/settings.hpp"

namespace kerncast::host {

void NamedArguments::input(const char* name, TensorView& view, std::string_view doc) {
  tensor(name, view, Direction::in, false, doc);
}

void NamedArguments::optional_input(const char* name, TensorView& view, std::string_view doc) {
  tensor(name, view, Direction::in, true, doc);
}

void NamedArguments::output(const char* name, TensorView& view, std::string_view doc) {
  tensor(name, view, Direction::out, false, doc);
}

void NamedArguments::optional_output(const char* name, TensorView& view, std::string_view doc) {
  tensor(name, view, Direction::out, true, doc);
}

void NamedArguments::in_place(const char* name, TensorView& view, std::string_view doc) {
  tensor(name, view, Direction::inout, false, doc);
}

void NamedArguments::tensor(const char* name, TensorView& view, Direction direction, bool optional,
                            std::string_view doc) {
  if (described_ != nullptr) {
    described_->tensors.push_back({name, direction, optional, std::string(doc)});
  } else if (bindings_ == nullptr) {
    view = *placed_.tensors++;
    if (!optional && view.absent()) {
      view = Bindings().require_tensor(op_.name, name);
    }
  } else {
    view = optional ? bindings_->tensor_or_absent(name) : bindings_->require_tensor(op_.name, name);
  }
}

std::optional<double> NamedArguments::number(const char* name, double default_value, std::string_view doc) {
  if (described_ != nullptr) {
    described_->scalars.push_back({name, default_value, std::string(doc)});
    return std::nullopt;
  }
  if (bindings_ == nullptr) {
    return *placed_.scalars++;
  }
  return bindings_->scalar(name);
}

std::optional<std::int32_t> NamedArguments::parameter(const char* name, bool required) {
  if (described_ != nullptr) {
    described_->settings.emplace_back(name);
    return std::nullopt;
  }
  if (bindings_ == nullptr) {
    return placed_setting(name, required);
  }
  return required ? required_param(op_, *bindings_, name) : host::setting(op_, *bindings_, name);
}

std::optional<std::int32_t> NamedArguments::placed_setting(const char* name, bool required) {
  const std::int32_t value = *placed_.settings++;
  if (value != PlacedArguments::unset) {
    return value;
  }
  return required ? std::optional(required_param(op_, Bindings(), name)) : std::nullopt;
}

double NamedArguments::exact_decimal(float value) {
  if (!std::isfinite(value)) {
    return value;
  }
  // Digits and power of ten are exact as doubles for all usual defaults, so that one division or
  // multiplication rounds once. Parsing the text by the C library would depend on the locale.
  const std::string text = fmt::format("{}", std::abs(value));
  const std::size_t mark = std::min(text.find('e'), text.size());
  double digits = 0;
  int power = mark < text.size() ? static_cast<int>(std::strtol(text.c_str() + mark + 1, nullptr, 10)) : 0;
  bool after_point = false;
  for (const char c : text.substr(0, mark)) {
    if (c == '.') {
      after_point = true;
    } else {
      digits = digits * 10 + (c - '0');
      power -= after_point ? 1 : 0;
    }
  }
  const double scaled = power < 0 ? digits / std::pow(10.0, -power) : digits * std::pow(10.0, power);
  return std::copysign(scaled, value);
}

}  // namespace kerncast::host
