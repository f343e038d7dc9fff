#include "tools/io/failure_cause.hpp"

#include <fmt/format.h>

namespace kerncast::tools {

std::string cause_of(std::string_view message, std::string_view op, std::string_view spec,
                     std::string_view arch) {
  std::string_view rest = message;
  const auto skip = [&rest](std::string_view text) {
    const bool there = !text.empty() && rest.starts_with(text);
    rest.remove_prefix(there ? text.size() : 0);
    return there;
  };
  if (!skip(op)) {
    return std::string(message);
  }
  skip(fmt::format(" [{}]", spec));
  skip(fmt::format(" for {}", arch));
  if (!skip(": ")) {
    skip(" ");
  }
  return std::string(rest);
}

}  // namespace kerncast::tools
