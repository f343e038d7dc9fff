#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cache/cache.hpp"
#include "cache/event_log.hpp"
#include "cache/posix/folder.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "cache/tuning/tuned_lines.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "kerncast/error.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/commands/tune/tune.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

constexpr std::uint64_t most_file_bytes = 256ULL << 20;

struct ImportOptions {
  std::string file;
  bool dry_run = false;
};

/// Moves the records that are not signed as KERNCAST_TRUSTED_KEYS demands to the defects.
void leave_out_untrusted(cache::TunedLines& lines) {
  const cache::TrustedKeys trusted(cache::options_from_environment().trusted_keys, nullptr);
  std::vector<cache::TunedLine> kept;
  for (cache::TunedLine& line : lines.records) {
    if (std::string defect = trusted.defect_of(line.record); !defect.empty()) {
      lines.defects.push_back({line.number, std::move(defect)});
    } else {
      kept.push_back(std::move(line));
    }
  }
  lines.records = std::move(kept);
  std::sort(lines.defects.begin(), lines.defects.end(),
            [](const cache::LineDefect& a, const cache::LineDefect& b) { return a.number < b.number; });
}

/// The result that recording `records` would have beside those that are `there`.
cache::RecordResult foretell(const std::vector<cache::TunedRecord>& records,
                             std::vector<cache::TunedRecord> there) {
  cache::RecordResult result;
  for (const cache::TunedRecord& given : records) {
    const cache::TunedRecord record = cache::stored_form(given);
    const auto at = std::find_if(there.begin(), there.end(), [&](const cache::TunedRecord& other) {
      return cache::same_place(other, record);
    });
    if (at == there.end()) {
      there.push_back(record);
    } else if (!cache::keeps(*at, record)) {
      *at = record;
    } else {
      ++result.kept;
      continue;
    }
    ++result.written;
  }
  return result;
}

int import_records(CommandContext& context, const ImportOptions& options) {
  cache::TunedLines lines = cache::parse_lines(read_file(options.file, most_file_bytes));
  if (lines.records.empty()) {
    throw Error(ErrorCode::io_error,
                fmt::format("{} holds no tuned record{}; `kerncast tune export` writes them", options.file,
                            lines.defects.empty() ? ""
                                                  : fmt::format(": line {}: {}", lines.defects.front().number,
                                                                lines.defects.front().reason)));
  }
  leave_out_untrusted(lines);
  std::vector<cache::TunedRecord> records;
  records.reserve(lines.records.size());
  for (cache::TunedLine& line : lines.records) {
    records.push_back(std::move(line.record));
  }
  const cache::Store store = open_store(context);
  if (store.root().empty()) {
    require_readable(store);
  }
  // It signs nothing: what others have tuned stays signed by them alone.
  cache::TuningStore tuning = open_tuning(context, store);
  const cache::RecordResult result =
      options.dry_run ? foretell(records, require_tuned(tuning)) : tuning.record(records);
  if (result.written > 0 && !options.dry_run) {
    cache::append_event(
        cache::trusted(cache::Folder::open(store.root()), store.trust()), store.trust(),
        {cache::EventKind::imported, std::nullopt, {}, options.file, {}, {{"tuned", result.written}}});
  }
  Json skipped = Json::array();
  for (const cache::LineDefect& defect : lines.defects) {
    skipped.push_back({{"line", defect.number}, {"reason", defect.reason}});
    context.console.error(fmt::format("{}:{} is skipped: {}", options.file, defect.number, defect.reason));
  }
  if (context.json) {
    print_json({{"file", options.file},
                {"dry_run", options.dry_run},
                {"imported", result.written},
                {"already", result.kept},
                {"failed", result.failed},
                {"skipped", std::move(skipped)}});
  } else {
    print(fmt::format("{} {}; {} there already, or newer\n", options.dry_run ? "would import" : "imported",
                      counted(result.written, "tuned record"),
                      fmt::format("{} {}", result.kept, result.kept == 1 ? "is" : "are")));
  }
  if (result.failed > 0) {
    context.console.error(
        fmt::format("{} could not be stored in {}, as the warning says; mend that and import again",
                    counted(result.failed, "tuned record"), store.root()));
  }
  return result.failed == 0 && lines.defects.empty() ? exit_fine : exit_failed;
}

}  // namespace

void add_tune_import_command(const Command& tune, CommandContext& context) {
  const auto options = std::make_shared<ImportOptions>();
  const Command command =
      tune.add("import",
               "Store the tuned records of a file that `kerncast tune export` wrote, "
               "unless the cache directory has newer ones; bad lines are named and skipped");
  command.option("file", options->file, "File to read").required();
  command.flag("--dry-run", options->dry_run, "Store nothing; say what would be stored");
  command.json_flag();
  command.action([&context, options] { return import_records(context, *options); });
}

}  // namespace kerncast::tools
