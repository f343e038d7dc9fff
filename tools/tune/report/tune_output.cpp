#include "tools/tune/report/tune_output.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace kerncast::tools {
namespace {

/// A duration for people: "45 s", "12 min", "3.2 h".
std::string duration_text(double seconds) {
  if (seconds < 90) {
    return fmt::format("{:.0f} s", seconds);
  }
  return seconds < 5400 ? fmt::format("{:.0f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

/// One point under way: "norm.rms_norm 33 to 64 rows, 12/96, 4.10 us, default 4.60, bound 3.90".
std::string now_text(const TuneProgress& now) {
  std::string text = fmt::format("{} {} rows, {} {}/{}", now.point->op().name,
                                 row_range_text(now.point->rows_low, now.point->rows_high), now.phase,
                                 now.trials, now.expected > 0 ? now.expected : now.candidates);
  if (now.best_us > 0) {
    text += fmt::format(", best {:.2f} us, default {:.2f}", now.best_us, now.own_us);
  }
  if (now.bound_us > 0) {
    text += fmt::format(", bound {:.2f}", now.bound_us);
  }
  return text;
}

std::string progress_text(const RunProgress& progress) {
  std::string text = progress.seconds_left > 0 ? fmt::format("{} left", duration_text(progress.seconds_left))
                                               : std::string("starting");
  for (const TuneProgress& now : progress.now) {
    text += "; " + now_text(now);
  }
  if (!progress.in_flight.empty()) {
    text += fmt::format("; compiling {}", progress.in_flight.size());
  }
  return text;
}

Json to_json(const PairedDifference& gain) {
  return {{"gain", gain.gain}, {"low", gain.interval.low}, {"high", gain.interval.high}};
}

/// The geometric mean of the chosen times in multiples of the default's, over decided points.
double mean_ratio(const std::vector<TuneResult>& results) {
  double logs = 0;
  int count = 0;
  for (const TuneResult& result : results) {
    if (result.decided()) {
      logs += std::log(1 - result.gain.gain);
      ++count;
    }
  }
  return count > 0 ? std::exp(logs / count) : 1;
}

/// The place at which the budget of a run was spent, in words: the points that were under way, else the first
/// that was not begun. Empty if the budget was enough.
std::string out_of_time_text(const std::vector<TuneResult>& results) {
  std::vector<std::string> under_way;
  std::string first;
  for (const TuneResult& result : results) {
    if (result.out_of_time == "start") {
      first = first.empty() ? "before " + describe(result.point) : first;
    } else if (!result.out_of_time.empty()) {
      under_way.push_back(fmt::format("in the {} of {}, after {} of {}", result.out_of_time,
                                      describe(result.point), result.tried,
                                      counted(result.candidates, "candidate")));
    }
  }
  if (under_way.empty() && first.empty()) {
    return {};
  }
  return "the time of --budget ran out " +
         (under_way.empty() ? first : fmt::format("{}", fmt::join(under_way, "; ")));
}

}  // namespace

std::string gain_text(const PairedDifference& gain) {
  if (gain.pairs <= 1) {
    return fmt::format("{:+.1f} %", 100 * gain.gain);
  }
  return fmt::format("{:+.1f} % ({:.1f} to {:.1f})", 100 * gain.gain, 100 * gain.interval.low,
                     100 * gain.interval.high);
}

Json to_json(const TuneResult& result) {
  const Point& point = result.point;
  Json json = {{"event", "point"},
               {"op", point.op().name},
               {"spec", point.spec_text},
               {"arch", point.arch},
               {"rows", point.rows},
               {"rows_low", point.rows_low},
               {"rows_high", point.rows_high},
               {"source", cache::name_of(result.conditions.source)},
               {"device", result.conditions.device},
               {"ok", result.decided()}};
  if (!result.error.empty()) {
    json["error"] = result.error;
    return json;
  }
  json.update(Json{{"candidates", result.candidates},
                   {"pruned", result.pruned},
                   {"tried", result.tried},
                   {"timed", result.timed},
                   {"stored", result.stored},
                   {"wrong", result.wrong},
                   {"end", result.end},
                   {"out_of_time", result.out_of_time},
                   {"default", result.own.text},
                   {"default_us", result.own_time.median_us},
                   {"bound_us", result.bound_us}});
  if (result.decided()) {
    Json validations = Json::array();
    for (const Validation& one : result.validations) {
      validations.push_back({{"rows", one.rows},
                             {"tunables", one.tunables},
                             {"gain", to_json(one.gain)},
                             {"ok", one.defect.empty()},
                             {"why", one.defect}});
    }
    json.update(Json{{"chosen", result.chosen.text},
                     {"time_us", result.chosen_time.median_us},
                     {"low_us", result.chosen_time.interval_us.low},
                     {"high_us", result.chosen_time.interval_us.high},
                     {"gain", to_json(result.gain)},
                     {"default_stays", result.keeps_own()},
                     {"why", result.reason},
                     {"validations", std::move(validations)},
                     {"measuring_ms", result.measuring_ms}});
  }
  return json;
}

Json to_json(const PlannedSearch& search, const std::string& target) {
  const Point& point = search.point;
  return {{"op", point.op().name},        {"spec", point.spec_text},
          {"arch", point.arch},           {"device", target},
          {"rows", point.rows},           {"rows_low", point.rows_low},
          {"rows_high", point.rows_high}, {"default", search.own},
          {"bound_us", search.bound_us},  {"candidates", search.candidates},
          {"pruned", search.pruned},      {"stored", search.stored}};
}

void show_searches(CommandContext& context, Json points, const std::string& strategy,
                   const std::string& targets) {
  if (context.json) {
    print_json({{"device", targets}, {"strategy", strategy}, {"points", std::move(points)}});
    return;
  }
  std::size_t candidates = 0;
  std::size_t stored = 0;
  Table table({{"op"},
               {"specialisation"},
               {"arch"},
               {"rows"},
               {"default"},
               {"bound us", Align::right},
               {"candidates", Align::right},
               {"pruned", Align::right},
               {"tried before", Align::right}});
  for (const Json& point : points) {
    const auto text = [&](const char* name) { return point.at(name).get<std::string>(); };
    const auto count = [&](const char* name) { return point.at(name).get<std::size_t>(); };
    candidates += count("candidates");
    stored += count("stored");
    table.add_row(
        {text("op"), text("spec"), text("arch"),
         row_range_text(point.at("rows_low").get<std::int64_t>(), point.at("rows_high").get<std::int64_t>()),
         text("default"), fixed(point.at("bound_us").get<double>(), 2),
         fmt::format("{}", count("candidates")), fmt::format("{}", count("pruned")),
         fmt::format("{}", count("stored"))});
  }
  if (!table.empty()) {
    print(table);
  }
  print(fmt::format("{} on {}: {} by {}, {} tried before\n", counted(points.size(), "point"), targets,
                    counted(candidates, "candidate"), strategy, stored));
}

void announce_tuning(CommandContext& context, std::size_t points, const std::string& targets,
                     const std::string& strategy, const std::string& why) {
  if (!context.json) {
    print(fmt::format("tuning {} on {}{} by {}\n", counted(points, "point"), targets,
                      why.empty() ? "" : fmt::format(" ({})", why), strategy));
    static_cast<void>(flush_output());
  }
}

void TuneReporter::begin(std::size_t points, const std::string& target, const std::string& strategy,
                         const std::string& why) {
  target_ = target;
  announce_tuning(context_, points, target, strategy, why);
  if (context_.json) {
    print_json_line({{"event", "plan"}, {"points", points}, {"device", target}, {"strategy", strategy}});
  }
}

void TuneReporter::tick(const RunProgress& progress) {
  context_.console.progress(progress.done, progress.points, progress_text(progress));
  constexpr double interval = 10;
  if (progress.seconds < told_ + interval) {
    return;
  }
  told_ = progress.seconds;
  if (context_.json) {
    Json now = Json::array();
    for (const TuneProgress& one : progress.now) {
      now.push_back({{"op", one.point->op().name},
                     {"spec", one.point->spec_text},
                     {"rows", one.point->rows},
                     {"phase", one.phase},
                     {"trials", one.trials},
                     {"candidates", one.candidates},
                     {"best_us", one.best_us},
                     {"default_us", one.own_us},
                     {"bound_us", one.bound_us}});
    }
    print_json_line({{"event", "progress"},
                     {"device", target_},
                     {"done", progress.done},
                     {"points", progress.points},
                     {"failed", progress.failed},
                     {"seconds_left", progress.seconds_left},
                     {"now", std::move(now)},
                     {"in_flight", progress.in_flight}});
    static_cast<void>(flush_output());
  } else if (!context_.console.is_terminal()) {
    context_.console.note(
        fmt::format("{}/{} points: {}", progress.done, progress.points, progress_text(progress)));
  }
}

void TuneReporter::finished(const TuneResult& result, const std::string& unrecorded) {
  if (!result.error.empty() && !result.stopped) {
    context_.console.error(fmt::format("{}: {}", describe(result.point), result.error));
  }
  if (result.wrong > 0) {
    context_.console.warning(fmt::format("{}: {} whose results differ from the default's {} never chosen",
                                         describe(result.point), counted(result.wrong, "candidate"),
                                         result.wrong == 1 ? "is" : "are"));
  }
  if (!unrecorded.empty()) {
    ++unrecorded_;
    context_.console.error(
        fmt::format("{}: the record is not stored: {}", describe(result.point), unrecorded));
  }
  if (context_.json && !result.stopped && result.out_of_time != "start") {
    Json event = to_json(result);
    event["recorded"] = result.decided() && unrecorded.empty();
    print_json_line(event);
  }
}

int TuneReporter::end(const PointsOutcome& outcome, bool stopped, double seconds) {
  context_.console.end_progress();
  Table table({{"op"},
               {"specialisation"},
               {"rows"},
               {"default"},
               {"us", Align::right},
               {"chosen"},
               {"us", Align::right},
               {"bound us", Align::right},
               {"gain", Align::right},
               {"tried", Align::right}});
  std::size_t decided = 0;
  std::size_t kept = 0;
  std::size_t failed = 0;
  std::size_t tried = 0;
  std::size_t stored = 0;
  for (const TuneResult& result : outcome.results) {
    failed += !result.error.empty() && !result.stopped ? 1 : 0;
    tried += result.tried;
    stored += result.stored;
    if (!result.decided()) {
      continue;
    }
    ++decided;
    kept += result.keeps_own() ? 1 : 0;
    table.add_row({result.point.op().name, result.point.spec_text,
                   row_range_text(result.point.rows_low, result.point.rows_high), result.own.text,
                   fixed(result.own_time.median_us, 2), result.keeps_own() ? "default" : result.chosen.text,
                   fixed(result.chosen_time.median_us, 2), fixed(result.bound_us, 2),
                   result.keeps_own() ? "" : gain_text(result.gain), fmt::format("{}", result.tried)});
  }
  const std::size_t left = outcome.left + outcome.results.size() - decided - failed;
  const double mean = mean_ratio(outcome.results);
  const std::string ran_out = out_of_time_text(outcome.results);
  if (context_.json) {
    print_json_line({{"event", "end"},
                     {"device", target_},
                     {"points", outcome.results.size() + outcome.left},
                     {"decided", decided},
                     {"default_stays", kept},
                     {"failed", failed},
                     {"left", left},
                     {"tried", tried},
                     {"stored", stored},
                     {"mean_gain", 1 - mean},
                     {"out_of_time", ran_out},
                     {"errors", outcome.errors},
                     {"seconds", seconds}});
  } else {
    if (!table.empty()) {
      print(table);
    }
    print(fmt::format(
        "{} tuned: the default stays at {}; the mean gain is {:.1f} %; {}, {} of them before; {}\n",
        counted(decided, "point"), kept, 100 * (1 - mean), counted(tried, "trial"), stored,
        duration_text(seconds)));
  }
  for (const std::string& error : outcome.errors) {
    context_.console.error(error);
  }
  if (!ran_out.empty()) {
    context_.console.note(ran_out);
  }
  if (left > 0) {
    context_.console.note(fmt::format("{} {} left; every trial is kept, and the same command goes on",
                                      counted(left, "point"), left == 1 ? "is" : "are"));
  }
  if (stopped && left > 0) {
    return exit_interrupted;
  }
  return failed == 0 && left == 0 && outcome.errors.empty() && unrecorded_ == 0 ? exit_fine : exit_failed;
}

}  // namespace kerncast::tools
