#include "runtime/c_api/text.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "kerncast/version.hpp"
#include "runtime/c_api/error.hpp"
#include "runtime/util/split.hpp"

namespace kerncast::c_api {

char* copy_for_caller(std::string_view text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) {
    throw std::bad_alloc();
  }
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  return copy;
}

std::vector<std::pair<std::string, std::string>> settings_of(std::string_view text, const char* function) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (const std::string& part : non_empty_parts(text, ' ')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("{}: '{}' is not of the form NAME=VALUE; separate settings by spaces", function, part));
    }
    settings.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  return settings;
}

}  // namespace kerncast::c_api

void kerncast_text_free(char* text) {
  std::free(text);
}

const char* kerncast_version(void) {
  return kerncast::version();
}

int32_t kerncast_c_abi(void) {
  return KERNCAST_C_ABI;
}
