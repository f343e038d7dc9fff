#pragma once

#include <string>

#include "kerncast/runtime.hpp"
#include "tools/io/console.hpp"

namespace kerncast::tools {

/// The architecture that a command uses if --arch is not given: that of the first device, or sm_90a, with a
/// note, if there is none.
[[nodiscard]] std::string default_arch(Runtime& runtime, Console& console);

}  // namespace kerncast::tools
