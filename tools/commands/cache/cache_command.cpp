#include <fmt/format.h>

#include <algorithm>

#include "cache/cache.hpp"
#include "cache/counters.hpp"
#include "cache/directory/health.hpp"
#include "cache/directory/index.hpp"
#include "cache/directory/process_usage.hpp"
#include "cache/directory/store.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "kerncast/error.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

constexpr const char* no_directory = "there is no cache directory; set KERNCAST_CACHE_DIR or HOME";

/// A counter's value as text. The end of its name says whether it is a time, a size or a count.
std::string counter_text(std::string_view name, std::uint64_t value) {
  if (name.ends_with("_us")) {
    return fixed(static_cast<double>(value) / 1000, 1) + " ms";
  }
  return name.starts_with("bytes_") || name.ends_with("_bytes") ? human_bytes(value)
                                                                : fmt::format("{}", value);
}

Json to_json(const cache::StoreStatistics& statistics) {
  return {{"entries", statistics.entries},
          {"bytes", statistics.bytes},
          {"quarantined", statistics.quarantined},
          {"sources", statistics.sources},
          {"temporaries", statistics.temporaries}};
}

int show_statistics(CommandContext& context) {
  const cache::Store store = open_store(context);
  if (!store.root().empty()) {
    require_readable(store);
  }
  const cache::Health health = cache::check_health(store);
  Json json = {{"directory", health.directory}, {"exists", health.exists}, {"writable", health.writable}};
  json.update(to_json(health.statistics));
  const std::size_t tuned = open_tuning(context, store).list().size();
  json["tuned"] = tuned;
  json["free_bytes"] = health.free_bytes;
  const CacheCounters counters = cache::counters_of(cache::Folder::open(health.directory));
  json["counters"] = Json::object();
  for (const cache::CounterField& field : cache::counter_fields) {
    json["counters"][std::string(field.name)] = counters.*field.value;
  }
  const cache::CacheOptions options =
      cache::options_from_environment([&context](std::string_view text) { context.console.warning(text); });
  const std::vector<std::string>& read_only = options.read_only;
  json["budget"] = {{"bytes", options.budget.bytes}, {"entries", options.budget.entries}};
  json["remote"] = options.remote.address.name();
  json["read_only"] = read_only;
  if (context.json) {
    print_json(json);
    return exit_fine;
  }
  Table table({{"cache"}, {health.directory.empty() ? "none" : health.directory}});
  table.add_row({"exists", health.exists ? "yes" : "no"});
  table.add_row({"writable", health.writable ? "yes" : "no"});
  table.add_row({"entries", fmt::format("{}", health.statistics.entries)});
  table.add_row({"size", human_bytes(health.statistics.bytes)});
  table.add_row({"tuned records", fmt::format("{}", tuned)});
  table.add_row({"quarantined", fmt::format("{}", health.statistics.quarantined)});
  table.add_row({"sources of failed compiles", fmt::format("{}", health.statistics.sources)});
  table.add_row({"temporaries", fmt::format("{}", health.statistics.temporaries)});
  table.add_row({"free on disk", human_bytes(health.free_bytes)});
  table.add_row(
      {"budget",
       fmt::format(
           "{}, {} entries", options.budget.bytes == 0 ? "any size" : human_bytes(options.budget.bytes),
           options.budget.entries == 0 ? "any number of" : fmt::format("{}", options.budget.entries))});
  if (!options.remote.address.empty()) {
    table.add_row({"remote", options.remote.address.name()});
  }
  for (const std::string& layer : read_only) {
    table.add_row({"read-only layer", layer});
  }
  print(table);
  Table counted({{"counted by all processes"}, {"", Align::right}});
  for (const cache::CounterField& field : cache::counter_fields) {
    std::string name(
        field.name.substr(0, field.name.ends_with("_us") ? field.name.size() - 3 : std::string::npos));
    std::replace(name.begin(), name.end(), '_', ' ');
    counted.add_row({name + (field.name.ends_with("_us") ? " time" : ""),
                     counter_text(field.name, counters.*field.value)});
  }
  print("\n");
  print(counted);
  return exit_fine;
}

int list_store(CommandContext& context) {
  cache::Store store = open_store(context);
  require_readable(store);
  const std::size_t files = store.list().size();
  const std::vector<cache::IndexedEntry> entries = cache::list_entries(store);
  // Another process may have published more meanwhile.
  warn_of_unsound(context, store, files - std::min(files, entries.size()));
  Json list = Json::array();
  Table table = entry_table();
  for (const cache::IndexedEntry& entry : entries) {
    add_entry(entry, table, list);
  }
  if (context.json) {
    print_json(list);
  } else if (table.empty()) {
    print(fmt::format("no entries in {}\n", store.root()));
  } else {
    print(table);
  }
  return exit_fine;
}

