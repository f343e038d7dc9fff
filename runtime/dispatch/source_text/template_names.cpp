#include <fmt/format.h>

#include "kerncast/op_definition.hpp"

namespace kerncast {
namespace {

/// "rms_norm" as "RmsNorm".
std::string type_name(std::string_view name) {
  std::string made;
  bool starts_word = true;
  for (const char c : name) {
    if (c == '_') {
      starts_word = true;
      continue;
    }
    made += starts_word && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    starts_word = false;
  }
  return made;
}

}  // namespace

TemplateNames template_names(const OpDefinition& op) {
  TemplateNames names{op.include, op.kernel, op.arguments_type};
  const std::size_t dot = op.name.find('.');
  if (dot == std::string::npos) {
    return names;
  }
  const std::string family = op.name.substr(0, dot);
  const std::string own = op.name.substr(dot + 1);
  if (names.include.empty()) {
    names.include = fmt::format("{}/{}/kernel.cuh", family, own);
  }
  if (names.kernel.empty()) {
    names.kernel = fmt::format("kerncast::{}::{}_kernel", family, own);
  }
  if (names.arguments_type.empty()) {
    names.arguments_type = fmt::format("kerncast::{}::{}KernelArgs", family, type_name(own));
  }
  return names;
}

}  // namespace kerncast
