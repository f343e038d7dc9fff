#include <catch2/catch.hpp>
#include <mutex>

#include <kerncast/ops/norm/rms_norm.hpp>
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/context.hpp"
#include "tests/cache/sample.hpp"
#include "tests/hot_path_counters.hpp"

using namespace kerncast;

namespace {

int launches = 0;

driver::CUresult count_launch(const driver::CUlaunchConfig*, driver::CUfunction, void**, void**) {
  ++launches;
  return driver::CUDA_SUCCESS;
}

/// Allocations and locks of `calls` runs of `work`.
template <class Work>
HotPathCounters counted(int calls, Work&& work) {
  const HotPathCounters before = HotPathCounters::now();
  for (int i = 0; i < calls; ++i) {
    work();
  }
  return HotPathCounters::now() - before;
}

}  // namespace

TEST_CASE("the counters see an allocation and a lock") {
  std::mutex mutex;
  const HotPathCounters seen = counted(3, [&] {
    const std::lock_guard lock(mutex);
    const auto memory = std::make_unique<std::string>(100, 'x');
    CHECK(memory->size() == 100);
  });
  CHECK(seen.allocations >= 6);
  CHECK(seen.locks >= 3);
}

TEST_CASE("a hot call neither allocates nor locks in any of the three interfaces") {
  const TemporaryDirectory folder;
  RuntimeOptions options;
  options.cache_directory = folder.path();
  Runtime runtime(options);
  const driver::PrimaryContext context(driver::load_driver(), 0);
  const driver::DeviceBuffer x(context.api(), 4 * 256 * 4);
  const driver::DeviceBuffer y(context.api(), 4 * 256 * 4);
  x.fill(0);
  norm::RmsNorm arguments;
  arguments.x = TensorView::contiguous(x.data(), DType::f32, {4, 256});
  arguments.y = TensorView::contiguous(y.data(), DType::f32, {4, 256});
  launch(runtime, arguments, nullptr);
  context.synchronize();

  // The driver's own launch may allocate and lock, so a function that does neither takes its place.
  driver::DriverApi table = *implementation_of(runtime).api.load();
  table.cuLaunchKernelEx = &count_launch;
  implementation_of(runtime).api.store(&table);
  const OpDefinition& op = definition_of<norm::RmsNorm>();
  const Call call = bind(arguments);
  const PreparedLaunch prepared = runtime.prepare(op, call);
  launches = 0;
  const HotPathCounters typed = counted(100, [&] { launch(runtime, arguments, nullptr); });
  const HotPathCounters bound = counted(100, [&] { runtime.dispatch(op, call, nullptr); });
  const HotPathCounters handle = counted(100, [&] { prepared.launch(nullptr); });
  CHECK(launches == 300);
  CHECK(typed.allocations == 0);
  CHECK(typed.locks == 0);
  CHECK(bound.allocations == 0);
  CHECK(bound.locks == 0);
  CHECK(handle.allocations == 0);
  CHECK(handle.locks == 0);
}
