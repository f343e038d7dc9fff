#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/cache.hpp"
#include "cache/entry.hpp"
#include "cache/layout.hpp"
#include "cache/posix/file.hpp"
#include "cache/signature/public_key.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "kerncast/error.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/commands/key_field_list.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

struct ShowOptions {
  std::string key;
  bool ptx = false;
  std::string cubin;
};

constexpr std::size_t fewest_digits = 6;
constexpr std::size_t all_digits = 32;

/// An entry and where it is.
struct FoundEntry {
  cache::Key key;
  cache::Entry entry;
  std::string layer;              ///< path of the layer; empty for a file that the user named
  std::string file;               ///< path of the entry's file, or of the pack that has it
  std::vector<std::string> also;  ///< other layers that have an entry of this key
};

bool names_file(const std::string& text) {
  return text.find('/') != std::string::npos || text.ends_with(cache::layout::entry_suffix);
}

/// The beginning of a key that `text` spells, in lower case. Throws UsageError.
std::string require_prefix(const std::string& text) {
  std::string prefix = text;
  std::transform(prefix.begin(), prefix.end(), prefix.begin(),
                 [](unsigned char digit) { return static_cast<char>(std::tolower(digit)); });
  if (prefix.size() < fewest_digits || prefix.size() > all_digits ||
      prefix.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw UsageError(fmt::format("'{}' is neither {} to {} hex digits of a key nor the path of an entry file",
                                 text, fewest_digits, all_digits));
  }
  return prefix;
}

FoundEntry read_entry_file(const std::string& path) {
  const std::string bytes = read_file(path, cache::max_entry_bytes);
  const std::optional<cache::Key> key = cache::claimed_key(bytes);
  cache::ParsedEntry parsed = cache::parse(key.value_or(cache::Key{}), bytes);
  if (!parsed.entry) {
    throw Error(ErrorCode::io_error, fmt::format("{} is not a valid cache entry: {}", path, parsed.defect));
  }
  return {*key, std::move(*parsed.entry), {}, path, {}};
}

/// The entries whose keys begin with a prefix, in the order in which a look-up finds them.
class EntrySearch {
 public:
  explicit EntrySearch(std::string prefix) : prefix_(std::move(prefix)) {}

  void look_in(const cache::Store& store) {
    for (const cache::StoredFile& file : store.list()) {
      if (file.key.hex().starts_with(prefix_)) {
        look_at(store, file);
      }
    }
  }
  void look_in(cache::ReadOnlyLayer& layer) {
    if (const std::optional<cache::Key> key = cache::Key::from_hex(prefix_)) {
      cache::LayerAnswer answer = layer.load(*key);
      if (answer.entry) {
        add({*key, std::move(*answer.entry), layer.name(), layer.name(), {}});
      } else if (!answer.defect.empty()) {
        defects_.push_back(fmt::format("{}: {}", layer.name(), answer.defect));
      }
      return;
    }
    layer.for_each([&](const cache::Key& key, const cache::Entry& entry) {
      if (key.hex().starts_with(prefix_)) {
        add({key, entry, layer.name(), layer.name(), {}});
      }
    });
  }
  /// The one entry that was found. Throws Error(not_found) if there is none, Error(io_error) if there are
  /// only unsound ones, and UsageError if there are several.
  [[nodiscard]] FoundEntry result() const {
    if (found_.size() == 1) {
      return found_.begin()->second;
    }
    if (found_.empty()) {
      if (!defects_.empty()) {
        throw Error(ErrorCode::io_error,
                    fmt::format("the entry {} cannot be shown: {}", prefix_, fmt::join(defects_, "; ")));
      }
      throw Error(ErrorCode::not_found,
                  fmt::format("neither the cache directory nor a read-only layer has an entry {}; `kerncast "
                              "cache ls` lists the keys of the directory",
                              prefix_));
    }
    std::vector<std::string> keys;
    for (const auto& [key, found] : found_) {
      keys.push_back(
          fmt::format("{} ({} [{}] for {})", key.hex(), found.entry.op, found.entry.spec, found.entry.arch));
      if (keys.size() == most_named) {
        break;
      }
    }
    throw UsageError(fmt::format("{} is the beginning of {} keys; write more digits: {}{}", prefix_,
                                 found_.size(), fmt::join(keys, ", "),
                                 found_.size() > keys.size() ? ", ..." : ""));
  }

