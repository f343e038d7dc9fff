#pragma once

#include <string_view>

namespace kerncast::host {

/// The name of an enumerator without its scope: enumerator_name<row_params::hidden>() is "hidden".
template <auto Enumerator>
[[nodiscard]] consteval std::string_view enumerator_name() {
  // gcc: "... [with auto Enumerator = a::hidden; std::string_view = ...]"; clang: "... [Enumerator =
  // a::hidden]".
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("Enumerator = ") + std::string_view("Enumerator = ").size());
  text = text.substr(0, text.find_first_of(";]"));
  return text.substr(text.rfind(':') + 1);
}

}  // namespace kerncast::host
