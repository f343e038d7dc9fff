#include <fmt/format.h>

#include "cache/cache.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/commands/cache/tuned_layers.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

int list_tuned(CommandContext& context) {
  Runtime runtime(context.runtime_options());
  bool complete = true;
  const std::vector<TunedLayer> layers = tuned_layers(context, runtime, complete);
  Json json = Json::array();
  Table table({{"op"},
               {"specialisation"},
               {"arch"},
               {"rows"},
               {"tunables"},
               {"us", Align::right},
               {"from"},
               {"templates"},
               {"recorded (UTC)"},
               {"layer"}});
  for (const TunedLayer& layer : layers) {
    for (const cache::TunedRecord& record : layer.records) {
      const TunedState state = state_of(implementation_of(runtime).builder, record);
      json.push_back(to_json(record, state, layer.name));
      table.add_row({record.op, record.spec, record.arch, rows_text(record), cache::format_tunables(record),
                     fixed(record.time_us, 2),
                     fmt::format("{} {}", cache::name_of(record.source), record.device), name_of(state),
                     utc_time(record.recorded_us / 1'000'000), layer.name});
    }
  }
  warn_of_untrusted(context, layers);
  if (context.json) {
    print_json(json);
  } else if (table.empty()) {
    print(no_tuned_records);
  } else {
    print(table);
  }
  return complete ? exit_fine : exit_failed;
}

}  // namespace

void add_cache_tuned_command(const Command& cache, CommandContext& context) {
  const Command command =
      cache.add("tuned",
                "List the tuned records of every layer, and whether each still holds; `kerncast tune show` "
                "prints all of their fields");
  command.json_flag();
  command.action([&context] { return list_tuned(context); });
}

}  // namespace kerncast::tools
