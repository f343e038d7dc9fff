#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <kerncast/ops/moe/topk_softmax.hpp>
#include <kerncast/ops/norm/rms_norm.hpp>
#include <kerncast/ops/quant/per_token_group.hpp>
#include "kerncast/kerncast.h"
#include "kerncast/kerncast.hpp"
#include "tests/temporary_directory.hpp"

using kerncast::DType;
using kerncast::TensorView;

namespace {

#ifndef KERNCAST_SANITIZED
/// Allocations of this thread that still succeed; negative: all do.
thread_local int allocations_left = -1;
#endif

/// The status and the message of a call that is expected to fail, or of one that succeeded.
struct Outcome {
  kerncast_status status = KERNCAST_OK;
  std::string message;
};

template <class Call>
Outcome outcome(Call&& call) {
  kerncast_error* error = nullptr;
  Outcome out;
  out.status = call(&error);
  CHECK(kerncast_error_status(error) == out.status);
  out.message = kerncast_error_message(error);
  kerncast_error_free(error);
  return out;
}

template <class Call>
void require_ok(Call&& call) {
  const Outcome out = outcome(call);
  INFO(out.message);
  REQUIRE(out.status == KERNCAST_OK);
}

/// A DLPack tensor with the memory, dtype and shape of a view.
struct Tensor {
  explicit Tensor(const TensorView& view) : extents(view.shape), strides(view.strides) {
    const auto bits = static_cast<std::uint8_t>(size_of(view.dtype) * 8);
    std::uint8_t code = KERNCAST_DL_FLOAT;
    switch (view.dtype) {
      case DType::bf16:
        code = KERNCAST_DL_BFLOAT;
        break;
      case DType::fp8_e4m3:
        code = KERNCAST_DL_FLOAT8_E4M3FN;
        break;
      case DType::i32:
        code = KERNCAST_DL_INT;
        break;
      default:
        break;
    }
    tensor = {view.data, {KERNCAST_DL_CUDA, view.device}, view.rank, {code, bits, 1}, nullptr, nullptr, 0};
    tensor.shape = extents.data();
    tensor.strides = strides.data();
  }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  std::array<std::int64_t, TensorView::max_rank> extents;
  std::array<std::int64_t, TensorView::max_rank> strides;
  kerncast_dl_tensor tensor;
};

/// A runtime in C with a cache of its own, a runtime in C++ with the same cache, and device memory.
class Host {
 public:
  Host() : cpp(options()) {
    kerncast_options* c_options = nullptr;
    require_ok([&](auto** error) { return kerncast_options_create(&c_options, error); });
    require_ok([&](auto** error) {
      return kerncast_options_set(c_options, "cache_directory", folder.path().c_str(), error);
    });
    require_ok([&](auto** error) { return kerncast_runtime_create(c_options, &c, error); });
    kerncast_options_free(c_options);
    require_ok([&](auto** error) { return kerncast_make_current(c, 0, error); });
    cpp.make_current(0);
  }
  ~Host() {
    kerncast_runtime_free(c);
    for (const std::uint64_t address : owned) {
      symbol<int(std::uint64_t)>("cuMemFree")(address);
    }
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  template <class Function>
  [[nodiscard]] Function* symbol(const char* name) const {
    return reinterpret_cast<Function*>(cpp.driver_symbol(name));
  }
  /// Device memory with bytes that depend on `seed`; bf16 and f32 values in it are finite.
  void* memory(std::size_t bytes, unsigned seed) {
    std::uint64_t address = 0;
    REQUIRE(symbol<int(std::uint64_t*, std::size_t)>("cuMemAlloc")(&address, bytes) == 0);
    owned.push_back(address);
    std::vector<unsigned char> host(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
      host[i] = static_cast<unsigned char>(i % 2 == 1 ? 0x3F : (i * 37 + seed) & 0x7F);
    }
    REQUIRE(symbol<int(std::uint64_t, const void*, std::size_t)>("cuMemcpyHtoD")(address, host.data(),
                                                                                 bytes) == 0);
    return reinterpret_cast<void*>(address);
  }
  [[nodiscard]] std::vector<unsigned char> bytes(const void* address, std::size_t count) const {
    std::vector<unsigned char> host(count);
    REQUIRE(symbol<int(void*, std::uint64_t, std::size_t)>("cuMemcpyDtoH")(
                host.data(), reinterpret_cast<std::uint64_t>(address), count) == 0);
    return host;
  }
  [[nodiscard]] kerncast::RuntimeOptions options() const {
    kerncast::RuntimeOptions out;
    out.cache_directory = folder.path();
    return out;
  }

  TemporaryDirectory folder;
  kerncast::Runtime cpp;
  kerncast_runtime* c = nullptr;

 private:
  std::vector<std::uint64_t> owned;
};

/// The arguments of a call in C.
class Arguments {
 public:
  explicit Arguments(const char* op) {
    const kerncast_op* found = nullptr;
    require_ok([&](auto** error) { return kerncast_op_find(op, &found, error); });
    require_ok([&](auto** error) { return kerncast_arguments_create(found, &handle, error); });
  }
  ~Arguments() { kerncast_arguments_free(handle); }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  Arguments& tensor(const char* name, const TensorView& view) {
    const Tensor given(view);
    require_ok(
        [&](auto** error) { return kerncast_arguments_set_tensor(handle, name, &given.tensor, error); });
    return *this;
  }

