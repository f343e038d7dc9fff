#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "kerncast/runtime.hpp"
#include "tools/commands/command.hpp"
#include "tools/commands/key_field_list.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/settings.hpp"
#include "tools/run/default_arch.hpp"

namespace kerncast::tools {
namespace {

struct InspectOptions {
  std::string what;
  std::vector<std::string> settings;
  std::vector<std::string> tunables;
  std::string arch;
  std::int64_t rows = 1;
  bool source = false;
  bool ptx = false;
  std::string extract;
};

/// Prints only the requested texts, so that they can be piped. A line before each tells two apart; it is a
/// comment in both languages. True if any was requested.
bool print_texts(const InspectOptions& options, const std::string& source, const std::string& ptx) {
  const bool both = options.source && options.ptx;
  if (options.source) {
    print(both ? "// ======== source ========\n" : "");
    print_exact(source);
  }
  if (options.ptx) {
    print(both ? (source.ends_with('\n') ? "// ======== PTX ========\n" : "\n// ======== PTX ========\n")
               : "");
    print_exact(ptx);
  }
  return options.source || options.ptx;
}

/// Writes the cubin to the file that --extract names, if it does.
void extract(const InspectOptions& options, const std::string& cubin) {
  if (options.extract.empty()) {
    return;
  }
  if (cubin.empty()) {
    throw Error(ErrorCode::not_found,
                fmt::format("{} has no cubin to extract; it has only PTX", options.what));
  }
  AtomicOutput output(options.extract);
  output.write(cubin.data(), cubin.size());
  output.commit();
}

/// True if writing the cubin was all that was asked for.
bool only_extracts(CommandContext& context, const InspectOptions& options) {
  return !options.extract.empty() && !context.json && !options.source && !options.ptx;
}

std::string_view name_of(TunablesOrigin origin) {
  switch (origin) {
    case TunablesOrigin::tuned:
      return "tuned";
    case TunablesOrigin::given:
      return "given";
    case TunablesOrigin::defaults:
      break;
  }
  return "defaults";
}

int inspect_op(CommandContext& context, const InspectOptions& options) {
  const OpDefinition& op = require_op(options.what);
  context.prepare_output(options.extract);
  const Settings settings = parse_settings(op, options.settings);
  const Specialisation spec = specialise_settings(op, settings);
  const std::optional<Tunables> tunables = parse_tunable_settings(op, options.tunables);
  if (!options.arch.empty()) {
    check_arch(options.arch);
  }
  Runtime runtime(context.runtime_options());
  const std::string arch = options.arch.empty() ? default_arch(runtime, context.console) : options.arch;
  const KernelReport report = runtime.inspect(op, spec, arch, options.rows, tunables);
  extract(options, report.cubin);
  if (only_extracts(context, options)) {
    return exit_fine;
  }
  if (context.json) {
    print_json({{"op", report.op},
                {"spec", report.spec},
                {"arch", report.arch},
                {"rows", options.rows},
                {"tunables", report.tunables},
                {"tunables_origin", name_of(report.tunables_origin)},
                {"tuned_record", report.tuned_record.empty() ? Json() : Json(report.tuned_record)},
                {"registers", report.registers},
                {"spill_store_bytes", report.spill_store_bytes},
                {"spill_load_bytes", report.spill_load_bytes},
                {"shared_bytes", report.shared_bytes},
                {"local_bytes", report.local_bytes},
                {"compile_ms", report.compile_ms},
                {"cubin_bytes", report.cubin.size()},
                {"lowered_name", report.lowered_name},
                {"key", report.key},
                {"key_fields", key_fields_json(report.key_fields)},
                {"source", report.source},
                {"ptx", report.ptx}});
    return exit_fine;
  }
  if (print_texts(options, report.source, report.ptx)) {
    return exit_fine;
  }
  Table table({{"op"}, {report.op}});
  table.add_row({"specialisation", report.spec});
  table.add_row({"architecture", report.arch});
  table.add_row({"tunables", report.tunables});
  table.add_row({"", report.tunables_origin == TunablesOrigin::tuned
                         ? "tuned: " + report.tuned_record
                         : std::string(report.tunables_origin == TunablesOrigin::given
                                           ? "given by --tunables"
                                           : "the op's defaults; there is no tuned record")});
  table.add_row({"registers", fmt::format("{} per thread", report.registers)});
  table.add_row({"spills", fmt::format("{} bytes stored, {} loaded", report.spill_store_bytes,
                                       report.spill_load_bytes)});
  table.add_row({"shared memory", human_bytes(static_cast<std::uint64_t>(std::max(0, report.shared_bytes)))});
  table.add_row({"local memory", fmt::format("{} per thread", human_bytes(static_cast<std::uint64_t>(
                                                                  std::max(0, report.local_bytes))))});
  table.add_row({"compile", fixed(report.compile_ms, 1) + " ms"});
  table.add_row({"cubin", human_bytes(report.cubin.size())});
  table.add_row({"PTX", human_bytes(report.ptx.size())});
  table.add_row({"entry point", report.lowered_name});
  table.add_row({"key", report.key});
  print(table);
  print_key_fields(report.key_fields);
  return exit_fine;
}

/// Throws UsageError for options that choose a kernel, since a cache entry is one.
void check_file_options(const Command& command) {
  for (const char* option : {"--set", "--arch", "--rows", "--tunables"}) {
    if (command.given(option)) {
      throw UsageError(fmt::format("{} goes with an op only; a cache entry is one kernel", option));
    }
  }
}

int inspect_file(CommandContext& context, const InspectOptions& options) {
  constexpr std::uint64_t limit = std::uint64_t{1} << 32;
  context.prepare_output(options.extract);
  const std::string bytes = read_file(options.what, limit);
  const std::optional<cache::Key> key = cache::claimed_key(bytes);
  const cache::ParsedEntry parsed = cache::parse(key.value_or(cache::Key{}), bytes);
  if (!key || !parsed.entry) {
    throw Error(ErrorCode::io_error,
                fmt::format("{} is not a valid cache entry: {}", options.what,
                            parsed.defect.empty() ? std::string("it has no key") : parsed.defect));
  }
  const cache::Entry& entry = *parsed.entry;
  extract(options, entry.cubin);
  if (only_extracts(context, options)) {
    return exit_fine;
  }
  // The generated source is one of the key's fields.
  const auto source = std::find_if(entry.key_fields.begin(), entry.key_fields.end(),
                                   [](const auto& field) { return field.first == "source"; });
  const std::string source_text = source == entry.key_fields.end() ? std::string() : source->second;
  if (context.json) {
    Json json = {{"op", entry.op},
                 {"spec", entry.spec},
                 {"arch", entry.arch},
                 {"key", key->hex()},
                 {"lowered_name", entry.lowered_name},
                 {"cubin_bytes", entry.cubin.size()}};
    json["resources"] = Json::object();
    for (const auto& [name, value] : entry.resources) {
      json["resources"][name] = value;
    }
    json["key_fields"] = key_fields_json(entry.key_fields);
    json["source"] = source_text;
    json["ptx"] = entry.ptx;
    print_json(json);
    return exit_fine;
  }
  if (print_texts(options, source_text, entry.ptx)) {
    return exit_fine;
  }
  Table table({{"op"}, {entry.op}});
  table.add_row({"specialisation", entry.spec});
  table.add_row({"architecture", entry.arch});
  for (const auto& [name, value] : entry.resources) {
    table.add_row({name, fmt::format("{}", value)});
  }
  table.add_row({"cubin", human_bytes(entry.cubin.size())});
  table.add_row({"PTX", human_bytes(entry.ptx.size())});
  table.add_row({"entry point", entry.lowered_name});
  table.add_row({"key", key->hex()});
  print(table);
  print_key_fields(entry.key_fields);
  return exit_fine;
}

}  // namespace

void add_inspect_command(const Command& root, CommandContext& context) {
  const Command command = root.add(
      "inspect",
      "Show what a specialisation of an op compiles to: source, PTX, registers, spills, memory, key");
  const auto options = std::make_shared<InspectOptions>();
  command.option("what", options->what, "Op, such as norm.rms_norm, or the path of a cache entry (.kce)")
      .required();
  command.option("--set", options->settings, "Compile-time parameters; may be repeated")
      .value_name("NAME=VALUE");
  command.option("--arch", options->arch, "Architecture; default: that of the first device, else sm_90a");
  command.option("--rows", options->rows, "Row count to choose tunables for").shows_default().positive();
  command
      .option("--tunables", options->tunables,
              "Tunables to use instead of the tuned ones or the op's defaults, such as threads=256; all of "
              "the op's "
              "tunables must be given")
      .value_name("NAME=VALUE");
  command.flag("--source", options->source, "Print only the generated source");
  command.flag("--ptx", options->ptx, "Print only the PTX");
  command.option("--extract", options->extract, "Write the cubin to a file, for cuobjdump")
      .value_name("FILE");
  command.json_flag();
  command.action([&context, options, command] {
    if (!options->what.ends_with(".kce")) {
      return inspect_op(context, *options);
    }
    check_file_options(command);
    return inspect_file(context, *options);
  });
}

}  // namespace kerncast::tools
