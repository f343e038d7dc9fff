#pragma once

#include <span>
#include <string>
#include <vector>

#include "cache/tuning/tuned_record.hpp"
#include "runtime/dispatch/source_text/embedded_templates.hpp"

namespace kerncast {

/// The tuned records in `files`, as embedded_tuned() gives them, in order and each place once. Each file has
/// records as lines of JSON (see tuned_lines.hpp) for the architecture that it is named after. Only what was
/// measured on a device of NVIDIA belongs there: another record, one of another architecture, a second one of
/// a place, and what is no record are left out, and `defects` receives file, line and reason.
[[nodiscard]] std::vector<cache::TunedRecord> built_in_records(std::span<const EmbeddedFile> files,
                                                               std::vector<std::string>& defects);

}  // namespace kerncast
