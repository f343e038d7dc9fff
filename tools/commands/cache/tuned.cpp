#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "cache/cache.hpp"
#include "cache/signature/public_key.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "kerncast/op_definition.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

std::string rows_text(const cache::TunedRecord& record) {
  return record.rows_high == std::numeric_limits<std::int64_t>::max()
             ? fmt::format("{}..", record.rows_low)
             : fmt::format("{}..{}", record.rows_low, record.rows_high);
}

/// "current" if the op's templates are still those that were tuned, else "stale"; "unknown" for an op that
/// the library does not have.
std::string state_of(const KernelBuilder& builder, const cache::TunedRecord& record) {
  const OpDefinition* op = OpRegistry::instance().find(record.op);
  if (op == nullptr) {
    return "unknown";
  }
  return builder.templates_digest(*op) == record.templates ? "current" : "stale";
}

class Listing {
 public:
  explicit Listing(const KernelBuilder& builder) : builder_(builder) {}

  void add(const std::string& layer, const std::vector<cache::TunedRecord>& records) {
    for (const cache::TunedRecord& record : records) {
      add(layer, record);
    }
  }
  void show(const CommandContext& context) const {
    if (context.json) {
      print_json(json_);
    } else if (table_.empty()) {
      print(
          "no tuned records: ops use their own choice of tunables; records come with packs "
          "(kerncast cache import) and read-only layers\n");
    } else {
      print(table_);
    }
  }

 private:
  void add(const std::string& layer, const cache::TunedRecord& record) {
    const std::string state = state_of(builder_, record);
    const std::int64_t seconds = record.recorded_us / 1'000'000;
    Json signers = Json::array();
    for (const cache::Signature& signature : record.signatures) {
      signers.push_back(cache::format_public_key(signature.signer));
    }
    Json tunables = Json::object();
    for (const auto& [name, value] : record.tunables) {
      tunables[name] = value;
    }
    json_.push_back({{"op", record.op},
                     {"spec", record.spec},
                     {"arch", record.arch},
                     {"rows_low", record.rows_low},
                     {"rows_high", record.rows_high},
                     {"source", cache::name_of(record.source)},
                     {"device", record.device},
                     {"tunables", std::move(tunables)},
                     {"time_us", record.time_us},
                     {"templates", record.templates},
                     {"state", state},
                     {"recorded", seconds},
                     {"signers", std::move(signers)},
                     {"layer", layer}});
    table_.add_row({record.op, record.spec, record.arch, rows_text(record), cache::format_tunables(record),
                    fixed(record.time_us, 2),
                    fmt::format("{} {}", cache::name_of(record.source), record.device), state,
                    utc_time(seconds), layer});
  }

  const KernelBuilder& builder_;
  Json json_ = Json::array();
  Table table_{{{"op"},
                {"specialisation"},
                {"arch"},
                {"rows"},
                {"tunables"},
                {"us", Align::right},
                {"from"},
                {"templates"},
                {"recorded (UTC)"},
                {"layer"}}};
};

/// Says how many of `records` no launch uses, since they are not signed as KERNCAST_TRUSTED_KEYS demands.
void warn_of_untrusted(CommandContext& context, const cache::TrustedKeys& trusted, const std::string& layer,
                       const std::vector<cache::TunedRecord>& records) {
  const auto count = std::count_if(records.begin(), records.end(), [&](const cache::TunedRecord& record) {
    return !trusted.defect_of(record).empty();
  });
  if (count > 0) {
    context.console.warning(fmt::format("{} of {} not used: no key of KERNCAST_TRUSTED_KEYS has signed {}",
                                        counted(static_cast<std::uint64_t>(count), "tuned record"),
                                        layer + (count == 1 ? " is" : " are"), count == 1 ? "it" : "them"));
  }
}

int list_tuned(CommandContext& context) {
  Runtime runtime(context.runtime_options());
  cache::Cache& cache = implementation_of(runtime).cache;
  Listing listing(implementation_of(runtime).builder);
  listing.add(cache.store().root(), require_tuned(cache.tuning()));
  const cache::TrustedKeys trusted(cache::options_from_environment().trusted_keys, nullptr);
  bool complete = true;
  for (const auto& layer : cache.read_only()) {
    std::string defect;
    const std::vector<cache::TunedRecord> records = layer->tuned(defect);
    listing.add(layer->name(), records);
    warn_of_untrusted(context, trusted, layer->name(), records);
    if (!defect.empty()) {
      complete = false;
      context.console.error(fmt::format("the tuned records of {} cannot be read: {}", layer->name(), defect));
    }
  }
  listing.show(context);
  return complete ? exit_fine : exit_failed;
}

}  // namespace

void add_cache_tuned_command(const Command& cache, CommandContext& context) {
  const Command command = cache.add(
      "tuned", "List the tuned records of the cache and its read-only layers, and whether each still holds");
  command.json_flag();
  command.action([&context] { return list_tuned(context); });
}

}  // namespace kerncast::tools
