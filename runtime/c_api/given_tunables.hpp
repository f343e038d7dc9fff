#pragma once

#include <optional>

#include "kerncast/op_definition.hpp"
#include "runtime/c_api/text.hpp"

namespace kerncast::c_api {

/// The tunables in a text of the caller; empty for null. Throws Error(invalid_argument).
[[nodiscard]] inline std::optional<Tunables> given_tunables(const OpDefinition& op, const char* text,
                                                            const char* function) {
  if (text == nullptr) {
    return std::nullopt;
  }
  return parse_tunables(op, settings_of(text, function));
}

}  // namespace kerncast::c_api