  kerncast_arguments* handle = nullptr;
};

constexpr std::int64_t rows = 3;
constexpr std::int64_t hidden = 256;
constexpr std::size_t matrix_bytes = rows * hidden * 2;

TensorView matrix(void* data, std::int64_t count = rows) {
  return TensorView::contiguous(data, DType::bf16, {count, hidden});
}

/// The message of C++ for a call that fails.
std::string cpp_message(const std::function<void()>& call) {
  try {
    call();
  } catch (const kerncast::Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

#ifndef KERNCAST_SANITIZED  // The sanitizers have operators of their own, which must see every allocation.
// The library calls these too, so a test can let its allocations fail.
void* operator new(std::size_t bytes) {
  if (allocations_left == 0) {
    throw std::bad_alloc();
  }
  if (allocations_left > 0) {
    --allocations_left;
  }
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
  std::free(memory);
}

TEST_CASE("host memory that runs out at any allocation is a status and never ends the process") {
  Host host;
  const TensorView in = matrix(host.memory(matrix_bytes, 1));
  const TensorView out = matrix(host.memory(matrix_bytes, 2));
  const Tensor x(in);
  const Tensor y(out);
  Arguments warm("norm.rms_norm");
  warm.tensor("x", in).tensor("y", out);
  require_ok([&](auto** e) { return kerncast_run(host.c, warm.handle, nullptr, e); });
  const kerncast_op* op = nullptr;
  require_ok([&](auto** e) { return kerncast_op_find("norm.rms_norm", &op, e); });
  int failures = 0;
  kerncast_status status = KERNCAST_OUT_OF_MEMORY;
  for (int allowed = 0; status != KERNCAST_OK && allowed < 1000; ++allowed) {
    kerncast_arguments* arguments = nullptr;
    kerncast_prepared* prepared = nullptr;
    kerncast_error* error = nullptr;
    allocations_left = allowed;
    status = kerncast_arguments_create(op, &arguments, &error);
    if (status == KERNCAST_OK) {
      status = kerncast_arguments_set_tensor(arguments, "x", &x.tensor, &error);
    }
    if (status == KERNCAST_OK) {
      status = kerncast_arguments_set_tensor(arguments, "y", &y.tensor, &error);
    }
    if (status == KERNCAST_OK) {
      status = kerncast_run(host.c, arguments, nullptr, &error);
    }
    if (status == KERNCAST_OK) {
      status = kerncast_prepare(host.c, arguments, nullptr, &prepared, &error);
    }
    allocations_left = -1;
    if (status != KERNCAST_OK) {
      ++failures;
      CHECK(status == KERNCAST_OUT_OF_MEMORY);
      CHECK_THAT(kerncast_error_message(error), Catch::Contains("host memory ran out"));
    }
    kerncast_error_free(error);
    kerncast_prepared_free(prepared);
    kerncast_arguments_free(arguments);
  }
  CHECK(status == KERNCAST_OK);
  CHECK(failures > 3);
}
#endif

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

  Host host;
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

TEST_CASE("statuses have the numbers and names of the error codes") {
  for (int code = 1; code <= 10; ++code) {
    CHECK(kerncast_status_name(code) == error_name(static_cast<kerncast::ErrorCode>(code)));
    kerncast_error* error = kerncast_error_create(code, "text");
    CHECK(kerncast_error_status(error) == code);
    CHECK(kerncast_error_message(error) == std::string("text"));
    CHECK(kerncast_error_driver_result(error) == 0);
    kerncast_error_free(error);
  }
  CHECK(kerncast_status_name(KERNCAST_OK) == std::string("ok"));
  CHECK(kerncast_status_name(11) == std::string("unknown"));
  CHECK(kerncast_status_name(-1) == std::string("unknown"));
  CHECK(kerncast_error_create(KERNCAST_OK, "text") == nullptr);
  CHECK(kerncast_version() == std::string(kerncast::version()));
  CHECK(kerncast_c_abi() == KERNCAST_C_ABI);
}

TEST_CASE("NULL in place of a handle is an error that names function and argument, and no crash") {
  kerncast_report_free(nullptr);
  kerncast_prepared_free(nullptr);
  kerncast_arguments_free(nullptr);
  kerncast_runtime_free(nullptr);
  kerncast_options_free(nullptr);
  kerncast_error_free(nullptr);
  kerncast_text_free(nullptr);
  CHECK(kerncast_op_name(nullptr) == std::string());
  CHECK(kerncast_report_text(nullptr, "key") == nullptr);
  CHECK(kerncast_report_number(nullptr, "registers") == -1);
  CHECK(kerncast_prepared_launch(nullptr, nullptr, nullptr) == KERNCAST_INVALID_ARGUMENT);
  const auto refused = [](const Outcome& out, const std::string& message) {
    CHECK(out.status == KERNCAST_INVALID_ARGUMENT);
    CHECK(out.message == message + " is NULL; pass a valid pointer");
  };
  const Arguments arguments("norm.rms_norm");
  kerncast_prepared* prepared = nullptr;
  refused(outcome([&](auto** e) { return kerncast_run(nullptr, arguments.handle, nullptr, e); }),
          "kerncast_run: runtime");
  refused(outcome([&](auto** e) { return kerncast_run(nullptr, nullptr, nullptr, e); }),
          "kerncast_run: arguments");
  refused(outcome([&](auto** e) { return kerncast_prepared_launch(nullptr, nullptr, e); }),
          "kerncast_prepared_launch: prepared");
  refused(
      outcome([&](auto** e) { return kerncast_prepare(nullptr, arguments.handle, nullptr, &prepared, e); }),
      "kerncast_prepare: runtime");
  refused(outcome([&](auto** e) { return kerncast_arguments_set_tensor(arguments.handle, "x", nullptr, e); }),
          "kerncast_arguments_set_tensor: tensor");
  refused(outcome([&](auto** e) { return kerncast_op_find(nullptr, nullptr, e); }), "kerncast_op_find: op");
  refused(outcome([&](auto** e) { return kerncast_runtime_create(nullptr, nullptr, e); }),
          "kerncast_runtime_create: runtime");
  refused(outcome([&](auto** e) { return kerncast_op_register(nullptr, nullptr, e); }),
          "kerncast_op_register: definition");
  CHECK(prepared == nullptr);
}

TEST_CASE("tensors that no op could take are refused when they are set") {
  const Arguments arguments("norm.rms_norm");
  Tensor given(matrix(nullptr));
  const auto set = [&] {
    return outcome(
        [&](auto** e) { return kerncast_arguments_set_tensor(arguments.handle, "x", &given.tensor, e); });
  };
  CHECK(set().status == KERNCAST_OK);
  std::string part;
  SECTION("memory of the host") {
    given.tensor.device = {1, 0};
    part = "device type is 1";
  }
  SECTION("a dtype without a kernel") {
    given.tensor.dtype.bits = 12;
    part = "12 bits";
  }
  SECTION("several lanes") {
    given.tensor.dtype.lanes = 4;
    part = "4 lanes";
  }
  SECTION("too many dimensions") {
    given.tensor.ndim = 7;
    part = "at most 6 dimensions, not 7";
  }
  SECTION("a negative extent") {
    given.extents[1] = -1;
    part = "dimension 1 has -1 elements";
  }
  SECTION("no shape") {
    given.tensor.shape = nullptr;
    part = "its shape is NULL";
  }
  const Outcome out = set();
  CHECK(out.status == KERNCAST_INVALID_ARGUMENT);
  CHECK_THAT(out.message, Catch::StartsWith("tensor 'x': ") && Catch::Contains(part));
}

TEST_CASE("options are checked by name and value") {
  kerncast_options* options = nullptr;
  require_ok([&](auto** e) { return kerncast_options_create(&options, e); });
  const auto set = [&](const char* name, const char* value) {
    return outcome([&](auto** e) { return kerncast_options_set(options, name, value, e); });
  };
  CHECK(set("cache_max_bytes", "1000").status == KERNCAST_OK);
  CHECK(set("cache_trust", "true").status == KERNCAST_OK);
  CHECK(set("cache_trust", "1").status == KERNCAST_INVALID_ARGUMENT);
  CHECK(set("cache_max_bytes", "-1").status == KERNCAST_INVALID_ARGUMENT);
  CHECK(set("workers_jobs", "many").status == KERNCAST_INVALID_ARGUMENT);
  CHECK(set("miss_policy", "never").status == KERNCAST_INVALID_ARGUMENT);
  const Outcome unknown = set("cache_directoy", "/tmp");
  CHECK(unknown.status == KERNCAST_NOT_FOUND);
  CHECK_THAT(unknown.message, Catch::Contains("did you mean 'cache_directory'?"));
  kerncast_options_free(options);
}

TEST_CASE("errors have the text of C++") {
  Host host;
  const std::string nearest =
      cpp_message([] { (void)kerncast::OpRegistry::instance().require("norm.rms_nrom"); });
  const kerncast_op* op = nullptr;
  const Outcome unknown = outcome([&](auto** e) { return kerncast_op_find("norm.rms_nrom", &op, e); });
  CHECK(unknown.status == KERNCAST_NOT_FOUND);
  CHECK(unknown.message == nearest);

  kerncast::norm::RmsNorm call;
  call.x = matrix(host.memory(matrix_bytes, 1));
  call.y = TensorView::contiguous(host.memory(matrix_bytes, 2), DType::bf16, {rows, hidden / 2});
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", call.x).tensor("y", call.y);
  const Outcome wrong = outcome([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
  CHECK(wrong.status == KERNCAST_INVALID_ARGUMENT);
  CHECK(wrong.message == cpp_message([&] { launch(host.cpp, call, nullptr); }));
}

TEST_CASE("a driver that is missing is an error") {
  kerncast_options* options = nullptr;
  kerncast_runtime* runtime = nullptr;
  require_ok([&](auto** e) { return kerncast_options_create(&options, e); });
  require_ok([&](auto** e) { return kerncast_options_set(options, "driver", "/nonexistent/libcuda.so", e); });
  require_ok([&](auto** e) { return kerncast_runtime_create(options, &runtime, e); });
  const Outcome out = outcome([&](auto** e) { return kerncast_make_current(runtime, 0, e); });
  CHECK(out.status == KERNCAST_NOT_FOUND);
  CHECK_THAT(out.message, Catch::Contains("/nonexistent/libcuda.so"));
  kerncast_runtime_free(runtime);
  kerncast_options_free(options);
}

TEST_CASE("launches from C write the bits of typed calls") {
  Host host;
  void* x = host.memory(matrix_bytes, 1);
  SECTION("norm.rms_norm, by name and prepared") {
    void* expected = host.memory(matrix_bytes, 2);
    void* found = host.memory(matrix_bytes, 3);
    kerncast::norm::RmsNorm call;
    call.x = matrix(x);
    call.y = matrix(expected);
    launch(host.cpp, call, nullptr);
    Arguments arguments("norm.rms_norm");
    arguments.tensor("x", matrix(x)).tensor("y", matrix(found));
    require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
    CHECK(host.bytes(found, matrix_bytes) == host.bytes(expected, matrix_bytes));
  }
  SECTION("quant.per_token_group") {
    void* q[2] = {host.memory(rows * hidden, 4), host.memory(rows * hidden, 5)};
    void* s[2] = {host.memory(rows * 8, 6), host.memory(rows * 8, 7)};
    const auto q_view = [&](int i) { return TensorView::contiguous(q[i], DType::fp8_e4m3, {rows, hidden}); };
    const auto s_view = [&](int i) { return TensorView::contiguous(s[i], DType::f32, {rows, 2}); };
    kerncast::quant::PerTokenGroup call;
    call.x = matrix(x);
    call.q = q_view(0);
    call.s = s_view(0);
    launch(host.cpp, call, nullptr);
    Arguments arguments("quant.per_token_group");
    arguments.tensor("x", matrix(x)).tensor("q", q_view(1)).tensor("s", s_view(1));
    require_ok([&](auto** e) { return kerncast_arguments_set_param(arguments.handle, "group", "128", e); });
    require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
    CHECK(host.bytes(q[0], rows * hidden) == host.bytes(q[1], rows * hidden));
    CHECK(host.bytes(s[0], rows * 8) == host.bytes(s[1], rows * 8));
  }
  SECTION("moe.topk_softmax") {
    void* w[2] = {host.memory(rows * 16, 4), host.memory(rows * 16, 5)};
    void* ids[2] = {host.memory(rows * 16, 6), host.memory(rows * 16, 7)};
    const auto view = [](void* data, DType type) { return TensorView::contiguous(data, type, {rows, 4}); };
    kerncast::moe::TopkSoftmax call;
    call.logits = matrix(x);
    call.weights = view(w[0], DType::f32);
    call.ids = view(ids[0], DType::i32);
    launch(host.cpp, call, nullptr);
    Arguments arguments("moe.topk_softmax");
    arguments.tensor("logits", matrix(x))
        .tensor("weights", view(w[1], DType::f32))
        .tensor("ids", view(ids[1], DType::i32));
    require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
    CHECK(host.bytes(w[0], rows * 16) == host.bytes(w[1], rows * 16));
    CHECK(host.bytes(ids[0], rows * 16) == host.bytes(ids[1], rows * 16));
  }
}

TEST_CASE("a prepared launch is rebound to other memory and rows, and keeps its kernel") {
  Host host;
  void* x = host.memory(matrix_bytes * 2, 1);
  void* first = host.memory(matrix_bytes * 2, 2);
  void* second = host.memory(matrix_bytes * 2, 2);
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", matrix(x)).tensor("y", matrix(first));
  kerncast_prepared* prepared = nullptr;
  require_ok([&](auto** e) { return kerncast_prepare(host.c, arguments.handle, nullptr, &prepared, e); });
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  const auto rebind = [&] {
    return outcome([&](auto** e) { return kerncast_prepared_rebind(prepared, arguments.handle, e); });
  };
  arguments.tensor("y", matrix(second));
  CHECK(rebind().status == KERNCAST_OK);
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  CHECK(host.bytes(second, matrix_bytes * 2) == host.bytes(first, matrix_bytes * 2));

  // Three and four rows share a bucket; five do not.
  arguments.tensor("x", matrix(x, 4)).tensor("y", matrix(second, 4));
  CHECK(rebind().status == KERNCAST_OK);
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  const auto four = host.bytes(second, matrix_bytes * 2);
  CHECK(four != host.bytes(first, matrix_bytes * 2));
  arguments.tensor("x", matrix(x, 5)).tensor("y", matrix(second, 5));
  const Outcome other = rebind();
  CHECK(other.status == KERNCAST_INVALID_ARGUMENT);
  CHECK_THAT(other.message,
             Catch::Contains("norm.rms_norm") && Catch::Contains("5 rows needs another kernel"));
  arguments.tensor("x", matrix(x, 0)).tensor("y", matrix(first, 0));
  CHECK(rebind().status == KERNCAST_OK);
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  CHECK(host.bytes(second, matrix_bytes * 2) == four);
  kerncast_prepared_free(prepared);

  // No rows have no kernel, so there is none to rebind.
  require_ok([&](auto** e) { return kerncast_prepare(host.c, arguments.handle, nullptr, &prepared, e); });
  CHECK(rebind().status == KERNCAST_OK);
  arguments.tensor("x", matrix(x)).tensor("y", matrix(first));
  CHECK_THAT(rebind().message, Catch::Contains("prepared for no rows"));
  kerncast_prepared_free(prepared);
  kerncast::norm::RmsNorm call;
  call.x = matrix(x);
  call.y = matrix(first);
  kerncast::PreparedLaunch never;
  CHECK_THROWS_WITH(never.rebind(kerncast::definition_of<kerncast::norm::RmsNorm>(), bind(call)),
                    Catch::Contains("never prepared"));
}

TEST_CASE("managed tensors go back to their owner once") {
  static std::atomic<int> returned{0};
  returned = 0;
  const Tensor given(matrix(nullptr));
  kerncast_dl_managed_tensor managed{given.tensor, nullptr, [](kerncast_dl_managed_tensor*) { ++returned; }};
  kerncast_dl_managed_tensor_versioned versioned{
      {1, 0}, nullptr, [](kerncast_dl_managed_tensor_versioned*) { ++returned; }, 0, given.tensor};
  {
    const Arguments arguments("norm.rms_norm");
    require_ok([&](auto** e) { return kerncast_arguments_set_managed(arguments.handle, "x", &managed, e); });
    CHECK(returned == 0);
    require_ok([&](auto** e) {
      return kerncast_arguments_set_managed_versioned(arguments.handle, "x", &versioned, e);
    });
    CHECK(returned == 1);
    versioned.version.major = 2;
    const Outcome out = outcome([&](auto** e) {
      return kerncast_arguments_set_managed_versioned(arguments.handle, "y", &versioned, e);
    });
    CHECK(out.status == KERNCAST_UNSUPPORTED);
    managed.dl_tensor.device.device_type = {};
    CHECK(kerncast_arguments_set_managed(arguments.handle, "y", &managed, nullptr) ==
          KERNCAST_INVALID_ARGUMENT);
    CHECK(returned == 1);
  }
  CHECK(returned == 2);
}

TEST_CASE("a capture takes a kernel that was loaded before, and refuses one that was not") {
  Host host;
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", matrix(host.memory(matrix_bytes, 1)))
      .tensor("y", matrix(host.memory(matrix_bytes, 2)));
  void* stream = nullptr;
  REQUIRE(host.symbol<int(void**, unsigned)>("cuStreamCreate")(&stream, 1) == 0);
  const auto begin = [&] { return host.symbol<int(void*, int)>("cuStreamBeginCapture")(stream, 2); };
  const auto end = [&] {
    void* graph = nullptr;
    REQUIRE(host.symbol<int(void*, void**)>("cuStreamEndCapture")(stream, &graph) == 0);
    REQUIRE(host.symbol<int(void*)>("cuGraphDestroy")(graph) == 0);
  };
  REQUIRE(begin() == 0);
  const Outcome miss = outcome([&](auto** e) { return kerncast_run(host.c, arguments.handle, stream, e); });
  CHECK(miss.status == KERNCAST_CAPTURE_MISS);
  CHECK_THAT(miss.message, Catch::Contains("kerncast warm norm.rms_norm"));
  end();
  kerncast_report* report = nullptr;
  require_ok([&](auto** e) { return kerncast_ensure(host.c, arguments.handle, nullptr, &report, e); });
  CHECK(kerncast_report_text(report, "origin") == std::string("compiled"));
  CHECK(kerncast_report_text(report, "op") == std::string("norm.rms_norm"));
  CHECK(kerncast_report_text(report, "nothing") == nullptr);
  CHECK(kerncast_report_number(report, "compile_ms") > 0);
  kerncast_report_free(report);
  REQUIRE(begin() == 0);
  require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, stream, e); });
  end();
  CHECK(host.symbol<int(void*)>("cuStreamDestroy")(stream) == 0);
}

TEST_CASE("kernels are compiled and found ahead of time by text") {
  Host host;
  const kerncast_op* op = nullptr;
  require_ok([&](auto** e) { return kerncast_op_find("norm.l2_norm", &op, e); });
  const char* settings = "x_dtype=bf16 y_dtype=bf16 hidden=256";
  kerncast_report* report = nullptr;
  require_ok(
      [&](auto** e) { return kerncast_cache_find(host.c, op, settings, "sm_90a", 3, nullptr, &report, e); });
  CHECK(report == nullptr);
  require_ok(
      [&](auto** e) { return kerncast_compile(host.c, op, settings, "sm_90a", 3, nullptr, nullptr, e); });
  require_ok(
      [&](auto** e) { return kerncast_cache_find(host.c, op, settings, "sm_90a", 3, nullptr, &report, e); });
  REQUIRE(report != nullptr);
  CHECK(std::string(kerncast_report_text(report, "key")).size() == 32);
  kerncast_report_free(report);
  char* lines = nullptr;
  require_ok([&](auto** e) { return kerncast_tunables(host.c, op, settings, "sm_90a", 3, 0, &lines, e); });
  CHECK_THAT(lines, Catch::Contains("threads="));
  kerncast_text_free(lines);
  const Outcome wrong = outcome(
      [&](auto** e) { return kerncast_compile(host.c, op, "hidden", "sm_90a", 3, nullptr, nullptr, e); });
  CHECK(wrong.status == KERNCAST_INVALID_ARGUMENT);
  CHECK_THAT(wrong.message, Catch::Contains("'hidden' is not of the form NAME=VALUE"));
}

TEST_CASE("a record is loaded ahead, a sealed runtime compiles nothing, and a listener hears of it") {
  Host host;
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", matrix(host.memory(matrix_bytes, 1)))
      .tensor("y", matrix(host.memory(matrix_bytes, 2)));
  const std::string record = host.folder.file("record");
  kerncast_options* options = nullptr;
  kerncast_runtime* runtime = nullptr;
  std::vector<std::string> heard;
  const auto listener = [](void* user, const kerncast_event* event) {
    static_cast<std::vector<std::string>*>(user)->push_back(std::to_string(event->kind) + " " + event->op);
  };
  require_ok([&](auto** e) { return kerncast_options_create(&options, e); });
  require_ok([&](auto** e) {
    return kerncast_options_set(options, "cache_directory", host.folder.file("cache").c_str(), e);
  });
  require_ok([&](auto** e) { return kerncast_options_set(options, "record", record.c_str(), e); });
  require_ok([&](auto** e) { return kerncast_options_set_listener(options, listener, &heard, 1, e); });
  require_ok([&](auto** e) { return kerncast_runtime_create(options, &runtime, e); });
  require_ok([&](auto** e) { return kerncast_run(runtime, arguments.handle, nullptr, e); });
  kerncast_runtime_free(runtime);
  kerncast_options_free(options);
  CHECK(heard == std::vector<std::string>{"0 norm.rms_norm", "1 norm.rms_norm", "2 norm.rms_norm",
                                          "3 norm.rms_norm", "5 norm.rms_norm"});

  kerncast_load_report report{};
  char* failures = nullptr;
  require_ok([&](auto** e) { return kerncast_load_all(host.c, record.c_str(), 0, &report, &failures, e); });
  CHECK(report.compiled == 1);
  CHECK(report.failed == 0);
  CHECK(std::string(failures).empty());
  kerncast_text_free(failures);
  const Outcome none =
      outcome([&](auto** e) { return kerncast_load_all(host.c, "/nonexistent", 0, nullptr, nullptr, e); });
  CHECK(none.status == KERNCAST_IO_ERROR);

  require_ok([&](auto** e) { return kerncast_seal(host.c, e); });
  require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
  Arguments other("norm.l2_norm");
  other.tensor("x", matrix(host.memory(matrix_bytes, 1))).tensor("y", matrix(host.memory(matrix_bytes, 2)));
  const Outcome miss = outcome([&](auto** e) { return kerncast_run(host.c, other.handle, nullptr, e); });
  CHECK(miss.status == KERNCAST_CACHE_MISS);
}

TEST_CASE("eight threads launch at once, and handles outlive the handle of their runtime") {
  Host host;
  void* x = host.memory(matrix_bytes, 1);
  std::vector<void*> outputs;
  for (int i = 0; i < 8; ++i) {
    outputs.push_back(host.memory(matrix_bytes, 2));
  }
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (void* output : outputs) {
    threads.emplace_back([&, output] {
      const Tensor in(matrix(x));
      const Tensor out(matrix(output));
      const kerncast_op* op = nullptr;
      kerncast_arguments* arguments = nullptr;
      kerncast_prepared* prepared = nullptr;
      failed += kerncast_make_current(host.c, 0, nullptr) + kerncast_op_find("norm.rms_norm", &op, nullptr) +
                kerncast_arguments_create(op, &arguments, nullptr) +
                kerncast_arguments_set_tensor(arguments, "x", &in.tensor, nullptr) +
                kerncast_arguments_set_tensor(arguments, "y", &out.tensor, nullptr) +
                kerncast_prepare(host.c, arguments, nullptr, &prepared, nullptr);
      kerncast_arguments_free(arguments);
      for (int i = 0; i < 20; ++i) {
        failed += kerncast_prepared_launch(prepared, nullptr, nullptr);
      }
      kerncast_prepared_free(prepared);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(failed == 0);
  for (const void* output : outputs) {
    CHECK(host.bytes(output, matrix_bytes) == host.bytes(outputs.front(), matrix_bytes));
  }
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", matrix(x)).tensor("y", matrix(outputs[0]));
  kerncast_prepared* prepared = nullptr;
  require_ok([&](auto** e) { return kerncast_prepare(host.c, arguments.handle, nullptr, &prepared, e); });
  kerncast_runtime_free(host.c);
  host.c = nullptr;
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  CHECK(host.bytes(outputs[0], matrix_bytes) == host.bytes(outputs[1], matrix_bytes));
  kerncast_prepared_free(prepared);
}
