#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "cache/pack/transfer.hpp"
#include "tools/command_cache.hpp"
#include "tools/file.hpp"
#include "tools/output.hpp"
#include "tools/settings.hpp"

namespace kerncast::tools {
namespace {

struct PackOptions {
  std::string file;
  std::vector<std::string> ops;
  std::vector<std::string> archs;
};

bool is_among(const std::vector<std::string>& list, const std::string& text) {
  return list.empty() || std::find(list.begin(), list.end(), text) != list.end();
}

cache::Store open_store(Session& session) {
  return {cache::default_directory(), [&session](std::string_view text) { session.console.warning(text); }};
}

int export_entries(Session& session, const PackOptions& options) {
  for (const std::string& arch : options.archs) {
    check_arch(arch);
  }
  const cache::Store store = open_store(session);
  AtomicOutput output(options.file);
  std::uint64_t bytes = 0;
  const cache::ExportResult result = cache::export_pack(
      store,
      [&](const cache::Entry& entry) {
        return is_among(options.ops, entry.op) && is_among(options.archs, entry.arch);
      },
      [&](std::string_view more) {
        output.write(more.data(), more.size());
        bytes += more.size();
      });
  output.commit();
  if (result.damaged > 0) {
    session.console.warning(
        fmt::format("{} files in {} are no sound entries and were left out", result.damaged, store.root()));
  }
  if (session.json) {
    print_json(
        {{"file", options.file}, {"entries", result.entries}, {"damaged", result.damaged}, {"bytes", bytes}});
  } else {
    print(fmt::format("{} entries, {} in {}\n", result.entries, human_bytes(bytes), options.file));
  }
  return exit_fine;
}

[[noreturn]] void refuse(const std::string& file, const std::string& defect) {
  throw Error(ErrorCode::io_error, fmt::format("{} is not a sound pack: {}", file, defect));
}

int import_entries(Session& session, const PackOptions& options) {
  cache::Store store = open_store(session);
  const cache::ImportResult result = cache::import_pack(options.file, store);
  if (!result.defect.empty()) {
    refuse(options.file, result.defect + "; nothing was imported");
  }
  if (session.json) {
    print_json({{"file", options.file},
                {"directory", store.root()},
                {"imported", result.published},
                {"already", result.already},
                {"failed", result.failed}});
  } else {
    print(fmt::format("{} entries imported into {}, {} were there already\n", result.published, store.root(),
                      result.already));
  }
  if (result.failed > 0) {
    session.console.error(fmt::format("{} entries could not be written", result.failed));
    return exit_failed;
  }
  return exit_fine;
}

int verify_entries(Session& session, const PackOptions& options) {
  const cache::PackCheck check = cache::verify_pack(options.file);
  if (!check.defect.empty()) {
    refuse(options.file, check.defect);
  }
  if (session.json) {
    print_json({{"file", options.file}, {"entries", check.entries}, {"bytes", check.bytes}});
  } else {
    print(fmt::format("{} is sound: {} entries, {} of cubin and PTX\n", options.file, check.entries,
                      human_bytes(check.bytes)));
  }
  return exit_fine;
}

}  // namespace

void add_cache_pack_commands(CLI::App& cache, Session& session) {
  const auto add = [&](const char* name, const char* help, int (*work)(Session&, const PackOptions&)) {
    CLI::App* command = cache.add_subcommand(name, help);
    const auto options = std::make_shared<PackOptions>();
    command->add_option("file", options->file, "The pack")->required();
    add_json_flag(*command, session);
    command->callback([&session, options, work] {
      session.action = [&session, options, work] { return work(session, *options); };
    });
    return std::pair(command, options);
  };
  const auto [command, options] =
      add("export", "Write entries to one file that can be carried anywhere; same entries, same bytes",
          export_entries);
  command->add_option("--op", options->ops, "Only these ops")->delimiter(',');
  command->add_option("--arch", options->archs, "Only these architectures")->delimiter(',');
  add("import", "Verify a pack and publish what the cache lacks", import_entries);
  add("verify", "Check every entry of a pack", verify_entries);
}

}  // namespace kerncast::tools
