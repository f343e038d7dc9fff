#pragma once

#include <vector>

#include "tools/model/workload.hpp"

namespace kerncast::test {

/// The workloads that the shipped models give all ops, and those of other models for ops that no shipped
/// model uses: each distinct workload once, in order of op name.
[[nodiscard]] std::vector<tools::Workload> catalogue_workloads();

/// One of these workloads for each op and each combination of its settings other than integers: the kernels
/// that differ in more than a size.
[[nodiscard]] std::vector<tools::Workload> catalogue_variants();

}  // namespace kerncast::test
