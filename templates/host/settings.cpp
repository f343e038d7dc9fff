#include "templates/host/settings.hpp"

#include <fmt/format.h>

#include "templates/host/checks.hpp"

namespace kerncast::host {

std::optional<std::int32_t> setting(const OpDefinition& op, const Bindings& bindings, std::string_view name) {
  const std::string* text = bindings.param(name);
  if (text == nullptr) {
    return std::nullopt;
  }
  return parse_param(op, op.params.at(static_cast<std::size_t>(find_param(op, name))), *text);
}

std::int32_t required_param(const OpDefinition& op, const Bindings& bindings, std::string_view name) {
  const std::optional<std::int32_t> value = setting(op, bindings, name);
  if (!value) {
    refuse(op.name, fmt::format("parameter {} is required; give it as {}=VALUE", name, name));
  }
  return *value;
}

DType dtype_setting(const OpDefinition& op, const Bindings& bindings, std::string_view name,
                    DType otherwise) {
  return dtype_from_param(setting(op, bindings, name).value_or(to_param(otherwise)));
}

void narrow_alignment(const OpDefinition& op, Call& call, const Bindings& bindings) {
  const int place = find_param(op, "alignment");
  const std::optional<std::int32_t> wanted = place < 0 ? std::nullopt : setting(op, bindings, "alignment");
  if (wanted && *wanted < call.spec[static_cast<std::size_t>(place)]) {
    call.spec.values[static_cast<std::size_t>(place)] = *wanted;
    op.validate(call.spec);
  }
}

void validate_alignment(std::string_view op, std::int32_t alignment, std::int64_t width, DType type) {
  const std::int64_t bytes = width * size_of(type);
  if (alignment < size_of(type) || bytes % alignment != 0) {
    refuse(op, fmt::format("alignment = {} must be at least an element ({} bytes) and divide a row of {} {} "
                           "({} bytes); widest valid: {}",
                           alignment, size_of(type), width, name_of(type), bytes,
                           alignment_of(static_cast<std::uint64_t>(bytes))));
  }
}

}  // namespace kerncast::host
