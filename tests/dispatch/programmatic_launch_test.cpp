#include <catch2/catch.hpp>
#include <cstdlib>
#include <optional>
#include <vector>

#include <kerncast/ops/norm/relative_l1.hpp>
#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

/// The launches that the driver was asked for: true for those that may start early.
std::vector<bool> launches;

driver::CUresult note_launch(const driver::CUlaunchConfig* config, driver::CUfunction, void**, void**) {
  bool early = false;
  for (unsigned int i = 0; i < config->numAttrs; ++i) {
    const driver::CUlaunchAttribute& attribute = config->attrs[i];
    early = early || (attribute.id == driver::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION &&
                      attribute.value.programmaticStreamSerializationAllowed != 0);
  }
  launches.push_back(early);
  return driver::CUDA_SUCCESS;
}

/// Sets KERNCAST_PDL while it lives.
class Setting {
 public:
  explicit Setting(const char* value) { setenv("KERNCAST_PDL", value, 1); }
  ~Setting() { unsetenv("KERNCAST_PDL"); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
};

/// A runtime whose launches are noted and not made.
class NotedRuntime {
 public:
  explicit NotedRuntime(const RowsOfOnes& f, std::optional<bool> programmatic = std::nullopt)
      : runtime_(options(f, programmatic)), table_(implementation_of(runtime_).driver().api) {
    table_.cuLaunchKernelEx = &note_launch;
    implementation_of(runtime_).api.store(&table_);
    launches.clear();
  }

  [[nodiscard]] Runtime& get() { return runtime_; }

 private:
  static RuntimeOptions options(const RowsOfOnes& f, std::optional<bool> programmatic) {
    RuntimeOptions out = f.options(MissPolicy::compile);
    out.programmatic_launch = programmatic;
    return out;
  }

  Runtime runtime_;
  driver::DriverApi table_;
};

/// True on a device whose kernels may start early.
bool device_can(Runtime& runtime) {
  return runtime.traits(0).sm >= 90;
}

struct OwnArguments {
  float* y;
};

/// y = 1, by a host's own op whose kernel waits if that is declared.
OpDefinition own_op(bool waits) {
  OpDefinition op;
  op.name = "own.one";
  op.include = "own/one.cuh";
  op.kernel = "own::one";
  op.arguments_type = "own::Arguments";
  op.sources = {{"own/one.cuh", R"(#include "device/programmatic_launch.cuh"
namespace own {
struct Arguments { float* y; };
template <class Config> __global__ void one(Arguments a) {
  kerncast::begin_kernel();
  *a.y = 1.0f;
}
}
)"}};
  op.waits_for_primary = waits;
  op.default_tunables = [](const Specialisation&, const DeviceTraits&, std::int64_t) { return Tunables{}; };
  op.geometry = [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t) noexcept {
    return LaunchGeometry{{1, 1, 1}, {1, 1, 1}, 0};
  };
  op.bind = [](const Bindings& bindings) {
    Call call;
    call.rows = 1;
    call.set_arguments(OwnArguments{static_cast<float*>(bindings.require_tensor("own.one", "y").data)});
    return call;
  };
  return op;
}

/// The launches that a call of `op` asks for.
std::vector<bool> launch_own(Runtime& runtime, const RowsOfOnes& f, const OpDefinition& op) {
  launches.clear();
  Bindings bindings;
  bindings.set_tensor("y", f.arguments.y);
  runtime.run(op, bindings, nullptr);
  return launches;
}

}  // namespace

TEST_CASE("every launch of an op of the library may start early where the device can do that") {
  const RowsOfOnes f;
  NotedRuntime noted(f);
  Runtime& runtime = noted.get();
  const OpDefinition& op = definition_of<norm::RmsNorm>();
  const Call call = bind(f.arguments);
  launch(runtime, f.arguments, nullptr);
  launch(runtime, f.arguments, nullptr);
  runtime.dispatch(op, call, nullptr);
  runtime.prepare(op, call).launch(nullptr);
  runtime.prepare(op, call, op.default_tunables(call.spec, runtime.traits(0), call.rows)).launch(nullptr);
  CHECK(launches == std::vector<bool>(5, device_can(runtime)));
}

TEST_CASE("all stages of a call may start early") {
  const RowsOfOnes f;
  const driver::DeviceBuffer d(f.context.api(), sizeof(float));
  const driver::DeviceBuffer workspace(f.context.api(), norm::relative_l1_workspace * sizeof(double));
  NotedRuntime noted(f);
  norm::RelativeL1 call;
  call.a = f.arguments.x;
  call.b = f.arguments.y;
  call.d = TensorView::contiguous(d.data(), DType::f32, {1});
  call.workspace = TensorView::contiguous(workspace.data(), DType::f64, {norm::relative_l1_workspace});
  launch(noted.get(), call, nullptr);
  CHECK(launches == std::vector<bool>(2, device_can(noted.get())));
}

TEST_CASE("an op of a host's own may start early only if it declares that its kernels wait") {
  const RowsOfOnes f;
  NotedRuntime noted(f);
  Runtime& runtime = noted.get();
  // Both have the same kernel.
  const OpDefinition waits = own_op(true);
  const OpDefinition says_nothing = own_op(false);
  for (int repeat = 0; repeat < 2; ++repeat) {
    CHECK(launch_own(runtime, f, waits) == std::vector<bool>{device_can(runtime)});
    CHECK(launch_own(runtime, f, says_nothing) == std::vector<bool>{false});
  }
  CHECK_FALSE(OpDefinition{}.waits_for_primary);
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    INFO(op->name);
    CHECK(op->waits_for_primary);
  }
}

TEST_CASE("an own kernel that waits runs") {
  RowsOfOnes f;
  Bindings bindings;
  bindings.set_tensor("y", f.arguments.y);
  f.runtime.run(own_op(true), bindings, nullptr);
  CHECK(f.result().front() == 1.0F);
}

TEST_CASE("KERNCAST_PDL=0 and the option keep kernels from starting early") {
  RowsOfOnes f;
  const auto launched = [&f](std::optional<bool> option) {
    NotedRuntime noted(f, option);
    launch(noted.get(), f.arguments, nullptr);
    REQUIRE(launches.size() == 1);
    return launches.front();
  };
  const bool can = device_can(f.runtime);
  CHECK(launched(std::nullopt) == can);
  CHECK_FALSE(launched(false));
  const Setting off("0");
  CHECK_FALSE(launched(std::nullopt));
  CHECK(launched(true) == can);
  const Setting on("1");
  CHECK(launched(std::nullopt) == can);
}
