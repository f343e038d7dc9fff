#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cache/directory/compiler_marks.hpp"
#include "cache/directory/index.hpp"
#include "cache/posix/file.hpp"
#include "cache/posix/file_time.hpp"
#include "kerncast/error.hpp"
#include "kerncast/op_definition.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/io/output.hpp"
#include "tools/io/time_text.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {
namespace {

struct ClearOptions {
  std::vector<std::string> ops;
  std::vector<std::string> archs;
  std::vector<std::string> compilers;
  std::string older_than;
  bool stale = false;
  bool tuned = false;
  bool dry_run = false;

  [[nodiscard]] bool everything() const {
    return ops.empty() && archs.empty() && compilers.empty() && older_than.empty() && !stale;
  }
};

/// Says which of a cache's entries were made from the templates that this build has.
class CurrentTemplates {
 public:
  explicit CurrentTemplates(const KernelBuilder& builder) : builder_(builder) {}

  /// True if the op of `entry` has other templates now. An op that only its host defines is not judged.
  [[nodiscard]] bool differ_from(const cache::Entry& entry) {
    const OpDefinition* op = OpRegistry::instance().find(entry.op);
    return op != nullptr && texts_of(entry) != texts_of(*op);
  }
  [[nodiscard]] bool differ_from(const cache::TunedRecord& record) const {
    const OpDefinition* op = OpRegistry::instance().find(record.op);
    return op != nullptr && builder_.templates_digest(*op, record.spec) != record.templates;
  }

 private:
  using Texts = std::map<std::string, std::string>;

  static Texts texts_of(const cache::Entry& entry) {
    constexpr std::string_view label = "header:";
    Texts texts;
    for (const auto& [name, text] : entry.key_fields) {
      if (name.starts_with(label)) {
        texts.emplace(name.substr(label.size()), text);
      }
    }
    return texts;
  }
  const Texts& texts_of(const OpDefinition& op) {
    const auto [at, added] = known_.try_emplace(op.name);
    if (added) {
      const TemplateSet::Files files = builder_.templates().closure(op.include, op.sources);
      at->second = Texts(files.begin(), files.end());
    }
    return at->second;
  }

  const KernelBuilder& builder_;
  std::map<std::string, Texts> known_;
};

/// The entries and records that the options select, and which of the options' names were found.
class Selection {
 public:
  Selection(const ClearOptions& options, const KernelBuilder& builder)
      : options_(options), templates_(builder) {
    if (!options.older_than.empty()) {
      age_s_ = parse_age("--older-than", options.older_than);
    }
  }

  bool has(const cache::StoredFile& file) {
    const bool by_content =
        !options_.ops.empty() || !options_.archs.empty() || !options_.compilers.empty() || options_.stale;
    const bool old = is_old(file.modified_ns);
    return by_content ? has_content(file, old) : old;
  }
  bool has(const cache::TunedRecord& record) {
    const bool named = is_named(record.op, record.arch);
    return named && is_old(cache::dated_us(record) * 1000) &&
           (!options_.stale || templates_.differ_from(record));
  }
  /// The number of files that may have been meant but cannot be read as entries.
  [[nodiscard]] std::size_t unsound() const { return unsound_.size(); }
  /// Throws Error(not_found) for an op, an architecture or a compiler that nothing in `directory` has.
  void require_names(const std::string& directory) const {
    require_found("--op", options_.ops, ops_, directory);
    require_found("--arch", options_.archs, archs_, directory);
    require_found("--compiler", options_.compilers, compilers_, directory);
  }

