#include "tools/commands/tune/tune_options.hpp"

#include <fmt/format.h>

#include "tools/commands/selection_options.hpp"
#include "tools/io/time_text.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/tune/search/parameters.hpp"

namespace kerncast::tools {
namespace {

const std::vector<std::int64_t> default_rows = {1, 8, 64, 512, 4096};

}  // namespace

void check_request(TuneOptions& options) {
  TuneRequest& request = options.request;
  const int ways =
      (request.op.empty() ? 0 : 1) + (request.models.empty() ? 0 : 1) + (request.records.empty() ? 0 : 1);
  if (ways == 0 || (!request.op.empty() && ways > 1)) {
    throw UsageError(
        "give either --model NAME, --from-record FILE or an op with --set; see kerncast tune --help");
  }
  if (request.op.empty() && !request.settings.empty()) {
    throw UsageError("--set is valid with an op only");
  }
  check_selection(request.selection);
  if (!options.shard.empty()) {
    if (options.shard == "auto") {
      throw UsageError("--shard auto: tuning has no queue; give --shard I/N");
    }
    request.shard = parse_shard(options.shard);
  }
  if (request.rows.empty()) {
    request.rows = default_rows;
  }
  request.rows = check_rows(request.rows);
  if (request.rows.front() < 1) {
    throw UsageError("--rows 0: there is nothing to tune in a call of no rows");
  }
}

double budget_seconds(const std::string& text) {
  if (text.empty()) {
    return 0;
  }
  const std::int64_t seconds = parse_age("--budget", text, "length of time", "10m or 2h");
  if (seconds < 1) {
    throw UsageError(fmt::format("--budget {} leaves no time; give one such as 10m", text));
  }
  return static_cast<double>(seconds);
}

DecisionPolicy decision_policy(const std::string& least_gain) {
  DecisionPolicy policy;
  if (!least_gain.empty()) {
    policy.least_gain = parse_parameter("--least-gain", {"least-gain", 3, 0, 100, ""}, least_gain) / 100;
  }
  return policy;
}

}  // namespace kerncast::tools
