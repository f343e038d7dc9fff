#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/dispatch/tunables/launch_defect.hpp"
#include "tests/templates/definition_checks.hpp"
#include "tests/templates/suite/derived_cases.hpp"
#include "tests/templates/suite/op_suite.hpp"
#include "tools/model/model_config.hpp"
#include "tools/model/shipped_models.hpp"

namespace kerncast::test {
namespace {

constexpr std::array devices = {DeviceTraits{}, DeviceTraits{.sm = 80, .sm_count = 108},
                                DeviceTraits{.sm = 75, .sm_count = 40},
                                DeviceTraits{.sm = 121, .sm_count = 20}};

/// Row counts on both sides of what blocks, warps, buckets and 32-bit indices hold.
constexpr std::array<std::int64_t, 12> row_counts = {1,
                                                     2,
                                                     31,
                                                     33,
                                                     129,
                                                     1000,
                                                     8192,
                                                     8193,
                                                     1'000'000,
                                                     (std::int64_t{1} << 31) - 1,
                                                     std::int64_t{1} << 31,
                                                     std::int64_t{1} << 33};

/// The specialisations that the suite reaches, and some of other widths, each once.
std::vector<Specialisation> specialisations_of(const OpDefinition& op) {
  const Settings ordinary = ordinary_settings(op);
  std::vector<Settings> settings = variants_of(op);
  settings.push_back(ordinary);
  for (const auto& [name, value] : ordinary) {
    for (const char* width : {"1", "33", "512", "2880", "7168", "65536"}) {
      settings.push_back(with_setting(ordinary, name, width));
    }
  }
  std::vector<Specialisation> all;
  for (const Settings& item : settings) {
    const std::optional<OpCase> test = try_derived_case(op, item, 1, Inputs::empty);
    if (!test) {
      continue;
    }
    const Specialisation spec = bind_case(op, *test).spec;
    if (std::find(all.begin(), all.end(), spec) == all.end()) {
      all.push_back(spec);
    }
  }
  REQUIRE_FALSE(all.empty());
  return all;
}

void check_default_tunables(const OpDefinition& op) {
  for (const Specialisation& spec : specialisations_of(op)) {
    INFO(format_specialisation(op, spec));
    for (const DeviceTraits& device : devices) {
      for (int bucket = 0; bucket <= 14; ++bucket) {
        const RowRange rows = row_range(bucket);
        const Tunables chosen = op.default_tunables(spec, device, rows.lowest);
        check_choices(op, chosen);
        CHECK(launch_defect(op, spec, chosen, device, "the device", rows.lowest).empty());
        for (const std::int64_t other : {rows.lowest + (rows.highest - rows.lowest) / 2, rows.highest}) {
          INFO("sm_" << device.sm << ", " << rows.lowest << " and " << other << " rows");
          CHECK(op.default_tunables(spec, device, other) == chosen);
        }
      }
    }
  }
}

std::vector<LaunchGeometry> geometries_of(const OpDefinition& op, const Specialisation& spec,
                                          const Tunables& tunables, const DeviceTraits& device,
                                          std::int64_t rows) {
  std::vector<LaunchGeometry> stages = {op.geometry(spec, tunables, device, rows)};
  for (const LaterStage& stage : op.later_stages) {
    stages.push_back(stage.geometry(spec, tunables, device, rows));
  }
  return stages;
}

std::int64_t blocks_of(const LaunchGeometry& geometry) {
  return std::int64_t{geometry.grid[0]} * geometry.grid[1] * geometry.grid[2];
}

/// Checks the grids of growing row counts under the same tunables.
void check_grids(const OpDefinition& op, const Specialisation& spec, const Tunables& tunables,
                 const DeviceTraits& device) {
  const auto rows_per_block =
      std::find_if(op.tunables.begin(), op.tunables.end(),
                   [](const TunableSpec& tunable) { return tunable.name == "rows_per_block"; });
  std::int64_t most_before = 0;
  for (const std::int64_t rows : row_counts) {
    INFO(rows << " rows");
    std::int64_t most = 0;
    for (const LaunchGeometry& made : geometries_of(op, spec, tunables, device, rows)) {
      CHECK(made.grid[0] <= 0x7fffffffU);
      CHECK(made.grid[1] <= 65535);
      CHECK(made.grid[2] <= 65535);
      CHECK(made.block[0] * made.block[1] * made.block[2] >= 1);
      CHECK(made.block[0] * made.block[1] * made.block[2] <= 1024);
      most = std::max(most, blocks_of(made));
    }
    CHECK(most >= 1);
    // More rows never get fewer blocks.
    CHECK(most >= most_before);
    if (rows_per_block != op.tunables.end()) {
      CHECK(most * tunables[static_cast<std::size_t>(rows_per_block - op.tunables.begin())] >= rows);
    }
    most_before = most;
  }
}

void check_geometry(const OpDefinition& op) {
  for (const Specialisation& spec : specialisations_of(op)) {
    for (const DeviceTraits& device : devices) {
      for (const Tunables& tunables :
           {op.default_tunables(spec, device, 1), op.default_tunables(spec, device, 5000),
            all_tunables(op, spec, device, 1).front()}) {
        INFO(format_specialisation(op, spec) << ", sm_" << device.sm);
        check_grids(op, spec, tunables, device);
      }
    }
  }
}

/// A value of `param` that is valid and not `value`; as text. Empty if there is none.
std::string other_value(const OpDefinition& op, const ParamSpec& param, std::int32_t value) {
  for (const std::int32_t other :
       {value + 1, value - 1, value * 2, value / 2, value + param.multiple_of, 0, 1, 2, 3}) {
    try {
      check_param(op, param, other);
    } catch (const Error&) {
      continue;
    }
    if (other != value) {
      const std::string both = format_param(param, other);
      return both.substr(both.find('=') + 1);
    }
  }
  return {};
}

void check_settings(const OpDefinition& op) {
  const OpCase test = derived_case(op, ordinary_settings(op), 3);
  const Specialisation derived = bind_case(op, test).spec;
  int refused = 0;
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    const ParamSpec& param = op.params[i];
    const std::string other = other_value(op, param, derived[i]);
    if (other.empty()) {
      continue;
    }
    INFO(param.name << "=" << other);
    OpCase changed = test;
    changed.params = with_setting(changed.params, param.name, other);
    if (binds(op, changed)) {
      // The setting asks for another kernel: it is not passed over in silence.
      CHECK(bind_case(op, changed).spec[i] == parse_param(op, param, other));
    } else {
      ++refused;
      CHECK_THAT(message_of([&] { static_cast<void>(bind_case(op, changed)); }), Catch::Contains(op.name));
    }
  }
  CHECK(refused > 0);
  for (const ParamSpec& param : op.params) {
    if (!param.default_value) {
      Settings without = test.params;
      std::erase_if(without, [&](const auto& setting) { return setting.first == param.name; });
      CHECK_THAT(message_of([&] { static_cast<void>(specialise(op, without)); }),
                 Catch::Contains(param.name + " is required"));
    }
  }
  OpCase unknown = test;
  unknown.params.emplace_back("no_such_parameter", "1");
  CHECK_THAT(message_of([&] { static_cast<void>(bind_case(op, unknown)); }),
             Catch::Contains("no_such_parameter"));
}

void check_tensors(const OpDefinition& op) {
  const OpCase test = derived_case(op, ordinary_settings(op), 3);
  REQUIRE_FALSE(results_of(op, test).empty());
  for (const TensorSpec& spec : op.tensors) {
    if (spec.optional) {
      continue;
    }
    INFO(spec.name);
    OpCase missing = test;
    std::erase_if(missing.tensors, [&](const TensorCase& tensor) { return tensor.name == spec.name; });
    REQUIRE(missing.tensors.size() == test.tensors.size() - 1);
    CHECK_THAT(message_of([&] { static_cast<void>(bind_case(op, missing)); }),
               Catch::Contains(op.name) && Catch::Contains(spec.name));

    Views views = untouched_views(test);
    TensorView& view = views.at(spec.name);
    view.device = 1;
    if (op.tensors.size() > 1) {
      CHECK_THAT(message_of([&] { static_cast<void>(op.bind(bindings_of(test, views))); }),
                 Catch::Contains(op.name) && Catch::Contains("device 1"));
    }
    view.device = 0;
    view.data = nullptr;
    CHECK_THAT(message_of([&] { static_cast<void>(op.bind(bindings_of(test, views))); }),
               Catch::Contains(op.name) && Catch::Contains(spec.name));
  }
}

/// Bytes of the memory that `view` reaches over.
std::int64_t bytes_of(const TensorView& view) {
  std::int64_t elements = view.numel() > 0 ? 1 : 0;
  for (int i = 0; i < view.rank && elements > 0; ++i) {
    elements += (view.dim(i) - 1) * view.stride(i);
  }
  return elements * size_of(view.dtype);
}

void check_overlaps(const OpDefinition& op) {
  const OpCase test = derived_case(op, ordinary_settings(op), 3);
  const Views apart = untouched_views(test);
  int refused = 0;
  for (const TensorSpec& output : op.tensors) {
    if (output.direction == Direction::in || !apart.contains(output.name)) {
      continue;
    }
    for (const TensorSpec& other : op.tensors) {
      if (other.name == output.name || !apart.contains(other.name)) {
        continue;
      }
      INFO(output.name << " over " << other.name);
      Views views = apart;
      const TensorView& under = views.at(other.name);
      // Past the start, so that it is not the other tensor itself.
      views.at(output.name).data = static_cast<std::byte*>(under.data) + (bytes_of(under) > 16 ? 16 : 0);
      CHECK_THAT(message_of([&] { static_cast<void>(op.bind(bindings_of(test, views))); }),
                 Catch::Contains(op.name) && Catch::Contains("share memory") &&
                     Catch::Contains("'" + output.name + "'") && Catch::Contains("'" + other.name + "'"));
      ++refused;
    }
  }
  CHECK((refused > 0 || apart.size() == 1));
}

void check_models(const OpDefinition& op) {
  for (const tools::ShippedModel& model : tools::shipped_models()) {
    INFO(std::string(model.name));
    check_cases(op, tools::load_model_config(std::string(model.name)));
  }
}

constexpr std::array behaviours = {
    Behaviour{"chooses default tunables among their choices, the same in all of a row bucket",
              Extent::definition, check_default_tunables},
    Behaviour{"launches grids that reach every row and that devices take", Extent::definition,
              check_geometry},
    Behaviour{"checks settings against its tensors", Extent::definition, check_settings},
    Behaviour{"names a tensor that is missing, null or on another device", Extent::definition, check_tensors},
    Behaviour{"refuses outputs that overlap other tensors", Extent::definition, check_overlaps},
    Behaviour{"specialises and plans inputs for every shipped model", Extent::definition, check_models},
};

}  // namespace

std::span<const Behaviour> definition_behaviours() {
  return behaviours;
}

}  // namespace kerncast::test
