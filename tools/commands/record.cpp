#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "kerncast/error.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/warm/request_record.hpp"

namespace kerncast::tools {
namespace {

struct MergeOptions {
  std::string out;
  std::vector<std::string> files;
};

int merge(CommandContext& context, const MergeOptions& options) {
  context.prepare_output(options.out);
  const std::string text = merge_records(options.files, context.console);
  if (text.empty()) {
    throw Error(ErrorCode::io_error,
                fmt::format("{} hold{} no record; {} was not written", fmt::join(options.files, ", "),
                            options.files.size() == 1 ? "s" : "", options.out));
  }
  AtomicOutput output(options.out);
  output.write(text.data(), text.size());
  output.commit();
  const auto kernels = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  if (context.json) {
    print_json({{"file", options.out}, {"kernels", kernels}});
  } else {
    print(fmt::format("{} in {}\n", counted(kernels, "kernel"), options.out));
  }
  return exit_fine;
}

}  // namespace

void add_record_command(const Command& root, CommandContext& context) {
  const Command command = root.add(
      "record",
      "Work with the files that hosts write if KERNCAST_RECORD=FILE is set: the kernels they asked for");
  command.require_one();
  const Command merging = command.add("merge", "Merge several files into one that has each kernel once");
  const auto options = std::make_shared<MergeOptions>();
  merging.option("out", options->out, "File to write; may be one of the files to read").required();
  merging.option("files", options->files, "Files to read").required();
  merging.json_flag();
  merging.action([&context, options] { return merge(context, *options); });
}

}  // namespace kerncast::tools