 private:
  static constexpr std::size_t most_named = 8;

  void look_at(const cache::Store& store, const cache::StoredFile& file) {
    const std::optional<std::string> bytes = cache::read_file(file.path, cache::max_entry_bytes);
    if (!bytes) {
      defects_.push_back(fmt::format("{} cannot be read", file.path));
      return;
    }
    cache::ParsedEntry parsed = cache::parse(file.key, *bytes);
    if (parsed.entry) {
      add({file.key, std::move(*parsed.entry), store.root(), file.path, {}});
    } else {
      defects_.push_back(fmt::format("{}: {}", file.path, parsed.defect));
    }
  }
  void add(FoundEntry found) {
    const auto [place, is_new] = found_.try_emplace(found.key, found);
    if (!is_new) {
      place->second.also.push_back(found.layer);
    }
  }

  std::string prefix_;
  std::map<cache::Key, FoundEntry> found_;
  std::vector<std::string> defects_;
};

/// Reads files and layers directly, so that the search counts neither as a use nor as a miss.
FoundEntry find_entry(CommandContext& context, const ShowOptions& options) {
  if (names_file(options.key)) {
    return read_entry_file(options.key);
  }
  EntrySearch search(require_prefix(options.key));
  cache::CacheOptions cache_options = cache::options_from_environment();
  // An entry is also shown if nobody trusts who signed it.
  cache_options.trusted_keys.clear();
  cache_options.signing_key.clear();
  cache::Cache cache(std::move(cache_options),
                     [&context](std::string_view text) { context.console.warning(text); });
  if (!cache.store().root().empty()) {
    require_readable(cache.store());
    search.look_in(cache.store());
  }
  for (const auto& layer : cache.read_only()) {
    search.look_in(*layer);
  }
  return search.result();
}

const char* name_of(cache::SignatureState state) {
  switch (state) {
    case cache::SignatureState::trusted:
      return "trusted";
    case cache::SignatureState::stranger:
      return "not trusted";
    case cache::SignatureState::wrong:
      break;
  }
  return "wrong";
}

const char* name_of(cache::CopySource source) {
  switch (source) {
    case cache::CopySource::compiled:
      return "compiled";
    case cache::CopySource::layer:
      return "layer";
    case cache::CopySource::server:
      return "server";
    case cache::CopySource::pack:
      return "pack";
    case cache::CopySource::unknown:
      break;
  }
  return "unknown";
}

const char* explanation_of(cache::SignatureState state) {
  switch (state) {
    case cache::SignatureState::trusted:
      return "by a key of KERNCAST_TRUSTED_KEYS";
    case cache::SignatureState::stranger:
      return "sound, and not by a key of KERNCAST_TRUSTED_KEYS";
    case cache::SignatureState::wrong:
      break;
  }
  return "not of this content";
}

Json to_json(const std::optional<cache::Provenance>& provenance) {
  if (!provenance) {
    return {};
  }
  return {{"build", provenance->build}, {"compiled", provenance->compiled_s},
          {"host", provenance->host},   {"source", name_of(provenance->source)},
          {"from", provenance->from},   {"copied", provenance->copied_s}};
}

Json to_json(const FoundEntry& found, const std::vector<cache::SignatureState>& states, bool with_ptx) {
  const cache::Entry& entry = found.entry;
  Json json = {{"key", found.key.hex()},
               {"op", entry.op},
               {"spec", entry.spec},
               {"arch", entry.arch},
               {"lowered_name", entry.lowered_name},
               {"cubin_bytes", entry.cubin.size()},
               {"ptx_bytes", entry.ptx.size()},
               {"layer", found.layer},
               {"file", found.file},
               {"also", found.also}};
  json["resources"] = Json::object();
  for (const auto& [name, value] : entry.resources) {
    json["resources"][name] = value;
  }
  json["signatures"] = Json::array();
  for (std::size_t i = 0; i < states.size(); ++i) {
    json["signatures"].push_back(
        {{"signer", cache::format_public_key(entry.signatures[i].signer)}, {"state", name_of(states[i])}});
  }
  json["provenance"] = to_json(entry.provenance);
  json["key_fields"] = key_fields_json(entry.key_fields);
  if (with_ptx) {
    json["ptx"] = entry.ptx;
  }
  return json;
}

