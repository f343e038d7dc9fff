#include "runtime/dispatch/tunables/tunables_chooser.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <utility>
#include <vector>

#include "runtime/dispatch/tunables/launch_defect.hpp"
#include "runtime/util/row_range_text.hpp"

namespace kerncast {
namespace {

constexpr std::int64_t no_end = std::numeric_limits<std::int64_t>::max();

std::string counted_rows(std::int64_t low, std::int64_t high) {
  return fmt::format("{} row{}", row_range_text(low, high), high == 1 ? "" : "s");
}

/// Describes a record: "measured on NVIDIA H100: 3.20 us for 33 to 64 rows, 2026-11-28, in
/// /home/u/.cache/kerncast".
std::string record_text(const cache::TunedMatch& match) {
  const cache::TunedRecord& record = *match.record;
  const bool measured = record.source == cache::TunedSource::measured;
  return fmt::format("{} {}: {:.2f} us for {}, {:%Y-%m-%d}, in {}",
                     measured ? "measured on" : "estimated for", record.device, record.time_us,
                     counted_rows(record.rows_low, record.rows_high),
                     fmt::gmtime(static_cast<std::time_t>(record.recorded_us / 1'000'000)), match.layer);
}

/// Says that the record is used outside of its rows, if it is.
std::string bucket_text(const cache::TunedMatch& match, const RowRange& rows) {
  return match.covers ? std::string()
                      : fmt::format("; no record covers {}, this is the nearest",
                                    counted_rows(rows.lowest, rows.highest));
}

/// The reason why the op cannot be launched with `tunables` in every part of `rows`; empty if it can. Asking
/// for both ends, and not for the rows of the launch at hand, gives a bucket one answer whichever launch is
/// its first.
std::string defect_of(const TunablesRequest& request, const Tunables& tunables, const RowRange& rows) {
  const auto defect_at = [&](std::int64_t count) {
    return launch_defect(*request.op, request.spec, tunables, request.traits, request.arch, count);
  };
  std::string defect = defect_at(rows.lowest);
  return defect.empty() && rows.highest != no_end ? defect_at(rows.highest) : defect;
}

/// The tunables of `record`. If the op does not accept them for `rows`, `defect` says why.
Tunables tunables_of(const TunablesRequest& request, const cache::TunedRecord& record, const RowRange& rows,
                     std::string& defect) {
  std::vector<std::pair<std::string, std::string>> settings;
  settings.reserve(record.tunables.size());
  for (const auto& [name, value] : record.tunables) {
    settings.emplace_back(name, fmt::format("{}", value));
  }
  try {
    const Tunables tunables = parse_tunables(*request.op, settings);
    defect = defect_of(request, tunables, rows);
    return tunables;
  } catch (const Error& error) {
    defect = error.what();
    return {};
  }
}

std::string named(const TunablesRequest& request) {
  return fmt::format("{} [{}] for {}", request.op->name, format_specialisation(*request.op, request.spec),
                     request.arch);
}

}  // namespace

TunablesChooser::TunablesChooser(cache::Cache& cache, KernelBuilder& builder, cache::WarningSink warn)
    : cache_(cache), builder_(builder), warnings_(std::move(warn)) {}

TunablesChoice TunablesChooser::defaults(const TunablesRequest& request) const {
  return {
      request.op->default_tunables(request.spec, request.traits, request.rows), TunablesOrigin::defaults, {}};
}

TunablesChoice TunablesChooser::choose(const TunablesRequest& request, const std::optional<Tunables>& given) {
  if (given) {
    check_tunables(*request.op, *given);
    const RowRange rows{request.rows, request.rows};
    if (const std::string defect = defect_of(request, *given, rows); !defect.empty()) {
      throw Error(ErrorCode::invalid_argument, fmt::format("{} with tunables {}: {}", named(request),
                                                           format_tunables(*request.op, *given), defect));
    }
    return {*given, TunablesOrigin::given, {}};
  }
  const std::optional<TunablesChoice> tuned = choose_tuned(request, request.device);
  return tuned ? *tuned : defaults(request);
}

std::vector<Tunables> TunablesChooser::choices(const TunablesRequest& request) {
  std::vector<Tunables> all;
  const auto add = [&all](const Tunables& tunables) {
    if (std::find(all.begin(), all.end(), tunables) == all.end()) {
      all.push_back(tunables);
    }
  };
  std::vector<std::string> devices = cache_.tuned().devices(
      request.op->name, format_specialisation(*request.op, request.spec), request.arch);
  devices.insert(devices.begin(), request.device);
  for (const std::string& device : devices) {
    if (const std::optional<TunablesChoice> tuned = choose_tuned(request, device)) {
      add(tuned->tunables);
    }
  }
  add(defaults(request).tunables);
  return all;
}

std::optional<TunablesChoice> TunablesChooser::choose_tuned(const TunablesRequest& request,
                                                            const std::string& device) {
  const cache::TunedTable& tuned = cache_.tuned();
  if (tuned.empty()) {
    return std::nullopt;
  }
  const RowRange rows = row_range(row_bucket(request.rows));
  const std::vector<cache::TunedMatch> matches =
      tuned.find({request.op->name, format_specialisation(*request.op, request.spec), request.arch,
                  rows.lowest, rows.highest, device});
  const std::string templates =
      matches.empty() ? std::string() : builder_.templates_digest(*request.op, request.spec);
  for (const cache::TunedMatch& match : matches) {
    const std::string text = record_text(match);
    if (match.record->templates != templates) {
      ignore(request, text, "its templates or launches have changed since; tune it again");
      continue;
    }
    std::string defect;
    const Tunables tunables = tunables_of(request, *match.record, rows, defect);
    if (defect.empty()) {
      return TunablesChoice{tunables, TunablesOrigin::tuned, text + bucket_text(match, rows)};
    }
    // Tunables of a few rows need not suit many, so for other rows than its own a record is not at fault.
    if (match.covers) {
      ignore(request, text, defect);
    }
  }
  return std::nullopt;
}

void TunablesChooser::passed_over(const TunablesRequest& request, const TunablesChoice& choice,
                                  std::string_view why) {
  ignore(request, choice.record, why);
}

void TunablesChooser::ignore(const TunablesRequest& request, const std::string& record,
                             std::string_view why) {
  const std::string what = named(request);
  warnings_.once(fmt::format("{} {}", what, record),
                 fmt::format("a tuned record of {} is ignored ({}): {}", what, record, why));
}

}  // namespace kerncast
