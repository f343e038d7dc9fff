#include <fmt/format.h>

#include <memory>
#include <string>

#include "cache/directory/process_usage.hpp"
#include "cache/metrics.hpp"
#include "cache/posix/folder.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

int show_metrics(CommandContext& context, const std::string& file) {
  context.prepare_output(file);
  const cache::Store store = open_store(context);
  require_readable(store);
  const std::string text = cache::prometheus_text(cache::counters_of(cache::Folder::open(store.root())),
                                                  {{"directory", store.root()}});
  if (!file.empty()) {
    AtomicOutput output(file);
    output.write(text.data(), text.size());
    output.commit();
  }
  if (context.json) {
    print_json({{"directory", store.root()}, {"file", file}, {"text", text}});
  } else if (file.empty()) {
    print_exact(text);
  } else {
    print(fmt::format("the counters of {} are in {}\n", store.root(), file));
  }
  return exit_fine;
}

}  // namespace

void add_cache_metrics_command(const Command& cache, CommandContext& context) {
  const Command command = cache.add(
      "metrics",
      "Print the counters of all processes that use or have used the directory, as Prometheus text");
  const auto file = std::make_shared<std::string>();
  command.option("--out", *file, "Write them to this file instead, for node_exporter's textfile collector")
      .value_name("FILE");
  command.json_flag();
  command.action([&context, file] { return show_metrics(context, *file); });
}

}  // namespace kerncast::tools
