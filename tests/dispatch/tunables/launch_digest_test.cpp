// The digest of launches follows the host code that divides them.
#include "runtime/dispatch/tunables/launch_digest.hpp"

#include <catch2/catch.hpp>

#include "runtime/dispatch/runtime_impl.hpp"

using namespace kerncast;

namespace {

const OpDefinition& rms_norm() {
  return OpRegistry::instance().require("norm.rms_norm");
}

Specialisation hidden(const char* width) {
  return specialise(rms_norm(), {{"hidden", width}});
}

}  // namespace

TEST_CASE("the digest of an op's launches changes with grid, block, shared memory and tunables") {
  const std::string own = launch_digest(rms_norm(), hidden("256"));
  CHECK(own.size() == 32);
  CHECK(launch_digest(rms_norm(), hidden("256")) == own);
  OpDefinition changed = rms_norm();
  changed.geometry = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                        std::int64_t rows) noexcept {
    LaunchGeometry made = rms_norm().geometry(spec, tunables, device, rows);
    made.grid[0] += rows == 1000 ? 1 : 0;
    return made;
  };
  CHECK(launch_digest(changed, hidden("256")) != own);
  changed.geometry = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                        std::int64_t rows) noexcept {
    LaunchGeometry made = rms_norm().geometry(spec, tunables, device, rows);
    made.dynamic_shared += 16;
    return made;
  };
  CHECK(launch_digest(changed, hidden("256")) != own);
  changed.geometry = rms_norm().geometry;
  CHECK(launch_digest(changed, hidden("256")) == own);
  changed.later_stages = {{"kerncast::norm::later", rms_norm().geometry}};
  CHECK(launch_digest(changed, hidden("256")) != own);
}

TEST_CASE("the digest of an op's launches changes with the size of its workspace") {
  const OpDefinition& op = OpRegistry::instance().require("norm.relative_l1");
  const Specialisation spec = specialise(op, {{"hidden", "256"}});
  OpDefinition changed = op;
  changed.plan_outputs = [](const Bindings& bindings) {
    std::vector<TensorPlan> plans = OpRegistry::instance().require("norm.relative_l1").plan_outputs(bindings);
    plans.back().shape.front() *= 2;
    return plans;
  };
  CHECK(launch_digest(changed, spec) != launch_digest(op, spec));
  changed.plan_outputs = op.plan_outputs;
  CHECK(launch_digest(changed, spec) == launch_digest(op, spec));

  // The outputs of an op without a workspace say nothing of its launches.
  changed = rms_norm();
  changed.plan_outputs = [](const Bindings&) -> std::vector<TensorPlan> { return {}; };
  CHECK(launch_digest(changed, hidden("256")) == launch_digest(rms_norm(), hidden("256")));
}

TEST_CASE("a workspace that only large calls need counts") {
  const OpDefinition& op = OpRegistry::instance().require("moe.align_block_size");
  const Specialisation spec = specialise(op, {{"experts", "8"}, {"top_k", "2"}});
  OpDefinition changed = op;
  changed.plan_outputs = [](const Bindings& bindings) {
    std::vector<TensorPlan> plans =
        OpRegistry::instance().require("moe.align_block_size").plan_outputs(bindings);
    for (TensorPlan& plan : plans) {
      plan.shape.front() *= plan.name == "workspace" ? 2 : 1;
    }
    return plans;
  };
  CHECK(launch_digest(changed, spec) != launch_digest(op, spec));
}

TEST_CASE("a record is stale if the host code that divides the op's launches has changed") {
  RuntimeOptions options;
  options.nvrtc = "none";
  options.driver = "sim";
  Runtime runtime(options);
  const KernelBuilder& builder = implementation_of(runtime).builder;
  const std::string own = builder.templates_digest(rms_norm(), hidden("256"));
  CHECK(builder.templates_digest(rms_norm(), format_specialisation(rms_norm(), hidden("256"))) == own);
  OpDefinition changed = rms_norm();
  changed.geometry = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                        std::int64_t rows) noexcept {
    LaunchGeometry made = rms_norm().geometry(spec, tunables, device, rows);
    made.block[0] *= 2;
    return made;
  };
  CHECK(builder.templates_digest(changed, hidden("256")) != own);
  CHECK(builder.templates_digest(rms_norm(), "hidden=none").empty());
  CHECK(builder.templates_digest(rms_norm(), "width=256").empty());
}
