// A host application that owns its device memory and calls one RMSNorm.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <kerncast/kerncast.hpp>
#include <kerncast/ops/norm/rms_norm.hpp>
#include <vector>

namespace {

// An inference engine links libcuda itself. This example uses the driver that Kerncast has loaded, so that it
// also runs on machines without a GPU.
template <class Function>
Function* driver_function(const kerncast::Runtime& runtime, const char* name) {
  return reinterpret_cast<Function*>(runtime.driver_symbol(name));
}

}  // namespace

int main() try {
  kerncast::Runtime& runtime = kerncast::Runtime::instance();
  const std::string arch = runtime.arch(0);  // loads the driver and retains device 0
  runtime.make_current(0);
  using Address = std::uint64_t;
  auto* allocate = driver_function<int(Address*, std::size_t)>(runtime, "cuMemAlloc_v2");
  auto* upload = driver_function<int(Address, const void*, std::size_t)>(runtime, "cuMemcpyHtoD_v2");
  auto* download = driver_function<int(void*, Address, std::size_t)>(runtime, "cuMemcpyDtoH_v2");

  constexpr std::int64_t rows = 4;
  constexpr std::int64_t hidden = 4096;
  std::vector<float> x(rows * hidden);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i % 7) - 3.0F;
  }
  Address in = 0;
  Address out = 0;
  if (allocate(&in, x.size() * 4) != 0 || allocate(&out, x.size() * 4) != 0 ||
      upload(in, x.data(), x.size() * 4) != 0) {
    std::fprintf(stderr, "no device memory\n");
    return 1;
  }
  using kerncast::TensorView;
  kerncast::norm::RmsNorm call;
  call.x = TensorView::contiguous(reinterpret_cast<void*>(in), kerncast::DType::f32, {rows, hidden});
  call.y = TensorView::contiguous(reinterpret_cast<void*>(out), kerncast::DType::f32, {rows, hidden});
  kerncast::launch(runtime, call, nullptr);

  std::vector<float> y(x.size());
  const bool launched = download(y.data(), out, y.size() * 4) == 0;
  double squares = 0;
  for (std::size_t i = 0; i < hidden; ++i) {
    squares += static_cast<double>(x[i]) * x[i];
  }
  const double expected = x[0] / std::sqrt(squares / hidden + 1e-6);
  std::printf("%s: y[0] = %.6f, expected %.6f\n", arch.c_str(), static_cast<double>(y[0]), expected);
  return launched && std::abs(static_cast<double>(y[0]) - expected) < 1e-5 ? 0 : 1;
} catch (const kerncast::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
