#include "tools/io/command_context.hpp"

#include <fmt/format.h>

#include <string_view>

#include "tools/io/file.hpp"
#include "tools/io/standard_output.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {

RuntimeOptions CommandContext::runtime_options() {
  RuntimeOptions options;
  options.warn = [this](std::string_view text) { console.warning(text); };
  return options;
}

void CommandContext::prepare_output(const std::string& path) const {
  if (path.empty()) {
    return;
  }
  if (json && is_standard_output(path)) {
    throw UsageError(fmt::format("{} is standard output, where --json prints too; name a file", path));
  }
  check_output(path);
  if (is_standard_output(path)) {
    reserve_standard_output();
  }
}

}  // namespace kerncast::tools
