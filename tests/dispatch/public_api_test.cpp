#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "kerncast/kerncast.hpp"
#include "runtime/driver/driver_api.hpp"
#include "runtime/driver/driver_error.hpp"

using namespace kerncast;

TEST_CASE("headers and library have one version, and its parts agree") {
  CHECK(std::string_view(version()) == KERNCAST_VERSION);
  CHECK(std::to_string(KERNCAST_VERSION_MAJOR) + "." + std::to_string(KERNCAST_VERSION_MINOR) + "." +
            std::to_string(KERNCAST_VERSION_PATCH) ==
        KERNCAST_VERSION);
  CHECK(KERNCAST_VERSION_NUMBER ==
        KERNCAST_VERSION_MAJOR * 10000 + KERNCAST_VERSION_MINOR * 100 + KERNCAST_VERSION_PATCH);
}

TEST_CASE("error codes keep their numbers and names") {
  struct Known {
    ErrorCode code;
    int number;
    std::string_view name;
  };
  constexpr Known codes[] = {
      {ErrorCode::invalid_argument, 1, "invalid_argument"},
      {ErrorCode::unsupported, 2, "unsupported"},
      {ErrorCode::not_found, 3, "not_found"},
      {ErrorCode::compile_failed, 4, "compile_failed"},
      {ErrorCode::driver_error, 5, "driver_error"},
      {ErrorCode::out_of_memory, 6, "out_of_memory"},
      {ErrorCode::io_error, 7, "io_error"},
      {ErrorCode::capture_miss, 8, "capture_miss"},
      {ErrorCode::internal, 9, "internal"},
      {ErrorCode::cache_miss, 10, "cache_miss"},
  };
  for (const Known& known : codes) {
    CHECK(static_cast<int>(known.code) == known.number);
    CHECK(error_name(known.code) == known.name);
  }
  CHECK(error_name(static_cast<ErrorCode>(0)) == "unknown");
}

TEST_CASE("a driver error carries the driver's code, and other errors carry none") {
  driver::DriverApi api;
  api.cuGetErrorName = [](driver::CUresult, const char** name) {
    *name = "CUDA_ERROR_INVALID_VALUE";
    return driver::CUDA_SUCCESS;
  };
  api.cuGetErrorString = [](driver::CUresult, const char** text) {
    *text = "invalid argument";
    return driver::CUDA_SUCCESS;
  };
  try {
    driver::check(api, driver::CUDA_ERROR_INVALID_VALUE, "asking");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::driver_error);
    CHECK(error.driver_result() == driver::CUDA_ERROR_INVALID_VALUE);
  }
  CHECK(Error(ErrorCode::not_found, "text").driver_result() == 0);
}

TEST_CASE("a warning is one line that a terminal prints and does not obey") {
  std::string warned;
  kerncast::RuntimeOptions options;
  options.nvrtc = "none";
  options.cache_owners = {"no\x1b[2Juser\nkerncast: note: x"};
  options.warn = [&](std::string_view text) { warned += text; };
  const kerncast::Runtime runtime(options);
  CHECK(warned == "KERNCAST_CACHE_OWNERS: there is no user no\\u001b[2Juser\\nkerncast: note: x");
}

TEST_CASE("a contiguous view takes up to the largest rank and refuses more dimensions") {
  const TensorView view = TensorView::contiguous(nullptr, DType::f32, {2, 3, 4, 5, 6, 7}, 1);
  CHECK(view.rank == TensorView::max_rank);
  CHECK(view.strides[0] == 3 * 4 * 5 * 6 * 7);
  CHECK(view.device == 1);
  CHECK_THROWS_WITH(TensorView::contiguous(nullptr, DType::f32, {1, 1, 1, 1, 1, 1, 1}),
                    Catch::Contains("at most 6 dimensions, not 7"));
}

TEST_CASE("a view of more elements than 64 bits count is refused, or says so") {
  constexpr std::int64_t large = std::int64_t{1} << 32;
  CHECK_THROWS_WITH(TensorView::contiguous(nullptr, DType::u8, {large, large}), Catch::Contains("2^63"));
  CHECK_THROWS_WITH(TensorView::contiguous(nullptr, DType::u8, {2, large, large / 2}),
                    Catch::Contains("2^63"));
  TensorView view = TensorView::contiguous(nullptr, DType::u8, {large, large / 4});
  CHECK(view.numel() == large / 4 * large);
  view.shape[1] = large;
  CHECK(view.numel() == std::numeric_limits<std::int64_t>::max());
  // A view of nothing has no elements, whatever its other dimensions are.
  view.rank = 3;
  CHECK(view.numel() == 0);
  view.shape[2] = -1;
  CHECK(view.numel() == 0);
}
