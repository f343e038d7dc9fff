#include "tools/io/command_context.hpp"

#include <string_view>

namespace kerncast::tools {

RuntimeOptions CommandContext::runtime_options() {
  RuntimeOptions options;
  options.warn = [this](std::string_view text) { console.warning(text); };
  return options;
}

}  // namespace kerncast::tools
