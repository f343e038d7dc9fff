#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/cache.hpp"
#include "cache/pack/transfer.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "kerncast/error.hpp"
#include "runtime/dispatch/entry_proof.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/io/stop_on_interrupt.hpp"
#include "tools/model/settings.hpp"
#include "tools/warm/signing.hpp"

namespace kerncast::tools {
namespace {

struct PackOptions {
  std::string file;
  std::vector<std::string> ops;
  std::vector<std::string> archs;
  bool dry_run = false;
  std::string sign;
};

bool is_wanted(const PackOptions& options, const std::string& op, const std::string& arch) {
  const std::vector<std::string>& archs = options.archs;
  return (options.ops.empty() || std::any_of(options.ops.begin(), options.ops.end(),
                                             [&](const std::string& name) { return names_op(name, op); })) &&
         (archs.empty() || std::find(archs.begin(), archs.end(), arch) != archs.end());
}

int export_entries(CommandContext& context, const PackOptions& options) {
  for (const std::string& arch : options.archs) {
    check_arch(arch);
  }
  context.prepare_output(options.file);
  std::set<std::string> found_ops;
  std::set<std::string> found_archs;
  const cache::Store store = open_store(context);
  require_readable(store);
  cache::TuningStore tuning = open_tuning(context, store);
  std::vector<cache::TunedRecord> tuned = require_tuned(tuning);
  tuned.erase(std::remove_if(tuned.begin(), tuned.end(),
                             [&](const cache::TunedRecord& record) {
                               return !is_wanted(options, record.op, record.arch);
                             }),
              tuned.end());
  sign_records(options.sign, tuned);
  AtomicOutput output(options.file);
  std::uint64_t bytes = 0;
  const cache::ExportResult result = cache::export_pack(
      store,
      [&](const cache::Entry& entry) {
        const bool wanted = is_wanted(options, entry.op, entry.arch);
        if (wanted) {
          found_ops.insert(entry.op);
          found_archs.insert(entry.arch);
        }
        return wanted;
      },
      [&](std::string_view more) {
        output.write(more.data(), more.size());
        bytes += more.size();
      },
      tuned, signer(options.sign));
  for (const cache::TunedRecord& record : tuned) {
    found_ops.insert(record.op);
    found_archs.insert(record.arch);
  }
  require_found("--op", options.ops, found_ops, store.root());
  require_found("--arch", options.archs, found_archs, store.root());
  if (result.entries == 0 && tuned.empty()) {
    throw Error(ErrorCode::not_found,
                fmt::format("the cache directory {} holds nothing to export; {} was not "
                            "written",
                            store.root(), options.file));
  }
  output.commit();
  if (result.damaged > 0) {
    context.console.warning(fmt::format("{} in {} without a sound entry: left out",
                                        counted(result.damaged, "file"), store.root()));
  }
  if (context.json) {
    print_json({{"file", options.file},
                {"entries", result.entries},
                {"tuned", tuned.size()},
                {"damaged", result.damaged},
                {"bytes", bytes}});
  } else {
    print(fmt::format("{} and {}, {} in {}\n", counted(result.entries, "entry"),
                      counted(tuned.size(), "tuned record"), human_bytes(bytes), options.file));
  }
  return exit_fine;
}

[[noreturn]] void refuse(const std::string& file, const std::string& defect) {
  throw Error(ErrorCode::io_error, fmt::format("{} is not a sound pack: {}", file, defect));
}

const char* fate_text(cache::ImportFate fate) {
  switch (fate) {
    case cache::ImportFate::imported:
      return "imported";
    case cache::ImportFate::present:
      return "present";
    case cache::ImportFate::replaced:
      return "replaced";
    case cache::ImportFate::refused:
      return "refused";
  }
  return "";
}

/// Prints the outcome that an import would have for each entry of a pack.
void show_dry_run(CommandContext& context, const PackOptions& options, const cache::Store& store,
                  const cache::ImportResult& result) {
  Json list = Json::array();
  Table table({{"would be"}, {"op"}, {"specialisation"}, {"arch"}, {"size", Align::right}, {"key"}});
  std::uint64_t bytes = 0;
  for (const cache::ImportedEntry& entry : result.entries) {
    const std::string fate = fate_text(entry.fate);
    bytes += entry.fate == cache::ImportFate::present ? 0 : entry.bytes;
    table.add_row({fate, entry.op, entry.spec, entry.arch, human_bytes(entry.bytes), entry.key.hex()});
    list.push_back({{"key", entry.key.hex()},
                    {"op", entry.op},
                    {"spec", entry.spec},
                    {"arch", entry.arch},
                    {"bytes", entry.bytes},
                    {"fate", fate}});
  }
  const bool fits = result.refusal.empty();
  if (context.json) {
    print_json({{"file", options.file},
                {"directory", store.root()},
                {"dry_run", true},
                {"fits", fits},
                {"reason", result.refusal},
                {"imported", result.published},
                {"already", result.already},
                {"replaced", result.replaced},
                {"bytes", bytes},
                {"tuned_imported", result.tuned.written},
                {"tuned_already", result.tuned.kept},
                {"list", std::move(list)}});
    return;
  }
  if (!table.empty()) {
    print(table);
  }
  if (fits) {
    print(fmt::format("would import {} ({}) and {} into {}; already there: {}\n",
                      counted(result.published, "entry"), human_bytes(bytes),
                      counted(result.tuned.written, "tuned record"), store.root(), result.already));
  }
}

int import_entries(CommandContext& context, const PackOptions& options) {
  cache::Store store = open_store(context);
  cache::TuningStore tuning = open_tuning(context, store);
  const cache::TrustedKeys trusted(cache::options_from_environment().trusted_keys,
                                   [&context](std::string_view text) { context.console.warning(text); });
  const cache::ImportDemand demand{
      [&trusted](const cache::Key& key, const cache::Entry& entry) {
        const std::string defect = disproof(key, entry);
        return defect.empty() ? trusted.defect_of(key, entry) : defect;
      },
      [&trusted](const cache::TunedRecord& record) { return trusted.defect_of(record); },
      [] { return StopOnInterrupt::requested().load(); }};
  const cache::ImportResult result = [&] {
    const StopOnInterrupt guard;
    return cache::import_pack(options.file, store, tuning,
                              options.dry_run ? cache::ImportMode::dry_run : cache::ImportMode::write,
                              demand);
  }();
  if (!result.defect.empty()) {
    refuse(options.file, result.defect + "; nothing was imported");
  }
  if (result.stopped) {
    context.console.error(fmt::format("stopped after {} of {}; the same command goes on",
                                      counted(result.published, "entry"), options.file));
    return exit_interrupted;
  }
  const std::string refusal =
      fmt::format("{} does not fit: {}; nothing was imported", options.file, result.refusal);
  if (options.dry_run) {
    show_dry_run(context, options, store, result);
    if (!result.refusal.empty()) {
      context.console.error(refusal);
      return exit_failed;
    }
    return exit_fine;
  }
  if (!result.refusal.empty()) {
    throw Error(ErrorCode::io_error, refusal);
  }
  if (context.json) {
    print_json({{"file", options.file},
                {"directory", store.root()},
                {"imported", result.published},
                {"already", result.already},
                {"replaced", result.replaced},
                {"failed", result.failed},
                {"evicted", store.counters().evicted.load()},
                {"tuned_imported", result.tuned.written},
                {"tuned_already", result.tuned.kept},
                {"tuned_failed", result.tuned.failed}});
  } else {
    print(fmt::format("imported {} into {}; already there: {}\n", counted(result.published, "entry"),
                      store.root(), result.already));
    if (const std::uint64_t evicted = store.counters().evicted; evicted > 0) {
      print(fmt::format("evicted {} to stay within the budget\n", counted(evicted, "entry")));
    }
    if (result.tuned.written + result.tuned.kept > 0) {
      print(fmt::format("imported {}; already there or newer: {}\n",
                        counted(result.tuned.written, "tuned record"), result.tuned.kept));
    }
  }
  if (result.failed + result.tuned.failed > 0) {
    context.console.error(fmt::format("{} and {} could not be written", counted(result.failed, "entry"),
                                      counted(result.tuned.failed, "tuned record")));
    return exit_failed;
  }
  return exit_fine;
}

}  // namespace

void add_cache_pack_commands(const Command& cache, CommandContext& context) {
  const auto add = [&](const char* name, const char* help, int (*work)(CommandContext&, const PackOptions&)) {
    const Command command = cache.add(name, help);
    const auto options = std::make_shared<PackOptions>();
    command.option("file", options->file, "Path of the pack").required();
    command.json_flag();
    command.action([&context, options, work] { return work(context, *options); });
    return std::pair(command, options);
  };
  const auto [exporting, exported] = add("export",
                                         "Write entries and tuned records to a pack, one file that can be "
                                         "copied anywhere; equal contents give equal "
                                         "bytes",
                                         export_entries);
  exporting.option("--op", exported->ops, "Only these ops").separated();
  exporting.option("--arch", exported->archs, "Only these architectures").separated();
  exporting.option("--sign", exported->sign, "Sign what goes into the pack with the key in this file")
      .value_name("FILE");
  const auto [importing, imported] = add(
      "import", "Verify a pack, then publish the entries and tuned records that the cache lacks or has older",
      import_entries);
  importing.flag("--dry-run", imported->dry_run,
                 "Write nothing; show what would be done with each entry, and whether the pack fits");
}

}  // namespace kerncast::tools