/// The time `seconds` as text; 0 is none.
std::string time_text(std::int64_t seconds) {
  return seconds == 0 ? "not known" : utc_time(seconds) + " UTC";
}

void add_provenance(const std::optional<cache::Provenance>& provenance, Table& table) {
  if (!provenance) {
    table.add_row({"provenance", "not known"});
    return;
  }
  table.add_row({"compiled by", provenance->build.empty() ? "not known" : "kerncast " + provenance->build});
  table.add_row({"compiled at", time_text(provenance->compiled_s)});
  if (!provenance->host.empty()) {
    table.add_row({"compiled on", provenance->host});
  }
  table.add_row({"came from", cache::origin_text(*provenance)});
  if (provenance->source != cache::CopySource::compiled) {
    table.add_row({"copied at", time_text(provenance->copied_s)});
  }
}

void print_found(const FoundEntry& found, const std::vector<cache::SignatureState>& states) {
  const cache::Entry& entry = found.entry;
  Table table({{"op"}, {entry.op}});
  table.add_row({"specialisation", entry.spec});
  table.add_row({"architecture", entry.arch});
  table.add_row({"kernels", entry.lowered_name});
  table.add_row({"cubin", human_bytes(entry.cubin.size())});
  table.add_row({"PTX", human_bytes(entry.ptx.size())});
  for (const auto& [name, value] : entry.resources) {
    table.add_row({name, fmt::format("{}", value)});
  }
  table.add_row({"key", found.key.hex()});
  if (!found.layer.empty()) {
    table.add_row({"layer", found.layer});
  }
  table.add_row({"file", found.file});
  for (const std::string& layer : found.also) {
    table.add_row({"also in", layer});
  }
  add_provenance(entry.provenance, table);
  if (states.empty()) {
    table.add_row({"signatures", "none"});
  }
  for (std::size_t i = 0; i < states.size(); ++i) {
    table.add_row({"signed by", fmt::format("{}: {}", cache::format_public_key(entry.signatures[i].signer),
                                            explanation_of(states[i]))});
  }
  print(table);
  print_key_fields(entry.key_fields);
}

void write_cubin(const ShowOptions& options, const FoundEntry& found) {
  if (found.entry.cubin.empty()) {
    throw Error(ErrorCode::not_found, fmt::format("{} has no cubin to write; it has only PTX", options.key));
  }
  AtomicOutput output(options.cubin);
  output.write(found.entry.cubin.data(), found.entry.cubin.size());
  output.commit();
}

int show_entry(CommandContext& context, const ShowOptions& options) {
  context.prepare_output(options.cubin);
  const FoundEntry found = find_entry(context, options);
  if (!options.cubin.empty()) {
    write_cubin(options, found);
  }
  if (options.ptx && !context.json) {
    print_exact(found.entry.ptx);
    return exit_fine;
  }
  if (!options.cubin.empty() && !context.json) {
    return exit_fine;
  }
  const cache::TrustedKeys trusted(cache::options_from_environment().trusted_keys,
                                   [&context](std::string_view text) { context.console.warning(text); });
  const std::vector<cache::SignatureState> states = trusted.states_of(found.key, found.entry);
  if (context.json) {
    print_json(to_json(found, states, options.ptx));
  } else {
    print_found(found, states);
  }
  return exit_fine;
}

}  // namespace

void add_cache_show_command(const Command& cache, CommandContext& context) {
  const Command command =
      cache.add("show",
                "Show everything about one entry: kernels, sizes, resources, key, signatures, and "
                "where it came from");
  const auto options = std::make_shared<ShowOptions>();
  command
      .option("key", options->key, "At least 6 hex digits that only its key begins with, or path of its file")
      .required();
  command.flag("--ptx", options->ptx, "Print only the PTX; with --json, add it");
  command.option("--cubin", options->cubin, "Write the cubin to a file, for cuobjdump").value_name("FILE");
  command.json_flag();
  command.action([&context, options] { return show_entry(context, *options); });
}

}  // namespace kerncast::tools
