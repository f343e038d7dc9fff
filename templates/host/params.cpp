#include "templates/host/params.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "templates/host/checks.hpp"

namespace kerncast::host {

ParamSpec dtype_param(std::initializer_list<DType> allowed, DType default_value, std::string doc) {
  ParamSpec param;
  param.kind = ParamKind::dtype;
  param.doc = std::move(doc);
  param.default_value = to_param(default_value);
  for (const DType type : allowed) {
    param.allowed.push_back(to_param(type));
  }
  return param;
}

ParamSpec integer_param(std::int32_t minimum, std::int32_t maximum, std::optional<std::int32_t> default_value,
                        std::string doc) {
  ParamSpec param;
  param.doc = std::move(doc);
  param.minimum = minimum;
  param.maximum = maximum;
  param.default_value = default_value;
  return param;
}

ParamSpec listed_param(std::initializer_list<std::int32_t> allowed, std::optional<std::int32_t> default_value,
                       std::string doc) {
  ParamSpec param = integer_param(std::min(allowed), std::max(allowed), default_value, std::move(doc));
  param.allowed = allowed;
  return param;
}

ParamSpec flag_param(bool default_value, std::string doc) {
  ParamSpec param;
  param.kind = ParamKind::boolean;
  param.doc = std::move(doc);
  param.default_value = default_value ? 1 : 0;
  return param;
}

ParamSpec choice_param(std::span<const char* const> choices, std::string doc) {
  ParamSpec param;
  param.kind = ParamKind::choice;
  param.doc = std::move(doc);
  param.default_value = 0;
  param.choices.assign(choices.begin(), choices.end());
  return param;
}

ParamSpec choice_param(std::initializer_list<const char*> choices, std::string doc) {
  return choice_param(std::span(choices.begin(), choices.size()), std::move(doc));
}

void require_place(std::size_t got, std::size_t wanted, const std::string& name) {
  if (got != wanted) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{} is number {} of its enum, but number {} of the definition", name, wanted, got));
  }
}

}  // namespace kerncast::host
