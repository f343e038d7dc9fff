#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "cache/pack/transfer.hpp"
#include "tools/commands/cache.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {
namespace {

struct PackOptions {
  std::string file;
  std::vector<std::string> ops;
  std::vector<std::string> archs;
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
      tuned);
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

int import_entries(CommandContext& context, const PackOptions& options) {
  cache::Store store = open_store(context);
  cache::TuningStore tuning = open_tuning(context, store);
  const cache::ImportResult result = cache::import_pack(options.file, store, tuning);
  if (!result.defect.empty()) {
    refuse(options.file, result.defect + "; nothing was imported");
  }
  if (context.json) {
    print_json({{"file", options.file},
                {"directory", store.root()},
                {"imported", result.published},
                {"already", result.already},
                {"failed", result.failed},
                {"tuned_imported", result.tuned.written},
                {"tuned_already", result.tuned.kept},
                {"tuned_failed", result.tuned.failed}});
  } else {
    print(fmt::format("imported {} into {}; already there: {}\n", counted(result.published, "entry"),
                      store.root(), result.already));
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

int verify_entries(CommandContext& context, const PackOptions& options) {
  const cache::PackCheck check = cache::verify_pack(options.file);
  if (!check.defect.empty()) {
    refuse(options.file, check.defect);
  }
  if (context.json) {
    print_json(
        {{"file", options.file}, {"entries", check.entries}, {"tuned", check.tuned}, {"bytes", check.bytes}});
  } else {
    print(fmt::format("{} is sound: {}, {} of cubin and PTX, {}\n", options.file,
                      counted(check.entries, "entry"), human_bytes(check.bytes),
                      counted(check.tuned, "tuned record")));
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
  const auto [command, options] = add("export",
                                      "Write entries and tuned records to a pack, one file that can be "
                                      "copied anywhere; equal contents give equal "
                                      "bytes",
                                      export_entries);
  command.option("--op", options->ops, "Only these ops").separated();
  command.option("--arch", options->archs, "Only these architectures").separated();
  add("import", "Verify a pack, then publish the entries and tuned records that the cache lacks or has older",
      import_entries);
  add("verify", "Verify every entry and tuned record of a pack", verify_entries);
}

}  // namespace kerncast::tools
