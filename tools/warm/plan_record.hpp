#pragma once

#include <string>
#include <vector>

#include "tools/warm/warm_plan.hpp"

namespace kerncast::tools {

/// The text of a file of KERNCAST_RECORD that asks for `kernels`, which Runtime::load_all reads: a line for
/// each specialisation, architecture and row bucket, in order. The number of multiprocessors is that of the
/// most common device of the architecture.
[[nodiscard]] std::string plan_record(const std::vector<PlannedKernel>& kernels);

/// Writes that text to `path`, completely or not at all. Throws Error(io_error).
void write_plan_record(const std::string& path, const std::vector<PlannedKernel>& kernels);

}  // namespace kerncast::tools
