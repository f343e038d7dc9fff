#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cache/tuning/tuned_lines.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "kerncast/error.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/commands/tune/tune.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {
namespace {

struct ExportOptions {
  std::string file;
  std::vector<std::string> ops;
  std::vector<std::string> archs;

  [[nodiscard]] bool wants(const cache::TunedRecord& record) const {
    return (ops.empty() || std::any_of(ops.begin(), ops.end(),
                                       [&](const std::string& name) { return names_op(name, record.op); })) &&
           (archs.empty() || std::find(archs.begin(), archs.end(), record.arch) != archs.end());
  }
};

int export_records(CommandContext& context, const ExportOptions& options) {
  for (const std::string& arch : options.archs) {
    check_arch(arch);
  }
  context.prepare_output(options.file);
  const cache::Store store = open_store(context);
  require_readable(store);
  cache::TuningStore tuning = open_tuning(context, store);
  std::string text;
  std::set<std::string> ops;
  std::set<std::string> archs;
  std::uint64_t count = 0;
  std::uint64_t left_out = 0;
  for (const cache::TunedRecord& record : require_tuned(tuning)) {
    if (!options.wants(record)) {
      continue;
    }
    ops.insert(record.op);
    archs.insert(record.arch);
    const std::string line = cache::format_line(record);
    ++(line.empty() ? left_out : count);
    text += line.empty() ? line : line + '\n';
  }
  require_found("--op", options.ops, ops, store.root());
  require_found("--arch", options.archs, archs, store.root());
  if (count == 0) {
    throw Error(ErrorCode::not_found, fmt::format("the cache directory {} holds no tuned records to export; "
                                                  "{} was not written",
                                                  store.root(), options.file));
  }
  AtomicOutput output(options.file);
  output.write(text.data(), text.size());
  output.commit();
  if (context.json) {
    print_json({{"file", options.file}, {"records", count}, {"left_out", left_out}});
  } else {
    print(fmt::format("{} in {}\n", counted(count, "tuned record"), options.file));
  }
  if (left_out > 0) {
    context.console.error(
        fmt::format("{} left out, since JSON cannot hold their texts, which are not UTF-8; "
                    "`kerncast cache export` writes them",
                    counted(left_out, "tuned record") + (left_out == 1 ? " is" : " are")));
  }
  return left_out == 0 ? exit_fine : exit_failed;
}

}  // namespace

void add_tune_export_command(const Command& tune, CommandContext& context) {
  const auto options = std::make_shared<ExportOptions>();
  const Command command = tune.add("export",
                                   "Write the tuned records of the cache directory as lines of JSON, one "
                                   "record each, in the same order every time");
  command.option("file", options->file, "File to write; - for standard output").required();
  command.option("--op", options->ops, "Only records of these ops").separated();
  command.option("--arch", options->archs, "Only records of these architectures").separated();
  command.json_flag();
  command.action([&context, options] { return export_records(context, *options); });
}

}  // namespace kerncast::tools
