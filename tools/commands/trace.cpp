#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <string>

#include "tools/commands/command.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/trace/trace_summary.hpp"

namespace kerncast::tools {
namespace {

constexpr std::uint64_t most_bytes = 1U << 30U;

Json to_json(const TracedKernel& kernel) {
  return {{"op", kernel.op},
          {"set", kernel.spec},
          {"arch", kernel.arch},
          {"launches", kernel.launches},
          {"launch_us", kernel.launch_us},
          {"misses", kernel.misses},
          {"compiles", kernel.compiles},
          {"failed_compiles", kernel.failed_compiles},
          {"compile_ms", kernel.compile_ms},
          {"loads", kernel.loads},
          {"load_us", kernel.load_us},
          {"replaced", kernel.replaced},
          {"streams", kernel.streams},
          {"rows", kernel.rows}};
}

std::string range_text(const std::set<std::int64_t>& rows) {
  if (rows.empty()) {
    return "-";
  }
  return *rows.begin() == *rows.rbegin() ? fmt::format("{}", *rows.begin())
                                         : fmt::format("{}..{}", *rows.begin(), *rows.rbegin());
}

void print_table(const TraceSummary& summary) {
  Table table({{"op"},
               {"parameters"},
               {"arch"},
               {"launches", Align::right},
               {"us each", Align::right},
               {"rows", Align::right},
               {"streams", Align::right},
               {"misses", Align::right},
               {"compiles", Align::right},
               {"ms", Align::right},
               {"loads", Align::right}});
  TracedKernel all;
  for (const TracedKernel& kernel : summary.kernels) {
    const double each = kernel.launches == 0 ? 0 : kernel.launch_us / static_cast<double>(kernel.launches);
    table.add_row(
        {kernel.op, kernel.spec, kernel.arch, fmt::format("{}", kernel.launches),
         kernel.launches == 0 ? "-" : fixed(each, 2), range_text(kernel.rows),
         fmt::format("{}", kernel.streams.size()), fmt::format("{}", kernel.misses),
         fmt::format("{}{}", kernel.compiles,
                     kernel.failed_compiles == 0 ? "" : fmt::format("+{} failed", kernel.failed_compiles)),
         fixed(kernel.compile_ms, 1), fmt::format("{}", kernel.loads)});
    all.launches += kernel.launches;
    all.compiles += kernel.compiles + kernel.failed_compiles;
    all.compile_ms += kernel.compile_ms;
  }
  print(table);
  print(fmt::format("{} launch{} of {} in {} s; {} took {} ms\n", all.launches, all.launches == 1 ? "" : "es",
                    counted(summary.kernels.size(), "kernel"), fixed(summary.seconds, 3),
                    counted(all.compiles, "compile"), fixed(all.compile_ms, 1)));
}

int view(CommandContext& context, const std::string& path) {
  const TraceSummary summary = summarise_trace(read_file(path, most_bytes), path);
  if (summary.bad_lines > 0) {
    context.console.warning(fmt::format("{}: {} left out, which no event can be read from", path,
                                        counted(summary.bad_lines, "line")));
  }
  if (context.json) {
    Json kernels = Json::array();
    for (const TracedKernel& kernel : summary.kernels) {
      kernels.push_back(to_json(kernel));
    }
    print_json({{"file", path},
                {"seconds", summary.seconds},
                {"events", summary.events},
                {"bad_lines", summary.bad_lines},
                {"kernels", kernels}});
  } else {
    print_table(summary);
  }
  return exit_fine;
}

}  // namespace

void add_trace_command(const Command& root, CommandContext& context) {
  const Command command = root.add(
      "trace",
      "Work with the files that hosts write if KERNCAST_TRACE=FILE is set: misses, compiles, loads and "
      "launches");
  command.require_one();
  const Command viewing = command.add("view", "Summarise a file by kernel; Perfetto shows it on a time line");
  const auto path = std::make_shared<std::string>();
  viewing.option("file", *path, "File to read").required();
  viewing.json_flag();
  viewing.action([&context, path] { return view(context, *path); });
}

}  // namespace kerncast::tools
