#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <string>

#include "kerncast/op_definition.hpp"
#include "tests/c_api/c_host.hpp"

using namespace kerncast::test;
using kerncast::DType;
using kerncast::TensorView;

namespace {

/// An op in C that fills y with `spec[0]` in two stages, and that refuses more than 100 rows.
kerncast_status bind_fill(void* user, const kerncast_bindings* bindings, kerncast_call* call,
                          kerncast_error** error) {
  kerncast_tensor_view y{};
  if (const kerncast_status status = kerncast_bindings_tensor(bindings, "y", &y, error);
      status != KERNCAST_OK) {
    return status;
  }
  double value = 0;
  if (const kerncast_status status = kerncast_bindings_scalar(bindings, "value", &value, error);
      status != KERNCAST_OK) {
    return status;
  }
  if (y.shape[0] > 100) {
    *error = kerncast_error_create(KERNCAST_UNSUPPORTED, static_cast<const char*>(user));
    return KERNCAST_UNSUPPORTED;
  }
  if (y.shape[0] == 99) {
    return KERNCAST_IO_ERROR;
  }
  const struct {
    void* y;
    long long count;
    float value;
  } arguments{y.data, y.shape[0], static_cast<float>(value)};
  call->spec[0] = kerncast_bindings_param(bindings, "factor") != nullptr ? 3 : 2;
  call->rows = y.shape[0];
  call->argument_bytes = sizeof arguments;
  std::memcpy(call->arguments, &arguments, sizeof arguments);
  return KERNCAST_OK;
}

void one_block(void* /*user*/, int32_t stage, const int32_t* /*spec*/, const int32_t* tunables,
               const kerncast_device_traits* traits, int64_t /*rows*/, kerncast_geometry* geometry) {
  *geometry = {{1, 1, 1}, {static_cast<std::uint32_t>(tunables[0]), 1, 1}, 0};
  if (stage == 2 || traits->sm_count < 1) {
    geometry->grid[0] = 0;
  }
}

const kerncast_source fill_source = {"own/fill_c.cuh", R"(namespace own {
struct FillArgs { float* y; long long count; float value; };
template <class Config> __global__ void fill(FillArgs a) {
  for (long long i = threadIdx.x; i < a.count; i += Config::threads) a.y[i] = a.value;
}
template <class Config> __global__ void scale(FillArgs a) {
  for (long long i = threadIdx.x; i < a.count; i += Config::threads) a.y[i] *= Config::factor;
}
template <class Config> __global__ void spoil(FillArgs a) { a.y[0] = 0; }
})"};

}  // namespace

