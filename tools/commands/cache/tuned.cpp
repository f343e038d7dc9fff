#include <fmt/format.h>

#include "runtime/util/row_range_text.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/commands/cache/tuned_layers.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

int list_tuned(CommandContext& context) {
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
  return list_records(
      context, [](const cache::TunedRecord&) { return true; },
      [&](const ListedRecord& listed) {
        const cache::TunedRecord& record = *listed.record;
        table.add_row({record.op, record.spec, record.arch, row_range_text(record.rows_low, record.rows_high),
                       cache::format_tunables(record), fixed(record.time_us, 2),
                       fmt::format("{} {}", cache::name_of(record.source), record.device),
                       name_of(listed.state), utc_time(record.recorded_us / 1'000'000), listed.layer});
      },
      [&](std::size_t count) {
        if (count == 0 && !context.json) {
          print_no_records();
        } else if (!context.json) {
          print(table);
        }
      });
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
