#include <catch2/catch.hpp>

#include <string>

#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

// There is one test case in this program, since a fault stays with the device's context.
TEST_CASE("a host asks the runtime what the virtual GPU knows of a fault") {
  RowsOfOnes f;
  CHECK(f.runtime.last_fault().empty());
  // More rows than the memory behind the view holds.
  f.arguments.x = TensorView::contiguous(f.x.data(), DType::f32, {1000, RowsOfOnes::hidden});
  // They would reach into y, so y lies elsewhere; nothing is written before the fault.
  void* const far_away = static_cast<std::byte*>(f.y.data()) + (std::int64_t{1} << 40);
  f.arguments.y = TensorView::contiguous(far_away, DType::f32, {1000, RowsOfOnes::hidden});
  launch(f.runtime, f.arguments, nullptr);
  const auto synchronize =
      reinterpret_cast<driver::CUresult (*)()>(f.runtime.driver_symbol("cuCtxSynchronize"));
  CHECK(synchronize() == driver::CUDA_ERROR_ILLEGAL_ADDRESS);
  const std::string fault = f.runtime.last_fault();
  CHECK(fault.find("rms_norm") != std::string::npos);
  CHECK(fault.find("block") != std::string::npos);
  CHECK(fault.find("line") != std::string::npos);
}
