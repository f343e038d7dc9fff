#pragma once

#include <vector>

#include "tools/model/workload.hpp"

namespace kerncast::test {

/// What the shipped models ask of all ops, and others of the ops that none of these uses: each distinct
/// workload once, in order of op name.
[[nodiscard]] std::vector<tools::Workload> catalogue_workloads();

/// Of those, one for each op and each combination of its settings other than integers: the kernels that
/// differ in more than a size.
[[nodiscard]] std::vector<tools::Workload> catalogue_variants();

}  // namespace kerncast::test
