#include "tools/commands/cache/tuned_layers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cache/cache.hpp"
#include "cache/signature/public_key.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "kerncast/op_definition.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/commands/cache/cache_command.hpp"

namespace kerncast::tools {

std::vector<TunedLayer> tuned_layers(CommandContext& context, Runtime& runtime, bool& complete) {
  cache::Cache& cache = implementation_of(runtime).cache;
  const cache::TrustedKeys trusted(cache::options_from_environment().trusted_keys, nullptr);
  std::vector<TunedLayer> layers;
  layers.push_back({cache.store().root(), require_tuned(cache.tuning()), {}});
  for (const auto& layer : cache.read_only()) {
    std::string defect;
    TunedLayer out{layer->name(), layer->tuned(defect), {}};
    if (!defect.empty()) {
      complete = false;
      context.console.error(fmt::format("the tuned records of {} cannot be read: {}", layer->name(), defect));
      continue;
    }
    for (std::size_t i = 0; i < out.records.size(); ++i) {
      if (!trusted.defect_of(out.records[i]).empty()) {
        out.untrusted.push_back(i);
      }
    }
    layers.push_back(std::move(out));
  }
  layers.push_back({cache::built_in_layer, cache.built_in_tuned(), {}});
  return layers;
}

void warn_of_untrusted(CommandContext& context, const std::vector<TunedLayer>& layers) {
  for (const TunedLayer& layer : layers) {
    if (const std::size_t count = layer.untrusted.size(); count > 0) {
      context.console.warning(fmt::format(
          "{} of {} not used: no key of KERNCAST_TRUSTED_KEYS has signed {}", counted(count, "tuned record"),
          layer.name + (count == 1 ? " is" : " are"), count == 1 ? "it" : "them"));
    }
  }
}

TunedState state_of(const KernelBuilder& builder, const cache::TunedRecord& record) {
  const OpDefinition* op = OpRegistry::instance().find(record.op);
  if (op == nullptr) {
    return TunedState::unknown;
  }
  return builder.templates_digest(*op, record.spec) == record.templates ? TunedState::current
                                                                        : TunedState::stale;
}

const char* name_of(TunedState state) {
  switch (state) {
    case TunedState::current:
      return "current";
    case TunedState::stale:
      return "stale";
    case TunedState::unknown:
      break;
  }
  return "unknown";
}

Json to_json(const ListedRecord& listed) {
  const cache::TunedRecord& record = *listed.record;
  Json signers = Json::array();
  for (const cache::Signature& signature : record.signatures) {
    signers.push_back(cache::format_public_key(signature.signer));
  }
  Json tunables = Json::object();
  for (const auto& [name, value] : record.tunables) {
    tunables[name] = value;
  }
  const bool detailed = cache::has_details(record);
  const auto detail = [detailed](auto value) { return detailed ? Json(std::move(value)) : Json(); };
  return {{"op", record.op},
          {"spec", record.spec},
          {"arch", record.arch},
          {"rows_low", record.rows_low},
          {"rows_high", record.rows_high},
          {"source", cache::name_of(record.source)},
          {"device", record.device},
          {"tunables", std::move(tunables)},
          {"time_us", record.time_us},
          {"low_us", detail(record.low_us)},
          {"high_us", detail(record.high_us)},
          {"default_us", detail(record.default_us)},
          {"gain", detailed && record.default_us > 0 ? Json(1 - record.time_us / record.default_us) : Json()},
          {"trials", detail(record.trials)},
          {"policy", detail(record.policy)},
          {"data", detail(record.data)},
          {"compiler", detail(record.compiler)},
          {"driver", detail(record.driver)},
          {"tool", detail(record.tool)},
          {"templates", record.templates},
          {"state", name_of(listed.state)},
          {"recorded", record.recorded_us / 1'000'000},
          {"signers", std::move(signers)},
          {"layer", listed.layer}};
}

int list_records(CommandContext& context, const std::function<bool(const cache::TunedRecord& record)>& wants,
                 const std::function<void(const ListedRecord& record)>& add,
                 const std::function<void(std::size_t count)>& done) {
  Runtime runtime(context.runtime_options());
  bool complete = true;
  const std::vector<TunedLayer> layers = tuned_layers(context, runtime, complete);
  Json json = Json::array();
  std::size_t count = 0;
  for (const TunedLayer& layer : layers) {
    for (std::size_t i = 0; i < layer.records.size(); ++i) {
      if (!wants(layer.records[i])) {
        continue;
      }
      const bool trusted =
          std::find(layer.untrusted.begin(), layer.untrusted.end(), i) == layer.untrusted.end();
      const ListedRecord listed{&layer.records[i],
                                state_of(implementation_of(runtime).builder, layer.records[i]), layer.name,
                                trusted};
      ++count;
      if (context.json) {
        json.push_back(to_json(listed));
      } else {
        add(listed);
      }
    }
  }
  warn_of_untrusted(context, layers);
  done(count);
  if (context.json) {
    print_json(json);
  }
  return complete ? exit_fine : exit_failed;
}

void print_no_records() {
  print(
      "no tuned records: ops use their own choice of tunables; records come from kerncast tune, with packs "
      "(kerncast cache import) and read-only layers\n");
}

}  // namespace kerncast::tools