 private:
  [[nodiscard]] bool is_old(std::int64_t time_ns) const {
    return !age_s_ || cache::is_older(time_ns, *age_s_, now_ns_);
  }
  bool is_named(const std::string& op, const std::string& arch) {
    ops_.insert(op);
    archs_.insert(arch);
    const auto any = [](const std::vector<std::string>& names, const std::string& text) {
      return names.empty() || std::any_of(names.begin(), names.end(),
                                          [&](const std::string& name) { return names_op(name, text); });
    };
    return any(options_.ops, op) && any(options_.archs, arch);
  }
  bool has_content(const cache::StoredFile& file, bool old) {
    const std::optional<std::string> bytes = cache::read_file(file.path, cache::max_entry_bytes);
    const cache::ParsedEntry parsed = bytes ? cache::parse(file.key, *bytes) : cache::ParsedEntry{};
    if (!parsed.entry) {
      unsound_.insert(file.key);
      return false;
    }
    const std::string compiler = cache::compiler_of(*parsed.entry);
    compilers_.insert(compiler);
    const std::vector<std::string>& wanted = options_.compilers;
    return is_named(parsed.entry->op, parsed.entry->arch) && old &&
           (wanted.empty() || std::find(wanted.begin(), wanted.end(), compiler) != wanted.end()) &&
           (!options_.stale || templates_.differ_from(*parsed.entry));
  }

