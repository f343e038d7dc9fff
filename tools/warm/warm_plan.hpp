#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/runtime.hpp"
#include "tools/io/console.hpp"
#include "tools/model/model_config.hpp"
#include "tools/model/model_selection.hpp"

namespace kerncast::tools {

/// A part of a plan, for one of several machines. 1/4 is the first of four.
struct WarmShard {
  std::size_t index = 1;
  std::size_t count = 1;
};

/// The workload that the warm command prepares for.
struct WarmRequest {
  std::string op;                     ///< one op at `settings`
  std::vector<std::string> settings;  ///< NAME=VALUE
  std::vector<std::string> models;    ///< names or paths of config.json files
  std::vector<std::string> records;   ///< files of KERNCAST_RECORD
  std::vector<std::string> archs;
  std::vector<int> sm_counts;  ///< multiprocessors; empty: those of every known device of the architecture
  ModelSelection selection;
  std::vector<std::string> tokens;  ///< "17" or "1:8192"; empty with no `rows`: any number
  std::vector<std::int64_t> rows;   ///< rows of the op itself
  WarmShard shard;
};

/// A kernel that serving will launch.
struct PlannedKernel {
  const OpDefinition* op = nullptr;
  Specialisation spec;
  std::string arch;
  std::int64_t rows = 1;  ///< a row count that this kernel serves
  Tunables tunables;
  std::string spec_text;
  std::string tunables_text;
  std::string key;
  std::vector<int> buckets;            ///< row buckets it serves, ascending
  std::vector<std::string> why;        ///< the places that need it, each once
  std::optional<KernelReport> cached;  ///< the cached kernel; empty if the cache lacks it
};

/// A part that was asked for and that a plan does not hold.
struct LeftOut {
  std::string op;
  std::string where;  ///< the place that needs it, or the file of the record
  std::string why;
  /// True if this command could compile it for another version of Kerncast or another request. False for an
  /// op that does not fit the model's widths or that only its host defines.
  bool failed = false;
};

/// The kernels that `request` needs, in order of op, specialisation and architecture. Shapes that share op,
/// specialisation, architecture and tunables share one kernel. What cannot be planned is left out, with a
/// warning on `console`, and added to `left_out` if given; `models` receives what was read of the request's
/// models. Throws UsageError, also for an architecture that the compiler does not know, for a pattern of ops
/// that selects nothing, and for a request that needs no kernel.
[[nodiscard]] std::vector<PlannedKernel> plan_warm(Runtime& runtime, const WarmRequest& request,
                                                   Console& console, std::vector<LeftOut>* left_out = nullptr,
                                                   std::vector<ModelReading>* models = nullptr);

/// Parses a shard such as "1/4". Throws UsageError.
[[nodiscard]] WarmShard parse_shard(const std::string& text);

/// The row counts of `buckets` as text, such as "1", "2..64" or "any".
[[nodiscard]] std::string rows_text(const std::vector<int>& buckets);

}  // namespace kerncast::tools
