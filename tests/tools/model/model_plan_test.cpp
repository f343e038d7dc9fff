#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tools/model/family.hpp"
#include "tools/model/model_config.hpp"
#include "tools/model/model_shard.hpp"
#include "tools/model/quant_scheme.hpp"
#include "tools/model/shipped_models.hpp"
#include "tools/model/workload.hpp"

namespace kerncast::tools {
namespace {

namespace fs = std::filesystem;

/// One part of a plan file: the ops that one rank launches, each as "op specialisation".
struct RankPlan {
  std::int64_t tp = 1;
  std::int64_t ep = 1;
  std::set<std::string> ops;
};

/// A file of plans/: what the engines' model code launches for one model, written down from that code, which
/// the comments at its head name. Files in a folder of their own give the model's config in a line.
struct ModelPlan {
  bool cites = false;
  std::string config;
  std::vector<RankPlan> ranks;
  std::set<std::string> not_offered;
};

ModelPlan read_plan(const fs::path& path) {
  ModelPlan plan;
  std::ifstream file(path);
  const std::string missing = "not offered: ";
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) {
      plan.cites = plan.cites || line.find(".py: ") != std::string::npos;
    } else if (line.starts_with("config ")) {
      plan.config = line.substr(7);
    } else if (line.starts_with("rank ")) {
      RankPlan rank;
      std::istringstream words(line);
      std::string word;
      while (words >> word) {
        if (word.starts_with("tp=")) {
          rank.tp = std::stoll(word.substr(3));
        } else if (word.starts_with("ep=")) {
          rank.ep = std::stoll(word.substr(3));
        }
      }
      plan.ranks.push_back(rank);
    } else if (line.starts_with(missing)) {
      plan.not_offered.insert(line.substr(missing.size()));
    } else if (!line.empty()) {
      REQUIRE_FALSE(plan.ranks.empty());
      plan.ranks.back().ops.insert(line);
    }
  }
  return plan;
}

/// The plan of the command for one rank, under the quantisation that the model's files name.
std::set<std::string> planned(const ModelReading& model, const RankPlan& rank) {
  std::set<std::string> ops;
  for (const Workload& workload : workloads_of(shard_model(model.config, rank.tp, rank.ep))) {
    if (is_needed(workload, model.schemes)) {
      ops.insert(fmt::format("{} {}", workload.op->name,
                             format_specialisation(*workload.op, specialise(*workload.op, workload.params))));
    }
  }
  return ops;
}

/// Gives each planned tensor memory of its own, which nobody touches.
void set_tensors(Bindings& bindings, const std::vector<TensorPlan>& plans) {
  constexpr std::uintptr_t apart = std::uintptr_t{1} << 36;
  for (const TensorPlan& plan : plans) {
    TensorView view;
    view.data = reinterpret_cast<void*>(apart * (bindings.tensors().size() + 1));
    view.dtype = plan.dtype;
    view.rank = static_cast<int>(plan.shape.size());
    std::int64_t stride = 1;
    for (std::size_t i = plan.shape.size(); i-- > 0;) {
      view.shape[i] = plan.shape[i];
      view.strides[i] = plan.strides.empty() ? stride : plan.strides[i];
      stride *= plan.shape[i];
    }
    bindings.set_tensor(plan.name, view);
  }
}

/// The reason why a planned op cannot be called with the tensors that it plans. Empty if it can.
std::string call_defect(const Workload& workload) {
  const OpDefinition& op = *workload.op;
  Bindings bindings;
  for (const auto& [name, value] : workload.params) {
    bindings.set_param(name, value);
  }
  for (const auto& [name, value] : workload.scalars) {
    bindings.set_scalar(name, value);
  }
  try {
    set_tensors(bindings, op.plan_inputs(bindings, 8));
    set_tensors(bindings, op.plan_outputs(bindings));
    check_names(op, bindings);
    return op.bind(bindings).rows > 0 ? std::string() : op.name + ": the call has no rows";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string only_in(const std::set<std::string>& here, const std::set<std::string>& there) {
  std::string text;
  for (const std::string& line : here) {
    text += there.contains(line) ? "" : line + "\n";
  }
  return text;
}

fs::path folder(const char* name) {
  return fs::path(KERNCAST_MODEL_TESTS) / name;
}

void check_plan(const ModelPlan& plan, const ModelReading& model) {
  CHECK(model.known);
  CHECK(plan.cites);
  REQUIRE_FALSE(plan.ranks.empty());
  for (const RankPlan& rank : plan.ranks) {
    INFO("tp " << rank.tp << ", ep " << rank.ep);
    const std::set<std::string> ops = planned(model, rank);
    CHECK(only_in(ops, rank.ops) == "");
    for (const Workload& workload : workloads_of(shard_model(model.config, rank.tp, rank.ep))) {
      CHECK(call_defect(workload) == "");
    }
    CHECK(only_in(rank.ops, ops) == "");
  }
  const std::set<std::string> steps(model.not_offered.begin(), model.not_offered.end());
  CHECK(only_in(steps, plan.not_offered) == "");
  CHECK(only_in(plan.not_offered, steps) == "");
}

void check_plan(const std::string& name, const std::string& argument) {
  INFO(name);
  const fs::path path = folder("plans") / (name + ".plan");
  REQUIRE(fs::exists(path));
  check_plan(read_plan(path), load_model(argument));
}

TEST_CASE("public models launch exactly what the engines' model code launches") {
  std::size_t count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder("configs"))) {
    check_plan(entry.path().stem().string(), entry.path().string());
    ++count;
  }
  CHECK(count >= 54);
}

TEST_CASE("shipped models launch exactly what the engines' model code launches") {
  for (const ShippedModel& model : shipped_models()) {
    check_plan(std::string(model.name), std::string(model.name));
  }
}

/// Calls `visit` with every plan that gives its own config, and the model of that config.
template <class Visit>
void for_each_own_plan(Visit visit) {
  for (const char* kind : {"dense", "diffusion", "hybrid", "mla", "moe", "vision"}) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder("plans") / kind)) {
      const std::string name = entry.path().stem().string();
      INFO(kind << "/" << name);
      const ModelPlan plan = read_plan(entry.path());
      visit(plan, read_model(plan.config, name, name));
    }
  }
}

TEST_CASE("models of each kind launch exactly what the engines' model code launches") {
  std::size_t count = 0;
  for_each_own_plan([&](const ModelPlan& plan, const ModelReading& model) {
    check_plan(plan, model);
    ++count;
  });
  CHECK(count >= 180);
}

TEST_CASE("every family has a plan") {
  std::set<std::string> described;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder("configs"))) {
    described.insert(load_model(entry.path().string()).family);
  }
  for (const ShippedModel& model : shipped_models()) {
    described.insert(load_model(std::string(model.name)).family);
  }
  for_each_own_plan([&](const ModelPlan&, const ModelReading& model) { described.insert(model.family); });
  for (const std::string& name : family_names()) {
    INFO(name);
    const nlohmann::json config = {{"architectures", {name}}, {"model_type", name}};
    const bool names_another = find_family(config, config).name != name;
    CHECK((names_another || described.contains(name)));
  }
}

TEST_CASE("every plan file belongs to a model") {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder("configs"))) {
    names.insert(entry.path().stem().string());
  }
  for (const ShippedModel& model : shipped_models()) {
    names.insert(std::string(model.name));
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder("plans"))) {
    CHECK((entry.is_directory() || names.contains(entry.path().stem().string())));
  }
}

}  // namespace
}  // namespace kerncast::tools
