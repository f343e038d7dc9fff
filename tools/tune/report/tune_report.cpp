#include "tools/tune/report/tune_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>
#include <tuple>

#include "runtime/devices/device_description.hpp"
#include "runtime/util/split.hpp"
#include "tools/model/settings.hpp"
#include "tools/tune/evaluate/estimate_evaluator.hpp"
#include "tools/tune/report/tune_output.hpp"

namespace kerncast::tools {
namespace {

constexpr double near_best = 1.02;
constexpr double few_trials = 0.3;
constexpr std::size_t always_few = 16;
/// Rounds that each half of a split must have.
constexpr std::size_t least_half = 6;

/// A point that was searched, with the space that it has today.
struct Searched {
  ReportedPoint reported;
  Point point;
  Space space;
  std::map<std::string, std::uint32_t> ids;
};

/// The run-time scalars of a search; search_fields() writes them.
std::vector<std::pair<std::string, double>> scalars_of(const StoredSearch& search) {
  constexpr std::string_view prefix = "scalar ";
  std::vector<std::pair<std::string, double>> scalars;
  for (const auto& [name, value] : search.fields) {
    if (name.starts_with(prefix)) {
      scalars.emplace_back(name.substr(prefix.size()), std::strtod(value.c_str(), nullptr));
    }
  }
  return scalars;
}

/// The policy by which the winner of a search is decided again.
DecisionPolicy policy_of(const ReportedPoint& point, DecisionPolicy policy) {
  if (point.source == cache::name_of(cache::TunedSource::estimate)) {
    policy.least_pairs = 1;
  }
  return policy;
}

/// The point and the space of a search. Empty if the op, its parameters or the device are not known here.
std::optional<Searched> searched_of(const StoredSearch& search) {
  const OpDefinition* op = OpRegistry::instance().find(field_of(search.fields, "op"));
  const std::string rows = field_of(search.fields, "rows");
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(rows.data(), rows.data() + rows.size(), count);
  if (op == nullptr || error != std::errc() || end != rows.data() + rows.size()) {
    return std::nullopt;
  }
  const std::string arch = field_of(search.fields, "arch");
  const std::string device = field_of(search.fields, "device");
  const devices::DeviceDescription* description = devices::find_device_description(device);
  description = description != nullptr ? description : devices::device_description_of(arch, device);
  std::optional<DeviceTraits> traits = parse_traits(field_of(search.fields, "traits"));
  if (!traits && description != nullptr) {
    traits = traits_of(*description);
  }
  try {
    const Settings settings = parse_settings(*op, non_empty_parts(field_of(search.fields, "spec"), ' '));
    Workload workload{op, "", settings.params, scalars_of(search)};
    Searched made;
    made.point = point_of(workload, arch, traits.value_or(DeviceTraits{}), count);
    made.space = space_of(made.point);
    made.reported.bound_us = description != nullptr ? memory_bound_us(made.point, count, *description) : 0;
    return made;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void complete(Searched& made, const StoredSearch& search, const std::string& templates,
              const DecisionPolicy& policy) {
  ReportedPoint& point = made.reported;
  point.op = field_of(search.fields, "op");
  point.spec = field_of(search.fields, "spec");
  point.arch = field_of(search.fields, "arch");
  point.rows = made.point.rows;
  point.rows_low = made.point.rows_low;
  point.rows_high = made.point.rows_high;
  point.source = field_of(search.fields, "source");
  point.device = field_of(search.fields, "device");
  point.scalars = made.point.workload.scalars;
  point.policy = field_of(search.fields, "policy");
  point.own = field_of(search.fields, "default");
  point.trials = search.trials;
  point.candidates = made.space.valid.size();
  point.is_current = field_of(search.fields, "templates") == templates && point.own == made.space.own().text;
  for (const Candidate& candidate : made.space.valid) {
    made.ids[candidate.text] = candidate.id;
  }
  const Replayed replayed =
      replay_decision(search.trials, point.own, made.ids, Rounds::all, policy_of(point, policy));
  point.own_us = replayed.own == nullptr ? 0 : summarise(replayed.own->samples_us).median_us;
  point.chosen = replayed.chosen == nullptr ? point.own : replayed.chosen->tunables;
  point.gain = replayed.gain;
  point.chosen_us =
      replayed.chosen == nullptr ? point.own_us : summarise(replayed.chosen->samples_us).median_us;
}

/// Compares the best single choice for all buckets with a choice for each: the geometric mean of the ratios
/// of their times; 0 if no candidate was timed in each.
double regret_of(const std::vector<const Searched*>& buckets) {
  std::map<std::string, std::vector<double>> times;
  std::vector<double> best(buckets.size(), 0);
  for (std::size_t b = 0; b < buckets.size(); ++b) {
    for (const Trial& trial : buckets[b]->reported.trials) {
      if (trial.is_final || !trial.timed()) {
        continue;
      }
      const double time = trial.relative_time();
      best[b] = best[b] == 0 ? time : std::min(best[b], time);
      std::vector<double>& of_candidate = times[trial.tunables];
      if (of_candidate.size() == b) {
        of_candidate.push_back(time);
      }
    }
  }
  double least = 0;
  for (const auto& [tunables, of_candidate] : times) {
    if (of_candidate.size() < buckets.size()) {
      continue;
    }
    double logs = 0;
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      logs += std::log(of_candidate[b] / best[b]);
    }
    const double mean = std::exp(logs / static_cast<double>(buckets.size()));
    least = least == 0 ? mean : std::min(least, mean);
  }
  return least;
}

void add_bucket_regret(const std::vector<Searched>& all, TuneReport& report) {
  std::map<std::tuple<std::string, std::string, std::string, std::string, std::string>,
           std::vector<const Searched*>>
      groups;
  for (const Searched& one : all) {
    const ReportedPoint& point = one.reported;
    if (!point.is_current) {
      continue;
    }
    groups[{point.op, point.spec, point.arch, point.device, point.policy}].push_back(&one);
  }
  double logs = 0;
  for (const auto& [name, buckets] : groups) {
    if (const double regret = buckets.size() > 1 ? regret_of(buckets) : 0; regret > 0) {
      logs += std::log(regret);
      ++report.several_buckets;
    }
  }
  report.bucket_regret =
      report.several_buckets == 0 ? 0 : std::exp(logs / static_cast<double>(report.several_buckets)) - 1;
}

void count_flips(const std::vector<Searched>& all, const DecisionPolicy& policy, TuneReport& report) {
  for (const Searched& one : all) {
    const std::vector<Trial>& trials = one.reported.trials;
    const bool enough = std::any_of(trials.begin(), trials.end(), [](const Trial& trial) {
      return trial.samples_us.size() >= 2 * least_half && !trial.default_us.empty();
    });
    if (!enough) {
      continue;
    }
    ++report.split;
    const Replayed even =
        replay_decision(trials, one.reported.own, one.ids, Rounds::even, policy_of(one.reported, policy));
    const Replayed odd =
        replay_decision(trials, one.reported.own, one.ids, Rounds::odd, policy_of(one.reported, policy));
    report.flips += even.chosen != odd.chosen ? 1 : 0;
  }
}

/// True if every candidate of the space has a trial.
bool is_whole(const Searched& one) {
  return std::all_of(one.space.valid.begin(), one.space.valid.end(), [&](const Candidate& candidate) {
    return std::any_of(one.reported.trials.begin(), one.reported.trials.end(), [&](const Trial& trial) {
      return !trial.is_final && trial.tunables == candidate.text;
    });
  });
}

void replay_strategies(const std::vector<Searched>& all, TuneReport& report) {
  for (const StrategyInfo& info : strategies()) {
    const StrategyChoice choice{&info, Parameters(info.parameters)};
    ReportedStrategy& made = report.strategies.emplace_back();
    made.name = info.name;
    for (const Searched& one : all) {
      // The model of a device that was measured is not stored.
      const bool has_model = one.reported.source == cache::name_of(cache::TunedSource::estimate);
      if (!is_whole(one) || (info.needs_model && !has_model)) {
        continue;
      }
      const ReplayedSearch replayed = replay_search(choice, 1, one.point, one.space, one.reported.trials);
      const double part = static_cast<double>(replayed.trials) / static_cast<double>(replayed.candidates);
      ++made.points;
      made.trials += part;
      made.worst = std::max(made.worst, replayed.regret);
      made.within +=
          replayed.regret <= near_best && (part <= few_trials || replayed.trials <= always_few) ? 1 : 0;
    }
    made.trials /= static_cast<double>(std::max<std::size_t>(made.points, 1));
  }
}

}  // namespace

TuneReport make_tune_report(const std::vector<StoredSearch>& searches, bool replay,
                            const DecisionPolicy& policy,
                            const std::function<std::string(const Point&)>& templates) {
  std::vector<Searched> all;
  for (const StoredSearch& search : searches) {
    // A row count at which winners were only validated is no point of its own.
    const bool was_searched = std::any_of(search.trials.begin(), search.trials.end(),
                                          [](const Trial& trial) { return !trial.is_final; });
    if (std::optional<Searched> made = was_searched ? searched_of(search) : std::nullopt) {
      complete(*made, search, templates(made->point), policy);
      all.push_back(std::move(*made));
    }
  }
  std::sort(all.begin(), all.end(), [](const Searched& a, const Searched& b) {
    const auto place = [](const ReportedPoint& point) {
      return std::tie(point.op, point.spec, point.arch, point.device, point.policy, point.rows);
    };
    return place(a.reported) < place(b.reported);
  });
  TuneReport report;
  double logs = 0;
  std::size_t current = 0;
  for (const Searched& one : all) {
    if (!one.reported.is_current) {
      continue;
    }
    ++current;
    logs += std::log(1 - one.reported.gain.gain);
    report.default_won += one.reported.chosen == one.reported.own ? 1 : 0;
  }
  report.mean_gain = current == 0 ? 0 : 1 - std::exp(logs / static_cast<double>(current));
  add_bucket_regret(all, report);
  if (replay) {
    count_flips(all, policy, report);
    replay_strategies(all, report);
  }
  for (Searched& one : all) {
    report.points.push_back(std::move(one.reported));
  }
  return report;
}

Json report_json(const TuneReport& report) {
  Json points = Json::array();
  for (const ReportedPoint& point : report.points) {
    Json scalars = Json::object();
    for (const auto& [name, value] : point.scalars) {
      scalars[name] = value;
    }
    points.push_back({{"op", point.op},
                      {"spec", point.spec},
                      {"arch", point.arch},
                      {"rows", point.rows},
                      {"rows_low", point.rows_low},
                      {"rows_high", point.rows_high},
                      {"source", point.source},
                      {"device", point.device},
                      {"scalars", std::move(scalars)},
                      {"policy", point.policy},
                      {"default", point.own},
                      {"default_us", point.own_us},
                      {"chosen", point.chosen},
                      {"chosen_us", point.chosen_us},
                      {"bound_us", point.bound_us},
                      {"gain", point.gain.gain},
                      {"gain_low", point.gain.interval.low},
                      {"gain_high", point.gain.interval.high},
                      {"candidates", point.candidates},
                      {"trials", point.trials.size()},
                      {"current", point.is_current}});
  }
  Json replayed = Json::array();
  for (const ReportedStrategy& strategy : report.strategies) {
    replayed.push_back({{"strategy", strategy.name},
                        {"points", strategy.points},
                        {"tried", strategy.trials},
                        {"worst_regret", strategy.worst},
                        {"within", strategy.within}});
  }
  return {{"points", std::move(points)},
          {"mean_gain", report.mean_gain},
          {"default_won", report.default_won},
          {"bucket_regret", report.bucket_regret},
          {"several_buckets", report.several_buckets},
          {"flips", report.flips},
          {"split", report.split},
          {"strategies", std::move(replayed)}};
}

void print_report(const TuneReport& report, bool replay) {
  if (report.points.empty()) {
    print("no trials: kerncast tune makes them\n");
    return;
  }
  Table table({{"op"},
               {"specialisation"},
               {"arch"},
               {"rows"},
               {"default"},
               {"us", Align::right},
               {"winner"},
               {"us", Align::right},
               {"bound us", Align::right},
               {"gain", Align::right},
               {"trials", Align::right},
               {"from"}});
  for (const ReportedPoint& point : report.points) {
    const bool won = point.chosen == point.own;
    table.add_row({point.op, point.spec, point.arch, row_range_text(point.rows_low, point.rows_high),
                   point.own, fixed(point.own_us, 2), won ? "default" : point.chosen,
                   fixed(point.chosen_us, 2), fixed(point.bound_us, 2), won ? "" : gain_text(point.gain),
                   fmt::format("{}", point.trials.size()),
                   fmt::format("{} {}{}", point.source, point.device, point.is_current ? "" : ", stale")});
  }
  print(table);
  print(fmt::format("{}: the default won at {}; the mean gain is {:.1f} %\n",
                    counted(report.points.size(), "point"), report.default_won, 100 * report.mean_gain));
  if (report.several_buckets > 0) {
    print(fmt::format("one choice for all buckets of an op would cost {:.1f} % more, over {}\n",
                      100 * report.bucket_regret, counted(report.several_buckets, "op")));
  }
  if (!replay) {
    return;
  }
  print(report.split == 0 ? std::string("no point has enough rounds to compare two halves of them\n")
                          : fmt::format("even and odd rounds decide differently at {} of {}\n", report.flips,
                                        counted(report.split, "point")));
  Table strategy_table({{"strategy"},
                        {"points", Align::right},
                        {"tried", Align::right},
                        {"worst regret", Align::right},
                        {"within 2 % by 30 %", Align::right}});
  for (const ReportedStrategy& strategy : report.strategies) {
    strategy_table.add_row(
        {strategy.name, fmt::format("{}", strategy.points), fmt::format("{:.0f} %", 100 * strategy.trials),
         fmt::format("{:.1f} %", 100 * (strategy.worst - 1)), fmt::format("{}", strategy.within)});
  }
  print(strategy_table);
}

}  // namespace kerncast::tools
