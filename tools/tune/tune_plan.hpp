#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kerncast/runtime.hpp"
#include "tools/io/console.hpp"
#include "tools/model/model_selection.hpp"
#include "tools/tune/space/point.hpp"
#include "tools/warm/warm_plan.hpp"

namespace kerncast::tools {

/// The ops, shapes and row counts that are to be tuned.
struct TuneRequest {
  std::string op;                     ///< one op at `settings`
  std::vector<std::string> settings;  ///< NAME=VALUE
  std::vector<std::string> models;    ///< names or paths of config.json files
  bool best_effort = false;           ///< also models of unknown type
  ModelSelection selection;          ///< the ranks, schemes and ops of the models; the ops of the records too
  std::vector<std::string> records;  ///< files of KERNCAST_RECORD
  std::vector<std::int64_t> rows;    ///< row counts of the ops; each stands for its bucket
  WarmShard shard;
};

/// The points that `request` asks for on devices of `arch` and `traits`, each once, in order of op,
/// specialisation and rows. With records, the row counts are those that were recorded. Shapes that an op does
/// not take are left out with a warning. Throws UsageError if nothing is left, and for a pattern of ops that
/// selects nothing.
[[nodiscard]] std::vector<Point> plan_points(const TuneRequest& request, const std::string& arch,
                                             const DeviceTraits& traits, Console& console);

}  // namespace kerncast::tools
