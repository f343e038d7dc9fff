#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/model/workload.hpp"

namespace kerncast::tools {

/// The call of `rows` rows of `workload`, over memory that does not exist: it serves to ask an op for its
/// geometry and its defaults. Throws Error if the op does not take so many rows at these parameters.
[[nodiscard]] Call call_of(const Workload& workload, std::int64_t rows);

/// The bytes that a call reads and writes if each tensor is moved once.
struct CallBytes {
  std::uint64_t read = 0;
  std::uint64_t written = 0;
};
/// Throws as call_of() does.
[[nodiscard]] CallBytes bytes_of_call(const Workload& workload, std::int64_t rows);

/// The least number of rows after which every row of the tensors of such calls begins at the same place of a
/// sector of memory, of 32 bytes: at most 32, which is taken for tensors whose rows do not follow each other.
/// Throws as call_of() does.
[[nodiscard]] std::int64_t sector_period(const Workload& workload, std::int64_t rows);

/// The op of a workload, its parameters and its scalars as text. Workloads with the same text have the same
/// kernels.
[[nodiscard]] std::string text_of(const Workload& workload);

/// The names of the input tensors of such a call. Throws as call_of() does.
[[nodiscard]] std::vector<std::string> input_names(const Workload& workload, std::int64_t rows);

}  // namespace kerncast::tools