TEST_CASE(
    "an op that a host registers from C has stages, scalars, settings, tunables and errors of its own") {
  const int32_t threads[] = {32, 64};
  const char* later[] = {"own::scale", "own::spoil"};
  kerncast_param_spec factor{};
  factor.name = "factor";
  factor.minimum = 1;
  factor.maximum = 4;
  kerncast_tunable_spec tunable{};
  tunable.name = "threads";
  tunable.choices = threads;
  tunable.choice_count = 2;
  tunable.default_value = 32;
  const kerncast_tensor_spec tensor{"y", "[T], f32", KERNCAST_OUT, 0};
  const kerncast_scalar_spec scalar{"value", "the value", 5.0};
  char reason[] = "own.fill_c: too many rows";
  kerncast_op_definition definition{};
  definition.name = "own.fill_c";
  definition.include = "own/fill_c.cuh";
  definition.kernel = "own::fill";
  definition.later_kernels = later;
  definition.later_kernel_count = 2;
  definition.arguments_type = "own::FillArgs";
  definition.sources = &fill_source;
  definition.source_count = 1;
  definition.params = &factor;
  definition.param_count = 1;
  definition.tunables = &tunable;
  definition.tunable_count = 1;
  definition.tensors = &tensor;
  definition.tensor_count = 1;
  definition.scalars = &scalar;
  definition.scalar_count = 1;
  definition.user = reason;
  definition.bind = bind_fill;
  definition.geometry = one_block;
  definition.tunables_defect = [](void*, const int32_t*, const int32_t* tunables,
                                  const kerncast_device_traits*) {
    return tunables[0] == 64 ? "64 threads are too many" : nullptr;
  };
  const kerncast_op* op = nullptr;
  const auto add = [&] {
    return outcome([&](auto** e) { return kerncast_op_register(&definition, &op, e); });
  };
  CHECK_THAT(add().message, Catch::Contains("struct_size is 0"));
  definition.struct_size = offsetof(kerncast_op_definition, waits_for_primary) + sizeof(int32_t);
  CHECK_THAT(add().message, Catch::Contains("struct_size is 204, but the definition has 208 bytes"));
  definition.struct_size = sizeof definition;
  definition.geometry = nullptr;
  CHECK_THAT(add().message, Catch::Contains("geometry is NULL"));
  definition.geometry = one_block;
  definition.source_count = 1;
  definition.sources = nullptr;
  CHECK_THAT(add().message, Catch::Contains("sources is NULL"));
  definition.sources = &fill_source;
  REQUIRE(add().message.empty());
  CHECK(kerncast_op_name(op) == std::string("own.fill_c"));
  CHECK_THAT(add().message, Catch::Contains("the name is taken"));

  CHost host;
  void* memory = host.memory(101 * 4, 1);
  Arguments arguments("own.fill_c");
  const auto run = [&] {
    return outcome([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
  };
  const auto vector = [&](std::int64_t count) { return TensorView::contiguous(memory, DType::f32, {count}); };
  CHECK_THAT(run().message, Catch::Contains("own.fill_c") && Catch::Contains("'y'"));
  arguments.tensor("y", vector(4));
  REQUIRE(run().message.empty());
  const auto first = [&] {
    float value = 0;
    std::memcpy(&value, host.bytes(memory, 4).data(), 4);
    return value;
  };
  CHECK(first() == 10.0F);
  require_ok([&](auto** e) { return kerncast_arguments_set_scalar(arguments.handle, "value", 7, e); });
  require_ok([&](auto** e) { return kerncast_arguments_set_param(arguments.handle, "factor", "3", e); });
  REQUIRE(run().message.empty());
  CHECK(first() == 21.0F);
  kerncast_prepared* prepared = nullptr;
  const Outcome defect = outcome(
      [&](auto** e) { return kerncast_prepare(host.c, arguments.handle, "threads=64", &prepared, e); });
  CHECK(defect.status == KERNCAST_INVALID_ARGUMENT);
  CHECK_THAT(defect.message, Catch::Contains("64 threads are too many"));
  arguments.tensor("y", vector(101));
  CHECK(run().status == KERNCAST_UNSUPPORTED);
  CHECK(run().message == "own.fill_c: too many rows");
  arguments.tensor("y", vector(99));
  CHECK(run().status == KERNCAST_IO_ERROR);
  CHECK(run().message == "own.fill_c: its bind function refuses the call (io_error) and gives no reason");
}

TEST_CASE(
    "an op from C declares that its kernels wait, unless its host was compiled before that could be said") {
  const kerncast_source source = {"own/waits_c.cuh", R"(#include "device/programmatic_launch.cuh"
namespace own {
struct WaitsArgs { float* y; };
template <class Config> __global__ void wait_and_fill(WaitsArgs a) {
  kerncast::begin_kernel();
  *a.y = 4.0f;
}
})"};
  const kerncast_tensor_spec tensor{"y", "[1], f32", KERNCAST_OUT, 0};
  kerncast_op_definition definition{};
  definition.include = "own/waits_c.cuh";
  definition.kernel = "own::wait_and_fill";
  definition.arguments_type = "own::WaitsArgs";
  definition.sources = &source;
  definition.source_count = 1;
  definition.tensors = &tensor;
  definition.tensor_count = 1;
  definition.bind = [](void*, const kerncast_bindings* bindings, kerncast_call* call,
                       kerncast_error** error) {
    kerncast_tensor_view y{};
    const kerncast_status status = kerncast_bindings_tensor(bindings, "y", &y, error);
    call->rows = 1;
    call->argument_bytes = sizeof y.data;
    std::memcpy(call->arguments, &y.data, sizeof y.data);
    return status;
  };
  definition.geometry = [](void*, int32_t, const int32_t*, const int32_t*, const kerncast_device_traits*,
                           int64_t, kerncast_geometry* geometry) { *geometry = {{1, 1, 1}, {1, 1, 1}, 0}; };
  const auto waits = [&](const char* name, std::size_t size, int32_t says) {
    definition.name = name;
    definition.struct_size = size;
    definition.waits_for_primary = says;
    require_ok([&](auto** e) { return kerncast_op_register(&definition, nullptr, e); });
    const kerncast::OpDefinition* op = kerncast::OpRegistry::instance().find(name);
    REQUIRE(op != nullptr);
    return op->waits_for_primary;
  };
  CHECK(waits("own.waits_c", sizeof definition, 1));
  CHECK_FALSE(waits("own.waits_not_c", sizeof definition, 0));
  CHECK_FALSE(waits("own.older_c", offsetof(kerncast_op_definition, waits_for_primary), 1));

  CHost host;
  void* memory = host.memory(4, 1);
  Arguments arguments("own.waits_c");
  arguments.tensor("y", TensorView::contiguous(memory, DType::f32, {1}));
  for (int repeat = 0; repeat < 3; ++repeat) {
    require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
  }
  float value = 0;
  std::memcpy(&value, host.bytes(memory, 4).data(), 4);
  CHECK(value == 4.0F);
}
