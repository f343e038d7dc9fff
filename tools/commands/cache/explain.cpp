#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cache/cache.hpp"
#include "cache/posix/file.hpp"
#include "kerncast/runtime.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/commands/cache/key_difference.hpp"
#include "tools/io/output.hpp"
#include "tools/model/settings.hpp"
#include "tools/run/default_arch.hpp"

namespace kerncast::tools {
namespace {

struct ExplainOptions {
  std::string op;
  std::vector<std::string> settings;
  std::string arch;
  std::int64_t rows = 1;
};

/// A cached kernel of the op, and its differences from the wanted one.
struct StoredMatch {
  cache::Key key;
  std::string layer;
  std::string spec;
  std::string arch;
  std::vector<KeyDifference> differences;
};

class Search {
 public:
  Search(const OpDefinition& op, const KeyReport& wanted) : op_(op), wanted_(wanted) {}

  void visit(const std::string& layer, const cache::Key& key, const cache::Entry& entry) {
    if (entry.op != op_.name) {
      return;
    }
    ++seen_;
    StoredMatch candidate{key, layer, entry.spec, entry.arch,
                          key_differences(op_, entry.key_fields, wanted_.key_fields)};
    if (!nearest_ || distance(candidate.differences) < distance(nearest_->differences)) {
      nearest_ = std::move(candidate);
    }
  }
  [[nodiscard]] const std::optional<StoredMatch>& nearest() const { return nearest_; }
  [[nodiscard]] std::size_t seen() const { return seen_; }

 private:
  const OpDefinition& op_;
  const KeyReport& wanted_;
  std::optional<StoredMatch> nearest_;
  std::size_t seen_ = 0;
};

/// Reads the files directly, so that the search counts neither as a use nor as a miss.
Search search(CommandContext& context, const OpDefinition& op, const KeyReport& wanted) {
  cache::Cache cache(cache::options_from_environment(),
                     [&context](std::string_view text) { context.console.warning(text); });
  Search out(op, wanted);
  for (const cache::StoredFile& file : cache.store().list()) {
    const std::optional<std::string> bytes = cache::read_file(file.path, cache::max_entry_bytes);
    if (const cache::ParsedEntry parsed = bytes ? cache::parse(file.key, *bytes) : cache::ParsedEntry{};
        parsed.entry) {
      out.visit(cache.store().root(), file.key, *parsed.entry);
    }
  }
  for (const auto& layer : cache.read_only()) {
    layer->for_each(
        [&](const cache::Key& key, const cache::Entry& entry) { out.visit(layer->name(), key, entry); });
  }
  return out;
}

Json to_json(const StoredMatch& candidate) {
  Json json = {{"key", candidate.key.hex()},
               {"layer", candidate.layer},
               {"spec", candidate.spec},
               {"arch", candidate.arch}};
  json["differences"] = Json::array();
  for (const KeyDifference& difference : candidate.differences) {
    json["differences"].push_back({{"field", difference.field},
                                   {"name", difference.name},
                                   {"cached", difference.cached},
                                   {"wanted", difference.wanted},
                                   {"text", difference.text}});
  }
  return json;
}

int explain(CommandContext& context, const ExplainOptions& options) {
  const OpDefinition& op = require_op(options.op);
  const Specialisation spec = specialise_settings(op, parse_settings(op, options.settings));
  if (!options.arch.empty()) {
    check_arch(options.arch);
  }
  require_readable(open_store(context));
  Runtime runtime(context.runtime_options());
  const std::string arch = options.arch.empty() ? default_arch(runtime, context.console) : options.arch;
  const KeyReport wanted = runtime.identify(op, spec, arch, options.rows);
  const Search result = search(context, op, wanted);
  const bool hit = result.nearest() && result.nearest()->key.hex() == wanted.key;
  if (context.json) {
    Json json = {{"op", op.name},        {"spec", wanted.spec},         {"arch", arch},
                 {"rows", options.rows}, {"tunables", wanted.tunables}, {"key", wanted.key},
                 {"hit", hit},           {"candidates", result.seen()}};
    json["nearest"] = result.nearest() ? to_json(*result.nearest()) : Json();
    print_json(json);
    return exit_fine;
  }
  print(fmt::format("{} [{}] for {}, tunables {}\nkey {}\n", op.name, wanted.spec, arch, wanted.tunables,
                    wanted.key));
  if (hit) {
    print(fmt::format("hit: the kernel is in {}\n", result.nearest()->layer));
  } else if (!result.nearest()) {
    print(fmt::format("miss: no layer has a kernel of {}\n", op.name));
  } else {
    const StoredMatch& nearest = *result.nearest();
    print(fmt::format(
        "miss: the nearest of {} cached kernels is {} [{}] for {} in {}; the wanted kernel differs by:\n",
        result.seen(), nearest.key.hex(), nearest.spec, nearest.arch, nearest.layer));
    for (const KeyDifference& difference : nearest.differences) {
      print(fmt::format("  {}\n", difference.text));
    }
  }
  return exit_fine;
}

}  // namespace

void add_cache_explain_command(const Command& cache, CommandContext& context) {
  const Command command = cache.add(
      "explain", "Say whether a kernel is cached; if not, show the nearest cached kernel and what differs");
  const auto options = std::make_shared<ExplainOptions>();
  command.option("op", options->op, "Op, such as norm.rms_norm").required();
  command.option("--set", options->settings, "Compile-time parameters; may be repeated")
      .value_name("NAME=VALUE");
  command.option("--arch", options->arch, "Architecture; default: that of the first device, else sm_90a");
  command.option("--rows", options->rows, "Row count to choose tunables for").shows_default().positive();
  command.json_flag();
  command.action([&context, options] { return explain(context, *options); });
}

}  // namespace kerncast::tools
