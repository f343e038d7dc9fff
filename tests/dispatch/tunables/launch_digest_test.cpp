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
