#pragma once

#include <string>

#include "tools/profile/op_profile.hpp"

namespace kerncast::tools {

/// HTML tables, one for each file, with its executed lines and their neighbours. For each line they show warp
/// instructions, global sectors and shared-memory wavefronts; the colour is stronger the nearer the value is
/// to that of the hottest line. Lines are source lines if there is line info, else PTX lines.
[[nodiscard]] std::string heat_map(const OpProfile& profile);

}  // namespace kerncast::tools
