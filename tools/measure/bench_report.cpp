#include "tools/measure/bench_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace kerncast::tools {
namespace {

/// Microseconds with three digits that count, or more.
std::string microseconds(double us) {
  return fixed(us, us < 10 ? 3 : us < 100 ? 2 : 1);
}

std::string signed_percent(double part) {
  return fmt::format("{:+.1f} %", 100 * part);
}

std::string_view name_of(RoundsEnd end) {
  switch (end) {
    case RoundsEnd::narrow:
      return "width";
    case RoundsEnd::rounds:
      return "rounds";
    case RoundsEnd::time:
      return "time";
    case RoundsEnd::interrupted:
      return "interrupted";
    case RoundsEnd::no_subject:
      break;
  }
  return "failed";
}

bool compares(const BenchRow& row, std::size_t contender) {
  return contender > 0 && row.result.times[0].measured.ok() && row.result.times[contender].measured.ok();
}

PairedDifference difference(const BenchRow& row, std::size_t contender) {
  return compare(row.result.times[0].measured.samples_us, row.result.times[contender].measured.samples_us);
}

std::string gain_text(const BenchRow& row, std::size_t contender) {
  if (!compares(row, contender)) {
    return "";
  }
  const PairedDifference gain = difference(row, contender);
  return fmt::format("{} ({} to {})", signed_percent(gain.gain), signed_percent(gain.interval.low),
                     signed_percent(gain.interval.high));
}

void add_rows(Table& table, const BenchSetting& setting, const BenchRow& row) {
  if (!row.error.empty()) {
    table.add_row({row.spec, fmt::format("{}", row.rows), "", "FAILED"});
    return;
  }
  for (std::size_t i = 0; i < row.result.times.size(); ++i) {
    const auto& [report, measured] = row.result.times[i];
    if (!measured.ok() || measured.summary.samples == 0) {
      table.add_row({row.spec, fmt::format("{}", row.rows), report.tunables, measured.ok() ? "-" : "FAILED"});
      continue;
    }
    const Summary& summary = measured.summary;
    const double rate = gb_per_s(row.result.bytes, summary.median_us);
    std::vector<std::string> cells(
        {row.spec, fmt::format("{}", row.rows), report.tunables, microseconds(summary.median_us),
         fmt::format("{} to {}", microseconds(summary.interval_us.low),
                     microseconds(summary.interval_us.high)),
         fmt::format("{}", summary.samples), fmt::format("{}", summary.outliers), fixed(rate, 0),
         setting.peak_gb_per_s > 0 ? fixed(100 * rate / setting.peak_gb_per_s, 0) : "-"});
    if (row.result.times.size() > 1) {
      cells.push_back(gain_text(row, i));
    }
    table.add_row(std::move(cells));
  }
}

Json finite_json(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json optional_json(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

template <class T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json condition_json(const DeviceCondition& condition) {
  return {{"sm_mhz", optional_json(condition.sm_mhz)},
          {"memory_mhz", optional_json(condition.memory_mhz)},
          {"celsius", optional_json(condition.celsius)},
          {"watts", optional_json(condition.watts)},
          {"throttled", slowing_reasons(condition.throttle_reasons)}};
}

Json times_json(const BenchSetting& setting, const BenchRow& row, std::size_t contender) {
  const auto& [report, measured] = row.result.times[contender];
  Json json = {{"tunables", report.tunables}, {"key", optional_json(report.key)}};
  if (!measured.ok()) {
    json["error"] = measured.defect;
    return json;
  }
  const Summary& summary = measured.summary;
  const double rate = gb_per_s(row.result.bytes, summary.median_us);
  json["median_us"] = finite_json(summary.median_us);
  json["low_us"] = finite_json(summary.interval_us.low);
  json["high_us"] = finite_json(summary.interval_us.high);
  json["samples"] = summary.samples;
  json["outliers"] = summary.outliers;
  json["gb_per_s"] = finite_json(rate);
  json["of_peak"] = setting.peak_gb_per_s > 0 ? finite_json(rate / setting.peak_gb_per_s) : Json();
  if (compares(row, contender)) {
    const PairedDifference gain = difference(row, contender);
    json["gain"] = {{"median", finite_json(gain.gain)},
                    {"low", finite_json(gain.interval.low)},
                    {"high", finite_json(gain.interval.high)},
                    {"pairs", gain.pairs}};
  }
  json["samples_us"] = measured.samples_us;
  return json;
}

Json row_json(const BenchSetting& setting, const BenchRow& row) {
  Json json = {
      {"op", setting.op}, {"spec", row.spec}, {"label", row.label}, {"rows", row.rows}, {"ok", row.ok()}};
  if (!row.error.empty()) {
    json["error"] = row.error;
    return json;
  }
  const BenchResult& result = row.result;
  json["bytes"] = result.bytes;
  json["launches"] = result.plan.launches;
  json["copies"] = result.plan.copies;
  json["cache_overwritten"] = result.plan.overwrite_cache;
  json["ended_by"] = name_of(result.end);
  json["before"] = condition_json(result.before);
  json["after"] = condition_json(result.after);
  json["disturbed"] = optional_json(result.disturbed);
  json["note"] = optional_json(result.note);
  json["times"] = Json::array();
  for (std::size_t i = 0; i < result.times.size(); ++i) {
    json["times"].push_back(times_json(setting, row, i));
  }
  return json;
}

/// True if the interval of a contender is not as narrow as it was to be.
bool is_wide(const BenchSetting& setting, const BenchRow& row) {
  return row.error.empty() &&
         std::any_of(row.result.times.begin(), row.result.times.end(), [&](const BenchTimes& times) {
           return times.measured.ok() && relative_width(times.measured.summary) >= setting.width;
         });
}

}  // namespace

bool BenchRow::ok() const {
  return error.empty() && std::all_of(result.times.begin(), result.times.end(),
                                      [](const BenchTimes& times) { return times.measured.ok(); });
}

double gb_per_s(double bytes, double us) {
  return bytes / us * 1e-3;
}

Table bench_table(const BenchSetting& setting, const std::vector<BenchRow>& rows) {
  const bool compared =
      std::any_of(rows.begin(), rows.end(), [](const BenchRow& row) { return row.result.times.size() > 1; });
  std::vector<Column> columns({{"specialisation"},
                               {"rows", Align::right},
                               {"tunables"},
                               {setting.estimate.empty() ? "median µs" : "estimate µs", Align::right},
                               {"95 % interval", Align::right},
                               {"samples", Align::right},
                               {"outliers", Align::right},
                               {"GB/s", Align::right},
                               {"% of peak", Align::right}});
  if (compared) {
    columns.push_back({"gain over the first", Align::right});
  }
  Table table(std::move(columns));
  for (const BenchRow& row : rows) {
    add_rows(table, setting, row);
  }
  return table;
}

std::string bench_notes(const BenchSetting& setting, const std::vector<BenchRow>& rows) {
  std::string text =
      fmt::format("{} on {} ({}), {}, {}seed {}\n", setting.op, setting.device, setting.arch, setting.policy,
                  setting.data.empty() ? "" : setting.data + " data, ", setting.seed);
  if (!setting.estimate.empty()) {
    text += setting.estimate + "\n";
  }
  for (const BenchRow& row : rows) {
    const std::string place =
        fmt::format("{} with {}", row.spec, counted(static_cast<std::uint64_t>(row.rows), "row"));
    if (!row.result.disturbed.empty()) {
      text += fmt::format("disturbed: {}: {}\n", place, row.result.disturbed);
    }
    if (!row.result.note.empty()) {
      text += fmt::format("{}: {}\n", place, row.result.note);
    }
    if (is_wide(setting, row)) {
      text += fmt::format("{}: the interval is wider than {:g} %{}\n", place, 100 * setting.width,
                          row.result.end == RoundsEnd::time ? "; give more --time" : " after all rounds");
    }
  }
  return text;
}

Json bench_json(const BenchSetting& setting, const std::vector<BenchRow>& rows) {
  Json json = {{"op", setting.op},
               {"device", setting.device},
               {"arch", setting.arch},
               {"estimate", !setting.estimate.empty()},
               {"policy", setting.policy},
               {"data", optional_json(setting.data)},
               {"seed", setting.seed},
               {"width", setting.width},
               {"peak_gb_per_s", setting.peak_gb_per_s > 0 ? Json(setting.peak_gb_per_s) : Json()}};
  json["results"] = Json::array();
  for (const BenchRow& row : rows) {
    json["results"].push_back(row_json(setting, row));
  }
  return json;
}

}  // namespace kerncast::tools
