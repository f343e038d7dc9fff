#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tools/command.hpp"
#include "tools/file.hpp"
#include "tools/kernel_record.hpp"
#include "tools/output.hpp"

namespace kerncast::tools {
namespace {

struct MergeOptions {
  std::string out;
  std::vector<std::string> files;
};

int merge(Session& session, const MergeOptions& options) {
  const std::string text = merge_records(options.files, session.console);
  AtomicOutput output(options.out);
  output.write(text.data(), text.size());
  output.commit();
  const auto kernels = std::count(text.begin(), text.end(), '\n');
  if (session.json) {
    print_json({{"file", options.out}, {"kernels", kernels}});
  } else {
    print(fmt::format("{} kernels in {}\n", kernels, options.out));
  }
  return exit_fine;
}

}  // namespace

void add_record_command(CLI::App& root, Session& session) {
  CLI::App* command = root.add_subcommand(
      "record", "Files that KERNCAST_RECORD=FILE makes a host write: the kernels it asked for");
  command->require_subcommand(1);
  CLI::App* merging = command->add_subcommand("merge", "Make one file of several, each kernel once");
  const auto options = std::make_shared<MergeOptions>();
  merging->add_option("out", options->out, "File to write; may be one of those read")->required();
  merging->add_option("files", options->files, "Files to read")->required();
  add_json_flag(*merging, session);
  merging->callback(
      [&session, options] { session.action = [&session, options] { return merge(session, *options); }; });
}

}  // namespace kerncast::tools
