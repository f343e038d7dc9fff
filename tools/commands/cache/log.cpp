#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/event_log.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trusted_path.hpp"
#include "kerncast/error.hpp"
#include "runtime/util/printable.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/io/output.hpp"
#include "tools/io/time_text.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

struct LogOptions {
  std::string event;
  std::string key;
  std::string since;
  std::int64_t last = 0;
};

/// The text of a member, or an empty one.
std::string text_of(const Json& event, const char* name) {
  const auto found = event.find(name);
  return found != event.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The event on a line. Empty if the line is torn, or was not written by Kerncast.
std::optional<Json> event_on(const std::string& line) {
  if (line.size() > cache::most_event_bytes) {
    return std::nullopt;
  }
  Json event = Json::parse(line, nullptr, false);
  if (!event.is_object() || text_of(event, "time").empty() || text_of(event, "event").empty()) {
    return std::nullopt;
  }
  for (const char* name : {"key", "op", "layer", "reason"}) {
    if (event.contains(name) && !event[name].is_string()) {
      return std::nullopt;
    }
  }
  return event.contains("pid") && event["pid"].is_number_integer() ? std::optional(std::move(event))
                                                                   : std::nullopt;
}

/// True if `event` is about a key that begins with `prefix`, which is not empty.
bool is_about(const Json& event, const std::string& prefix) {
  if (text_of(event, "key").starts_with(prefix)) {
    return true;
  }
  const auto keys = event.find("keys");
  return keys != event.end() && keys->is_array() &&
         std::any_of(keys->begin(), keys->end(), [&](const Json& key) {
           return key.is_string() && key.get_ref<const std::string&>().starts_with(prefix);
         });
}

/// The reason and the counts of an event, in words.
std::string details_of(const Json& event) {
  std::string out = text_of(event, "reason");
  for (const auto& [name, value] : event.items()) {
    if (value.is_number_unsigned() && name != "pid") {
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", value.get<std::uint64_t>(), name);
    }
  }
  return printable_line(out);
}

void check(const LogOptions& options) {
  const auto known = [&](cache::EventKind kind) { return cache::name_of(kind) == options.event; };
  if (!options.event.empty() &&
      std::none_of(std::begin(cache::event_kinds), std::end(cache::event_kinds), known)) {
    std::string names;
    for (const cache::EventKind kind : cache::event_kinds) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", cache::name_of(kind));
    }
    throw UsageError(fmt::format("--event {} is none; the events are {}", options.event, names));
  }
  if (options.key.size() > 32 || options.key.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw UsageError(
        fmt::format("--key {} is no beginning of a key, which has 32 digits of 0-9 and a-f", options.key));
  }
}

/// The seconds since the epoch of an event; 0 if its time is no time, so that --since leaves it out.
std::int64_t seconds_of(const Json& event) {
  const std::string time = text_of(event, "time");
  try {
    return parse_moment("time", time.substr(0, std::min<std::size_t>(time.size(), 19)));
  } catch (const UsageError&) {
    return 0;
  }
}

void show(CommandContext& context, const std::string& directory, const std::vector<Json>& events,
          std::size_t skipped) {
  if (context.json) {
    print_json({{"directory", directory}, {"events", events}, {"skipped", skipped}});
    return;
  }
  if (events.empty()) {
    print(fmt::format("no such events in the log of {}\n", directory));
    return;
  }
  Table table({{"time (UTC)"}, {"event"}, {"op"}, {"layer"}, {"details"}, {"process"}, {"key"}});
  for (const Json& event : events) {
    const auto cell = [&](const char* name) { return printable_line(text_of(event, name)); };
    table.add_row({cell("time"), cell("event"), cell("op"), cell("layer"), details_of(event),
                   event["pid"].dump(), cell("key")});
  }
  print(table);
}

int show_log(CommandContext& context, const LogOptions& options) {
  check(options);
  const std::int64_t since = options.since.empty() ? std::numeric_limits<std::int64_t>::min()
                                                   : parse_moment("--since", options.since);
  const cache::Store store = open_store(context);
  require_readable(store);
  const cache::Folder root = cache::trusted(cache::Folder::open(store.root()), store.trust());
  if (root.failure().error == cache::not_trusted) {
    throw Error(ErrorCode::io_error,
                fmt::format("the log of {} is not read: {}", store.root(), root.failure().text));
  }
  const cache::LogLines log = cache::read_log(root, store.trust());
  std::vector<Json> events;
  std::size_t skipped = 0;
  for (const std::string& line : log.lines) {
    std::optional<Json> event = event_on(line);
    if (!event) {
      ++skipped;
    } else if ((options.event.empty() || text_of(*event, "event") == options.event) &&
               (options.key.empty() || is_about(*event, options.key)) && seconds_of(*event) >= since) {
      events.push_back(std::move(*event));
    }
  }
  if (options.last > 0 && events.size() > static_cast<std::size_t>(options.last)) {
    events.erase(events.begin(), events.end() - options.last);
  }
  if (skipped > 0) {
    context.console.warning(fmt::format("{} of the log of {} {} torn or foreign and left out",
                                        counted(skipped, "line"), store.root(), skipped == 1 ? "is" : "are"));
  }
  if (!log.defect.empty()) {
    throw Error(ErrorCode::io_error, fmt::format("the log of {} cannot be read ({}); move the file away",
                                                 store.root(), log.defect));
  }
  show(context, store.root(), events, skipped);
  return exit_fine;
}

}  // namespace

void add_cache_log_command(const Command& cache, CommandContext& context) {
  const Command command =
      cache.add("log",
                "Show what happened to the cache directory: imports, promotions, quarantine, refusals, "
                "evictions, clears and repairs, the oldest first");
  const auto options = std::make_shared<LogOptions>();
  command
      .option("--event", options->event,
              "Only this event: import, promotion, quarantine, refusal, eviction, clear or repair")
      .value_name("EVENT");
  command.option("--key", options->key, "Only what concerns keys that begin with these digits")
      .value_name("PREFIX");
  command
      .option(
          "--since", options->since,
          "Only from this time in UTC on, such as 2026-01-31 or 2026-01-31T13:05:09, or from an age back, "
          "such as 12h or 30d")
      .value_name("TIME");
  command.option("--last", options->last, "Only the last N of these").positive().value_name("N");
  command.json_flag();
  command.action([&context, options] { return show_log(context, *options); });
}

}  // namespace kerncast::tools
