// The hot path against a driver whose launch returns at once: typed API, dispatch of a bound call, prepared
// handle.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <vector>

#include "kerncast/runtime.hpp"
#include "runtime/dispatch/runtime_parts.hpp"
#include "runtime/driver/context.hpp"
#include "templates/norm/rms_norm.hpp"

namespace {

std::size_t allocations = 0;

using namespace kerncast;

driver::CUresult launch_nothing(const driver::CUlaunchConfig*, driver::CUfunction, void**, void**) {
  return driver::CUDA_SUCCESS;
}

template <class Work>
double median_ns(Work&& work) {
  constexpr int batch = 1000;
  std::vector<double> times;
  for (int i = 0; i < 501; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (int j = 0; j < batch; ++j) {
      work();
    }
    times.push_back(
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / batch);
  }
  std::nth_element(times.begin(), times.begin() + 250, times.end());
  return times[250];
}

}  // namespace

// Counting replacements: the hot path must not reach them.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) {
    return memory;
  }
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

int main() {
  Runtime runtime;
  const driver::PrimaryContext context(driver::load_driver(), 0);
  const driver::DeviceBuffer x(context.api(), 16 * 7168 * 2);
  const driver::DeviceBuffer w(context.api(), 7168 * 2);
  const driver::DeviceBuffer y(context.api(), 16 * 7168 * 2);
  x.fill(0);
  w.fill(0);
  norm::RmsNorm arguments;
  arguments.x = TensorView::contiguous(x.data(), DType::bf16, {16, 7168});
  arguments.weight = TensorView::contiguous(w.data(), DType::bf16, {7168});
  arguments.y = TensorView::contiguous(y.data(), DType::bf16, {16, 7168});
  norm::rms_norm(runtime, arguments, nullptr);
  context.synchronize();

  driver::DriverApi table = *runtime.parts().api.load();
  table.cuLaunchKernelEx = &launch_nothing;
  runtime.parts().api.store(&table);
  const OpDefinition& op = OpRegistry::instance().require("norm.rms_norm");
  const Call call = norm::rms_norm_call(arguments);
  const PreparedLaunch prepared = runtime.prepare(op, call);
  const std::size_t before = allocations;
  for (int i = 0; i < 1000; ++i) {
    norm::rms_norm(runtime, arguments, nullptr);
    prepared.launch(nullptr);
  }
  const std::size_t allocated = allocations - before;
  fmt::print(
      "typed API {:.1f} ns, bound call {:.1f} ns, prepared handle {:.1f} ns (medians of 501 batches of "
      "1000); "
      "{} allocations in 2000 launches\n",
      median_ns([&] { norm::rms_norm(runtime, arguments, nullptr); }),
      median_ns([&] { runtime.dispatch(op, call, nullptr); }), median_ns([&] { prepared.launch(nullptr); }),
      allocated);
  return allocated == 0 ? 0 : 1;
}
