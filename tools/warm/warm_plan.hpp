#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/runtime.hpp"
#include "tools/io/console.hpp"

namespace kerncast::tools {

/// A part of a plan, for one machine of several: 1/4 is the first of four.
struct WarmShard {
  std::size_t index = 1;
  std::size_t count = 1;
};

/// What the warm command was asked to be ready for.
struct WarmRequest {
  std::string op;                     ///< one op at `settings`
  std::vector<std::string> settings;  ///< NAME=VALUE
  std::vector<std::string> models;    ///< names or paths of config.json files
  std::vector<std::string> records;   ///< files of KERNCAST_RECORD
  std::vector<std::string> archs;
  std::vector<int> sm_counts;  ///< multiprocessors; empty: of every device known of an architecture
  std::vector<std::int64_t> tensor_ranks = {1};
  std::int64_t expert_ranks = 1;
  std::string quant;                  ///< a QuantScheme's name; empty: every scheme
  std::vector<std::string> tokens;    ///< "17" or "1:8192"; empty with no `rows`: any number
  std::vector<std::int64_t> rows;     ///< rows of the op itself
  std::vector<std::string> op_globs;  ///< "quant.*"; empty: every op
  WarmShard shard;
};

/// One kernel that serving will ask for.
struct PlannedKernel {
  const OpDefinition* op = nullptr;
  Specialisation spec;
  std::string arch;
  std::int64_t rows = 1;  ///< any that this kernel serves
  Tunables tunables;
  std::string spec_text;
  std::string tunables_text;
  std::string key;
  std::vector<int> buckets;      ///< row buckets it serves, ascending
  std::vector<std::string> why;  ///< where it is asked for, each once
  std::optional<KernelReport> cached;
};

/// The kernels of `request`, each key once, in order of op, specialisation and architecture: not shapes, but
/// what differs in op, specialisation, architecture and tunables. What cannot be mapped is said on `console`
/// and left out. Throws UsageError.
[[nodiscard]] std::vector<PlannedKernel> plan_warm(Runtime& runtime, const WarmRequest& request,
                                                   Console& console);

/// "1/4". Throws UsageError.
[[nodiscard]] WarmShard parse_shard(const std::string& text);

/// "1", "2..64", "any": the rows of some buckets.
[[nodiscard]] std::string rows_text(const std::vector<int>& buckets);

}  // namespace kerncast::tools
