#include "tools/tune/tune_plan.hpp"

#include <fmt/format.h>

#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "cache/key.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/model_config.hpp"
#include "tools/model/model_report.hpp"
#include "tools/model/quant_scheme.hpp"
#include "tools/model/settings.hpp"
#include "tools/warm/request_record.hpp"

namespace kerncast::tools {
namespace {

/// Collects points, each once.
class PointPlanner {
 public:
  PointPlanner(const TuneRequest& request, const std::string& arch, const DeviceTraits& traits,
               Console& console)
      : request_(request), arch_(arch), traits_(traits), console_(console) {}

  void add_op() {
    const OpDefinition& op = require_op(request_.op);
    const Settings settings = parse_settings(op, request_.settings);
    static_cast<void>(specialise_settings(op, settings));
    for (const std::int64_t rows : request_.rows) {
      try {
        add({&op, "", settings.params, settings.scalars}, rows);
      } catch (const Error& error) {
        throw UsageError(error.what());
      }
    }
  }

  void add_model(const std::string& name) {
    const ModelReading reading = load_model(name);
    announce_model(reading, console_);
    require_known(reading, request_.best_effort);
    const QuantSelection quant(request_.selection.quant, reading.schemes);
    for (const RankOfModel& rank : ranks_of(reading.config, request_.selection)) {
      for (const Workload& workload : rank.workloads) {
        if (!quant.includes(workload) || !request_.selection.includes(workload.op->name)) {
          continue;
        }
        for (const std::int64_t rows : request_.rows) {
          try_to_add(workload, rows, rank.where);
        }
      }
    }
  }

  void add_record(const std::string& path) {
    for (const KernelRequest& record : read_records(path, console_)) {
      const OpDefinition* op = OpRegistry::instance().find(record.op);
      if (op == nullptr || record.arch != arch_ || !request_.selection.includes(op->name)) {
        continue;
      }
      try {
        const Settings settings = parse_settings(*op, setting_texts(record));
        try_to_add({op, "recorded", settings.params, settings.scalars}, record.rows, path);
      } catch (const UsageError& error) {
        leave_out(*op, path, error.what());
      }
    }
  }

  std::vector<Point> finish() {
    std::vector<std::string> ops;
    ops.reserve(points_.size());
    for (const auto& [place, point] : points_) {
      ops.push_back(std::get<0>(place));
    }
    if (const std::string glob = unmatched_glob(request_.selection, ops); !glob.empty()) {
      throw UsageError(
          fmt::format("--ops {} selects nothing to tune: nothing that was asked for needs these "
                      "ops; leave the pattern out to see what does (--plan)",
                      glob));
    }
    if (points_.empty()) {
      throw UsageError(fmt::format("nothing is to be tuned: no op serves what was asked for on {}", arch_));
    }
    std::vector<Point> points;
    for (auto& [place, point] : points_) {
      if (shard_of(point) == request_.shard.index) {
        points.push_back(std::move(point));
      }
    }
    return points;
  }

 private:
  void try_to_add(const Workload& workload, std::int64_t rows, const std::string& where) {
    try {
      add(workload, rows);
    } catch (const Error& error) {
      leave_out(*workload.op, where, error.what());
    }
  }

  void add(const Workload& workload, std::int64_t rows) {
    Point point = point_of(workload, arch_, traits_, rows);
    if (!point.op().tunables.empty()) {
      points_.emplace(std::tuple(point.op().name, point.spec_text, point.rows_low), std::move(point));
    }
  }

  void leave_out(const OpDefinition& op, const std::string& where, const std::string& why) {
    if (told_.insert(op.name + where).second) {
      console_.warning(fmt::format("{} is not tuned at some shapes ({}): {}", op.name, where, why));
    }
  }

  /// The part that a point belongs to, counted from 1; the same on every machine.
  [[nodiscard]] std::size_t shard_of(const Point& point) const {
    cache::KeyFields fields;
    fields.add("op", point.op().name);
    fields.add("spec", point.spec_text);
    fields.add("arch", point.arch);
    fields.add("rows", fmt::format("{}", point.rows_low));
    return fields.key().low % request_.shard.count + 1;
  }

  const TuneRequest& request_;
  const std::string& arch_;
  const DeviceTraits& traits_;
  Console& console_;
  std::map<std::tuple<std::string, std::string, std::int64_t>, Point> points_;
  std::set<std::string> told_;
};

}  // namespace

std::vector<Point> plan_points(const TuneRequest& request, const std::string& arch,
                               const DeviceTraits& traits, Console& console) {
  PointPlanner planner(request, arch, traits, console);
  if (!request.op.empty()) {
    planner.add_op();
  }
  for (const std::string& model : request.models) {
    planner.add_model(model);
  }
  for (const std::string& record : request.records) {
    planner.add_record(record);
  }
  return planner.finish();
}

}  // namespace kerncast::tools
