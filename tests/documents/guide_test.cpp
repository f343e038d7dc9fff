// Calls every function of the guide for hosts, whose text is included as it stands in the document.
#include <array>
#include <catch2/catch.hpp>

#include "guide_snippets.hpp"
#include "kerncast/kerncast.h"
#include "tests/temporary_directory.hpp"

/// The function in C of the headers' page.
extern "C" kerncast_status prepare_norm(kerncast_runtime* runtime, const kerncast_dl_tensor* x,
                                        const kerncast_dl_tensor* y, kerncast_prepared** prepared,
                                        kerncast_error** error);

namespace {

constexpr std::int64_t rows = 4;
constexpr std::int64_t hidden = 1024;

/// Rows of twos, whose RMSNorm is ones, and the memory of a call on them.
struct RowsOfTwos {
  RowsOfTwos() {
    runtime.make_current(0);
    x = kerncast::DeviceBuffer(runtime, bytes);
    y = kerncast::DeviceBuffer(runtime, bytes);
    x.upload(twos.data(), bytes);
    call = {.x = x.tensor(kerncast::DType::f32, {rows, hidden}),
            .y = y.tensor(kerncast::DType::f32, {rows, hidden}),
            .eps = 0};
  }
  [[nodiscard]] std::vector<float> result() const {
    std::vector<float> values(twos.size());
    y.download(values.data(), bytes);
    return values;
  }

  static constexpr std::size_t bytes = rows * hidden * sizeof(float);
  kerncast::Runtime& runtime = kerncast::Runtime::instance();
  std::vector<float> twos = std::vector<float>(rows * hidden, 2.0F);
  std::vector<float> ones = std::vector<float>(rows * hidden, 1.0F);
  kerncast::DeviceBuffer x;
  kerncast::DeviceBuffer y;
  kerncast::norm::RmsNorm call;
};

}  // namespace

TEST_CASE("the guide's memory and functions of the driver") {
  const RowsOfTwos f;
  CHECK(normalised(f.runtime, f.twos, hidden) == f.ones);
  CHECK(free_memory(f.runtime) > 0);
}

TEST_CASE("the guide's context on another thread") {
  const RowsOfTwos f;
  std::vector<float> result;
  start(f.runtime, 0, [&] { result = normalised(f.runtime, f.twos, hidden); }).get();
  CHECK(result == f.ones);
  CHECK_THROWS_AS(start(f.runtime, 99, [] {}).get(), kerncast::Error);
}

TEST_CASE("the guide's streams") {
  const RowsOfTwos f;
  const kerncast::DeviceBuffer between(f.runtime, RowsOfTwos::bytes);
  kerncast::norm::RmsNorm first = f.call;
  first.y = between.tensor(kerncast::DType::f32, {rows, hidden});
  kerncast::norm::RmsNorm second = f.call;
  second.x = first.y;
  launch_in_turn(f.runtime, first, second);
  CHECK(f.result() == f.ones);
}

TEST_CASE("the guide's graph") {
  const RowsOfTwos f;
  replay(f.runtime, f.call, 3);
  CHECK(f.result() == f.ones);
}

TEST_CASE("the guide's devices") {
  const RowsOfTwos f;
  CHECK(normalised_everywhere(f.runtime, f.twos, hidden) == std::vector<std::vector<float>>(2, f.ones));
}

TEST_CASE("the guide's own op") {
  const RowsOfTwos f;
  square_twice(f.runtime, f.x.tensor(kerncast::DType::f32, {rows * hidden}));
  std::vector<float> values(f.twos.size());
  f.x.download(values.data(), RowsOfTwos::bytes);
  CHECK(values == std::vector<float>(f.twos.size(), 16.0F));
  CHECK_THROWS_AS(square_twice(f.runtime, f.call.x), kerncast::Error);
}

TEST_CASE("the guide's failed launch") {
  const RowsOfTwos f;
  CHECK(launched(f.runtime, f.call, nullptr));
  CHECK(fault_of(f.runtime, nullptr).empty());
  kerncast::RuntimeOptions strict;
  const TemporaryDirectory empty;
  strict.cache_directory = empty.path();
  strict.miss_policy = kerncast::MissPolicy::cache_only;
  kerncast::Runtime sealed(strict);
  CHECK_FALSE(launched(sealed, f.call, nullptr));
  kerncast::norm::RmsNorm bad = f.call;
  bad.y = f.y.tensor(kerncast::DType::f32, {rows, hidden - 1});
  CHECK_THROWS_AS(launched(f.runtime, bad, nullptr), kerncast::Error);
}

TEST_CASE("the guide's tunables") {
  const RowsOfTwos f;
  CHECK(tunables_of(f.runtime, f.call).find("threads=") == 0);
  with_small_blocks(f.runtime, f.call).launch(nullptr);
  CHECK(f.result() == f.ones);
}

TEST_CASE("the headers' page in C") {
  const RowsOfTwos f;
  std::array<std::int64_t, 2> shape{rows, hidden};
  kerncast_dl_tensor x{};
  x.data = f.x.data();
  x.device = {KERNCAST_DL_CUDA, 0};
  x.ndim = 2;
  x.dtype = {KERNCAST_DL_FLOAT, 32, 1};
  x.shape = shape.data();
  kerncast_dl_tensor y = x;
  y.data = f.y.data();
  kerncast_runtime* runtime = nullptr;
  REQUIRE(kerncast_runtime_instance(&runtime, nullptr) == KERNCAST_OK);
  kerncast_prepared* prepared = nullptr;
  REQUIRE(prepare_norm(runtime, &x, &y, &prepared, nullptr) == KERNCAST_OK);
  CHECK(kerncast_prepared_launch(prepared, nullptr, nullptr) == KERNCAST_OK);
  const std::vector<float> result = f.result();
  CHECK(result.front() == Approx(1).epsilon(1e-5));
  CHECK(result.back() == Approx(1).epsilon(1e-5));
  kerncast_error* error = nullptr;
  CHECK(prepare_norm(runtime, &x, nullptr, &prepared, &error) == KERNCAST_INVALID_ARGUMENT);
  kerncast_error_free(error);
  kerncast_prepared_free(prepared);
  kerncast_runtime_free(runtime);
}

// A fault stays with the context, so this is run in a process of its own.
TEST_CASE("the guide's fault", "[.fault]") {
  const RowsOfTwos f;
  kerncast::norm::RmsNorm bad = f.call;
  bad.x.data = reinterpret_cast<void*>(std::uintptr_t{1} << 44);
  CHECK(launched(f.runtime, bad, nullptr));
  const std::string fault = fault_of(f.runtime, nullptr);
  CHECK_THAT(fault, Catch::Contains("CUresult 700") && Catch::Contains("rms_norm"));
}

// It runs in the folder in which the guide's commands have made an image.
TEST_CASE("the guide's image", "[.image]") {
  const RowsOfTwos f;
  const std::unique_ptr<kerncast::Runtime> image = open_image("serving.pack", "serving.jsonl", 0);
  kerncast::launch(*image, f.call, nullptr);
  CHECK(f.result() == f.ones);
  CHECK(image->cache_counters().compiles == 0);
  // The tuned record is in the cache of the commands, which the other runtime uses.
  CHECK_THAT(tunables_of(f.runtime, f.call), Catch::EndsWith(" (tuned)"));
  CHECK_THROWS_AS(open_image("serving.pack", "no.jsonl", 0), kerncast::Error);
}