int show_path(CommandContext& context) {
  const std::string directory = cache::default_directory();
  if (directory.empty()) {
    throw Error(ErrorCode::not_found, no_directory);
  }
  if (context.json) {
    print_json({{"directory", directory}});
  } else {
    print_exact(directory + '\n');
  }
  return exit_fine;
}

}  // namespace

Table entry_table() {
  return Table({{"op"}, {"specialisation"}, {"arch"}, {"size", Align::right}, {"used (UTC)"}, {"key"}});
}

void add_entry(const cache::IndexedEntry& entry, Table& table, Json& list) {
  const std::int64_t seconds = entry.modified_ns / 1'000'000'000;
  table.add_row({entry.op, entry.spec, entry.arch, human_bytes(entry.bytes), utc_time(seconds), entry.key});
  list.push_back({{"key", entry.key},
                  {"op", entry.op},
                  {"spec", entry.spec},
                  {"arch", entry.arch},
                  {"bytes", entry.bytes},
                  {"modified", seconds}});
}

cache::Store open_store(CommandContext& context) {
  const cache::CacheOptions options = cache::options_from_environment();
  return {options.directory, [&context](std::string_view text) { context.console.warning(text); },
          cache::directory_trust(options), options.budget};
}

cache::TuningStore open_tuning(CommandContext& context, const cache::Store& store) {
  return {store.root(), [&context](std::string_view text) { context.console.warning(text); },
          cache::directory_trust(cache::options_from_environment())};
}

std::vector<cache::TunedRecord> require_tuned(cache::TuningStore& tuning) {
  std::string defect;
  std::vector<cache::TunedRecord> records = tuning.list(defect);
  if (!defect.empty()) {
    throw Error(ErrorCode::io_error,
                fmt::format("the tuned records in {} cannot be read ({}); mend that, or set "
                            "KERNCAST_CACHE_DIR to another directory",
                            tuning.root(), defect));
  }
  return records;
}

void require_readable(const cache::Store& store) {
  if (store.root().empty()) {
    throw Error(ErrorCode::not_found, no_directory);
  }
  if (const std::string defect = store.unreadable(); !defect.empty()) {
    throw Error(ErrorCode::io_error,
                fmt::format("the cache directory {} cannot be read ({}); make it readable, or set "
                            "KERNCAST_CACHE_DIR",
                            store.root(), defect));
  }
}

void warn_of_unsound(CommandContext& context, const cache::Store& store, std::size_t count) {
  if (count > 0) {
    context.console.warning(fmt::format("{} file{} in {} cannot be read as {} and {} left out", count,
                                        count == 1 ? "" : "s", store.root(),
                                        count == 1 ? "an entry" : "entries", count == 1 ? "is" : "are"));
  }
}

bool names_op(const std::string& name, const std::string& op) {
  return name == op || (name.find('.') == std::string::npos && op.ends_with("." + name));
}

void require_found(const char* option, const std::vector<std::string>& asked,
                   const std::set<std::string>& found, const std::string& directory) {
  for (const std::string& value : asked) {
    if (std::none_of(found.begin(), found.end(),
                     [&](const std::string& name) { return names_op(value, name); })) {
      throw Error(
          ErrorCode::not_found,
          fmt::format(
              "{} {}: the cache directory {} holds no such kernel{}; `kerncast cache ls` lists what it "
              "holds",
              option, value, directory, asked.size() > 1 ? " among those asked for" : ""));
    }
  }
}

void add_cache_command(const Command& root, CommandContext& context) {
  const Command command =
      root.add("cache", "Show, clear, verify, export and import the cache of compiled kernels");
  command.require_one();
  const auto add = [&](const char* name, const char* help, int (*work)(CommandContext&)) {
    const Command sub = command.add(name, help);
    sub.json_flag();
    sub.action([&context, work] { return work(context); });
  };
  add("stat",
      "Show the directory, its state and size, and the counters of all processes (hits by layer, misses, "
      "times)",
      show_statistics);
  add("ls", "List every entry: op, specialisation, architecture, size, last use, key", list_store);
  add("path", "Print the path of the directory", show_path);
  add_cache_clear_command(command, context);
  add_cache_explain_command(command, context);
  add_cache_log_command(command, context);
  add_cache_metrics_command(command, context);
  add_cache_pack_commands(command, context);
  add_cache_show_command(command, context);
  add_cache_tuned_command(command, context);
  add_cache_verify_command(command, context);
}

}  // namespace kerncast::tools
