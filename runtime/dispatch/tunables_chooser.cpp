#include "runtime/dispatch/tunables_chooser.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <utility>
#include <vector>

#include "runtime/dispatch/launch_defect.hpp"

namespace kerncast {
namespace {

std::string rows_text(const cache::TunedRecord& record) {
  if (record.rows_low == record.rows_high) {
    return record.rows_low == 1 ? "1 row" : fmt::format("{} rows", record.rows_low);
  }
  return record.rows_high == std::numeric_limits<std::int64_t>::max()
             ? fmt::format("{} rows and more", record.rows_low)
             : fmt::format("{} to {} rows", record.rows_low, record.rows_high);
}

/// Describes a record: "measured on NVIDIA H100: 3.20 us for 33 to 64 rows, 2026-11-28, in
/// /home/u/.cache/kerncast".
std::string record_text(const cache::TunedMatch& match) {
  const cache::TunedRecord& record = *match.record;
  const bool measured = record.source == cache::TunedSource::measured;
  return fmt::format("{} {}: {:.2f} us for {}, {:%Y-%m-%d}, in {}",
                     measured ? "measured on" : "estimated for", record.device, record.time_us,
                     rows_text(record), fmt::gmtime(static_cast<std::time_t>(record.recorded_us / 1'000'000)),
                     match.layer);
}

/// The reason why the op cannot be launched with `tunables`; empty if it can.
std::string defect_of(const TunablesRequest& request, const Tunables& tunables) {
  return launch_defect(*request.op, request.spec, tunables, request.traits, request.arch, request.rows);
}

/// The tunables of `record`. If the op does not accept them, `defect` says why.
Tunables tunables_of(const TunablesRequest& request, const cache::TunedRecord& record, std::string& defect) {
  std::vector<std::pair<std::string, std::string>> settings;
  settings.reserve(record.tunables.size());
  for (const auto& [name, value] : record.tunables) {
    settings.emplace_back(name, fmt::format("{}", value));
  }
  try {
    const Tunables tunables = parse_tunables(*request.op, settings);
    defect = defect_of(request, tunables);
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
    if (const std::string defect = defect_of(request, *given); !defect.empty()) {
      throw Error(ErrorCode::invalid_argument, fmt::format("{} with tunables {}: {}", named(request),
                                                           format_tunables(*request.op, *given), defect));
    }
    return {*given, TunablesOrigin::given, {}};
  }
  const cache::TunedTable& tuned = cache_.tuned();
  if (tuned.empty()) {
    return defaults(request);
  }
  const RowRange rows = row_range(row_bucket(request.rows));
  for (const cache::TunedMatch& match :
       tuned.find({request.op->name, format_specialisation(*request.op, request.spec), request.arch,
                   rows.lowest, rows.highest, request.device})) {
    TunablesChoice choice{{}, TunablesOrigin::tuned, record_text(match)};
    if (match.record->templates != builder_.templates_digest(*request.op)) {
      passed_over(request, choice, "the templates have changed since; tune it again");
      continue;
    }
    std::string defect;
    choice.tunables = tunables_of(request, *match.record, defect);
    if (!defect.empty()) {
      passed_over(request, choice, defect);
      continue;
    }
    return choice;
  }
  return defaults(request);
}

void TunablesChooser::passed_over(const TunablesRequest& request, const TunablesChoice& choice,
                                  std::string_view why) {
  const std::string what = named(request);
  warnings_.once(fmt::format("{} {}", what, choice.record),
                 fmt::format("a tuned record of {} is ignored ({}): {}", what, choice.record, why));
}

}  // namespace kerncast
