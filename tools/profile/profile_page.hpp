#pragma once

#include <string>
#include <vector>

#include "tools/profile/profile_report.hpp"

namespace kerncast::tools {

/// A self-contained HTML page about the profiles. It loads nothing, runs no script, and supports light and
/// dark mode. Text from kernels and settings is escaped.
[[nodiscard]] std::string profile_page(const std::vector<ProfileReport>& reports);

}  // namespace kerncast::tools
