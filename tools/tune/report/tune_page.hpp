#pragma once

#include <string>

#include "tools/tune/report/tune_report.hpp"

namespace kerncast::tools {

/// One self-contained HTML page: for every op and row bucket a chart with a dot for each trial, against the
/// bound and the default. It loads nothing and runs no script.
[[nodiscard]] std::string tune_page(const TuneReport& report);

}  // namespace kerncast::tools