  const ClearOptions& options_;
  CurrentTemplates templates_;
  std::optional<std::int64_t> age_s_;
  // One time for all, so that what was shown is what is removed.
  std::int64_t now_ns_ = cache::now_ns_of_files();
  std::set<std::string> ops_;
  std::set<std::string> archs_;
  std::set<std::string> compilers_;
  std::set<cache::Key> unsound_;
};

/// Size and time of a file, which differ after it was published again.
using FileIdentity = std::pair<std::uint64_t, std::int64_t>;

FileIdentity identity_of(const cache::StoredFile& file) {
  return {file.bytes, file.modified_ns};
}

/// The entries that are removed, or would be.
struct Removal {
  std::map<cache::Key, FileIdentity> entries;
  cache::StoreStatistics files;
  std::optional<std::uint64_t> tuned = 0;
};

/// Selects what to remove. Throws Error(not_found) if options select nothing.
Removal select(CommandContext& context, const ClearOptions& options, Selection& selection,
               const cache::Store& store, cache::TuningStore& tuning) {
  Removal removal;
  for (const cache::StoredFile& file : store.list()) {
    if (selection.has(file)) {
      removal.entries.emplace(file.key, identity_of(file));
      ++removal.files.entries;
      removal.files.bytes += file.bytes;
    }
  }
  warn_of_unsound(context, store, selection.unsound());
  if (options.tuned) {
    const std::vector<cache::TunedRecord> records = require_tuned(tuning);
    removal.tuned = std::count_if(records.begin(), records.end(),
                                  [&](const cache::TunedRecord& record) { return selection.has(record); });
  }
  if (options.everything()) {
    removal.files = store.statistics();
    return removal;
  }
  selection.require_names(store.root());
  if (removal.entries.empty() && removal.tuned.value_or(0) == 0) {
    throw Error(
        ErrorCode::not_found,
        fmt::format("nothing in the cache directory {} matches all of the options; nothing was removed",
                    store.root()));
  }
  return removal;
}

void remove(const ClearOptions& options, Selection& selection, cache::Store& store,
            cache::TuningStore& tuning, Removal& removal) {
  removal.files = options.everything() ? store.clear() : store.remove([&](const cache::StoredFile& file) {
    return removal.entries.contains(file.key);
  });
  // Tuning takes hours and compiling seconds, so the records are removed only on request.
  if (options.tuned) {
    removal.tuned = tuning.remove([&](const cache::TunedRecord& record) { return selection.has(record); });
  }
}

Json to_json(const cache::StoreStatistics& statistics, std::uint64_t tuned) {
  return {{"entries", statistics.entries},         {"bytes", statistics.bytes},
          {"quarantined", statistics.quarantined}, {"sources", statistics.sources},
          {"temporaries", statistics.temporaries}, {"tuned", tuned}};
}

Table listing(cache::Store& store, const Removal& removal, Json& list) {
  Table table = entry_table();
  for (const cache::IndexedEntry& entry : cache::list_entries(store)) {
    const std::optional<cache::Key> key = cache::Key::from_hex(entry.key);
    if (key && removal.entries.contains(*key)) {
      add_entry(entry, table, list);
    }
  }
  return table;
}

void report(CommandContext& context, const ClearOptions& options, cache::Store& store, const Removal& removal,
            std::uint64_t tuned_left) {
  Json list = Json::array();
  const Table table = options.dry_run ? listing(store, removal, list) : Table({{""}});
  if (context.json) {
    Json json = {{"directory", store.root()},
                 {"dry_run", options.dry_run},
                 {"removed", to_json(removal.files, removal.tuned.value_or(0))},
                 {"left", to_json(store.statistics(), tuned_left)}};
    if (options.dry_run) {
      json["list"] = std::move(list);
    }
    print_json(json);
    return;
  }
  if (!table.empty()) {
    print(table);
  }
  const char* verb = options.dry_run ? "would remove" : "removed";
  print(fmt::format("{} {} ({}, {} bytes), {}, {} and {} from {}\n", verb,
                    counted(removal.files.entries, "entry"), human_bytes(removal.files.bytes),
                    removal.files.bytes, counted(removal.files.quarantined, "quarantined file"),
                    counted(removal.files.sources, "failed source"),
                    counted(removal.files.temporaries, "temporary"), store.root()));
  if (options.tuned && removal.tuned) {
    print(fmt::format("{} {}\n", verb, counted(*removal.tuned, "tuned record")));
  } else if (tuned_left > 0 && !options.tuned && options.everything()) {
    print(fmt::format("{} {} kept; --tuned removes tuned records too\n", counted(tuned_left, "tuned record"),
                      tuned_left == 1 ? "is" : "are"));
  }
}

/// The number of files that should be gone and are not. What others publish meanwhile is not among them.
std::uint64_t left_over(const cache::Store& store, const Removal& removal) {
  std::uint64_t left = 0;
  for (const cache::StoredFile& file : store.list()) {
    const auto found = removal.entries.find(file.key);
    left += found != removal.entries.end() && found->second == identity_of(file) ? 1 : 0;
  }
  return std::max(left, removal.files.failed);
}

int clear(CommandContext& context, const ClearOptions& options) {
  for (const std::string& arch : options.archs) {
    check_arch(arch);
  }
  if (options.tuned && !options.compilers.empty()) {
    throw UsageError("--tuned does not go with --compiler: tuned records belong to no compiler");
  }
  cache::Store store = open_store(context);
  require_readable(store);
  cache::TuningStore tuning = open_tuning(context, store);
  Runtime runtime(context.runtime_options());
  Selection selection(options, implementation_of(runtime).builder);
  Removal removal = select(context, options, selection, store, tuning);
  if (!options.dry_run) {
    remove(options, selection, store, tuning, removal);
  }
  report(context, options, store, removal, tuning.list().size());
  if (!removal.tuned) {
    throw Error(
        ErrorCode::io_error,
        fmt::format("the tuned records in {} could not be removed, as the warning says", store.root()));
  }
  if (const std::uint64_t left = options.dry_run ? 0 : left_over(store, removal); left > 0) {
    context.console.error(fmt::format("{} in {} could not be removed; check who owns them",
                                      counted(left, "file"), store.root()));
    return exit_failed;
  }
  return exit_fine;
}

}  // namespace

void add_cache_clear_command(const Command& cache, CommandContext& context) {
  const Command command = cache.add(
      "clear", "Remove entries and say what was removed: every entry, or those that all options select");
  const auto options = std::make_shared<ClearOptions>();
  command.option("--op", options->ops, "Only the kernels of these ops").separated();
  command.option("--arch", options->archs, "Only those for these architectures").separated();
  command
      .option(
          "--older-than", options->older_than,
          "Only those that nobody used for so long, such as 12h or 30d; units are s, m, h, d and w. A date "
          "more than an hour ahead of the clock counts as older than any")
      .value_name("AGE");
  command
      .option("--compiler", options->compilers, "Only those that these versions of NVRTC made, such as 12.9")
      .separated();
  command.flag("--stale", options->stale,
               "Only those made from templates that this version of Kerncast does not have any more");
  command.flag("--tuned", options->tuned, "Remove the tuned records too");
  command.flag("--dry-run", options->dry_run, "Remove nothing; show what would be removed, and its size");
  command.json_flag();
  command.action([&context, options] { return clear(context, *options); });
}

}  // namespace kerncast::tools
