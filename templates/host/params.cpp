#include "templates/host/params.hpp"

#include <fmt/format.h>

#include "templates/host/checks.hpp"

namespace kerncast::host {

ParamSpec dtype_param(std::initializer_list<DType> allowed, DType default_value, std::string doc) {
  return dtype_param("", allowed, default_value, std::move(doc));
}

ParamSpec integer_param(std::int32_t minimum, std::int32_t maximum, std::optional<std::int32_t> default_value,
                        std::string doc) {
  return integer_param("", minimum, maximum, default_value, std::move(doc));
}

ParamSpec listed_param(std::initializer_list<std::int32_t> allowed, std::optional<std::int32_t> default_value,
                       std::string doc) {
  return listed_param("", allowed, default_value, std::move(doc));
}

ParamSpec flag_param(bool default_value, std::string doc) {
  return flag_param("", default_value, std::move(doc));
}

ParamSpec choice_param(std::initializer_list<const char*> choices, std::string doc) {
  return choice_param("", choices, std::move(doc));
}

ParamSpec choice_param(std::span<const char* const> choices, std::string doc) {
  return choice_param("", choices, std::move(doc));
}

void require_place(std::size_t got, std::size_t wanted, const std::string& name) {
  if (got != wanted) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{} is number {} of its enum, but number {} of the definition", name, wanted, got));
  }
}

}  // namespace kerncast::host
