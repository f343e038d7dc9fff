#include <fmt/format.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/util/row_range_text.hpp"
#include "tools/commands/cache/tuned_layers.hpp"
#include "tools/commands/tune/tune.hpp"
#include "tools/commands/tune/tuned_selection.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

/// "3.20 us (3.18 to 3.25), 8.6 % quicker than the default's 3.50 us".
std::string time_text(const cache::TunedRecord& record) {
  std::string text = fmt::format("{:.2f} us", record.time_us);
  if (!cache::has_details(record)) {
    return text + "; neither its interval nor the default's time is known";
  }
  if (record.source == cache::TunedSource::measured) {
    text += fmt::format(" ({:.2f} to {:.2f})", record.low_us, record.high_us);
  }
  const double gain = record.default_us > 0 ? 1 - record.time_us / record.default_us : 0;
  if (gain == 0) {
    return text + fmt::format(", as the default's {:.2f} us", record.default_us);
  }
  return text + fmt::format(", {:.1f} % {} than the default's {:.2f} us", 100 * (gain > 0 ? gain : -gain),
                            gain > 0 ? "quicker" : "slower", record.default_us);
}

/// `parts`, without the empty ones, separated by commas.
std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    text += part.empty() ? "" : (text.empty() ? "" : ", ") + part;
  }
  return text;
}

std::string after(std::string_view before, const std::string& text) {
  return text.empty() ? std::string() : fmt::format("{}{}", before, text);
}

void show(const ListedRecord& listed) {
  const cache::TunedRecord& record = *listed.record;
  const bool measured = record.source == cache::TunedSource::measured;
  Table table({{fmt::format(
      "{}{} for {}, {} row{}", record.op, record.spec.empty() ? "" : fmt::format(" [{}]", record.spec),
      record.arch, row_range_text(record.rows_low, record.rows_high), record.rows_high == 1 ? "" : "s")}});
  const auto line = [&](std::string_view name, const std::string& text) {
    table.add_row({fmt::format("  {:<9} {}", name, text)});
  };
  line("tunables", cache::format_tunables(record));
  line("time", time_text(record));
  line("from",
       joined({fmt::format("{} {}", measured ? "measured on" : "estimated for", record.device), record.policy,
               record.trials == 0 ? "" : counted(record.trials, "trial"), after("data ", record.data)}));
  line("made by", joined({record.tool, record.compiler, after("driver ", record.driver),
                          utc_time(record.recorded_us / 1'000'000)}));
  line("state", listed.state == TunedState::current
                    ? listed.trusted ? "current" : "current, but not signed as demanded"
                : listed.state == TunedState::stale ? "stale: the templates or launches have changed since"
                                                    : "unknown: the library has no such op");
  line("templates", record.templates);
  line("layer", listed.layer);
  print(table);
}

int show_records(CommandContext& context, const TunedSelection& selection) {
  selection.check();
  bool first = true;
  return list_records(
      context, [&](const cache::TunedRecord& record) { return selection.wants(record.op, record.arch); },
      [&](const ListedRecord& listed) {
        print(first ? "" : "\n");
        show(listed);
        first = false;
      },
      [&](std::size_t count) {
        if (count == 0 && !selection.everything()) {
          refuse_empty(selection, "tuned record", "kerncast tune show");
        }
        if (count == 0 && !context.json) {
          print_no_records();
        }
      });
}

}  // namespace

void add_tune_show_command(const Command& tune, CommandContext& context) {
  const auto selection = std::make_shared<TunedSelection>();
  const Command command =
      tune.add("show",
               "Show tuned records with all of their fields: time, interval, gain against the default, "
               "origin, state, layer");
  add_tuned_selection(command, *selection, "records");
  command.json_flag();
  command.action([&context, selection] { return show_records(context, *selection); });
}

}  // namespace kerncast::tools
