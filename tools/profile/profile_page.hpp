#pragma once

#include <string>
#include <vector>

#include "tools/profile/profile_report.hpp"

namespace kerncast::tools {

/// One HTML page about the profiles, complete in itself: it loads nothing, runs no script, and reads in light
/// and dark. All text from kernels and settings is escaped.
[[nodiscard]] std::string profile_page(const std::vector<ProfileReport>& reports);

}  // namespace kerncast::tools
