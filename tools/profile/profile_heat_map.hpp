#pragma once

#include <string>

#include "tools/profile/op_profile.hpp"

namespace kerncast::tools {

/// HTML tables, one for each file: its executed lines with their neighbours, and for each line its warp
/// instructions, global sectors and shared-memory wavefronts, stronger the nearer to the launch's hottest
/// line. By source line where there is line info, else by PTX line.
[[nodiscard]] std::string heat_map(const OpProfile& profile);

}  // namespace kerncast::tools
