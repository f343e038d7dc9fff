// The device clock of the virtual GPU; ctest sets KERNCAST_SIM_CLOCK.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/devices/device_specs.hpp"
#include "runtime/devices/warp_cost.hpp"
#include "tests/simulator/driver/clock_fixture.hpp"

using namespace kerncast::tests;
using kerncast::devices::eager_launch_us;
using kerncast::devices::hidden_launch_us;
using kerncast::devices::launch_overhead_us;

namespace {

constexpr unsigned int words = 1 << 19;
constexpr std::uint64_t bytes = 4ULL * words;

/// Stores the device's time, and its clock counter, before and after a loop of `n` rounds.
constexpr const char* timer = R"(
.version 8.0
.target sm_75
.address_size 64
.visible .entry timer(.param .u64 out, .param .u32 n)
{
  .reg .pred %p;
  .reg .b32 %r<3>;
  .reg .b64 %rd<6>;
  ld.param.u64 %rd1, [out];
  ld.param.u32 %r1, [n];
  mov.u64 %rd2, %globaltimer;
  mov.u64 %rd3, %clock64;
AGAIN:
  sub.u32 %r1, %r1, 1;
  setp.ne.u32 %p, %r1, 0;
  @%p bra AGAIN;
  mov.u64 %rd4, %globaltimer;
  mov.u64 %rd5, %clock64;
  st.global.u64 [%rd1], %rd2;
  st.global.u64 [%rd1 + 8], %rd3;
  st.global.u64 [%rd1 + 16], %rd4;
  st.global.u64 [%rd1 + 24], %rd5;
  nanosleep.u32 50000;
  ret;
}
)";

/// add_one(x): a thread for each word; it triggers first and waits before it adds 1.
constexpr const char* adder = R"(
.version 8.0
.target sm_90
.address_size 64
.visible .entry add_one(.param .u64 px)
{
  .reg .b32 %r<5>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [px];
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.u32 %r1, %r1, %r2, %r3;
  mad.wide.u32 %rd2, %r1, 4, %rd1;
  griddepcontrol.launch_dependents;
  griddepcontrol.wait;
  ld.global.u32 %r4, [%rd2];
  add.u32 %r4, %r4, 1;
  st.global.u32 [%rd2], %r4;
  ret;
}
)";

}  // namespace

TEST_CASE_METHOD(ClockFixture, "the elapsed time of a launch is the cost model's estimate of its counts",
                 "[h100]") {
  const DeviceBuffer buffer(api, bytes);
  buffer.fill(0);
  const auto launch = [&] { REQUIRE(add(buffer.address(), words, 1, stream.get()) == CUDA_SUCCESS); };
  flush();
  const double cold = estimate("add", 2 * bytes, launch);
  const double warm = estimate("add", 0, launch);
  CHECK(cold > eager_launch_us);
  CHECK(cold > warm);
  CHECK(microseconds(launch) == Approx(std::max(warm, eager_launch_us)).epsilon(1e-4));
  flush();
  CHECK(microseconds(launch) == Approx(cold).epsilon(1e-4));
  // In a graph each launch has the model's overhead only, and all but the first find their bytes in L2.
  const CUgraphExec graph = graph_of([&] {
    for (int i = 0; i < 20; ++i) {
      launch();
    }
  });
  flush();
  const float many = microseconds([&] { REQUIRE(api.cuGraphLaunch(graph, stream.get()) == CUDA_SUCCESS); });
  CHECK(many == Approx(cold + 19 * warm).epsilon(1e-4));
}

TEST_CASE_METHOD(ClockFixture, "a launch of little work takes the host's time to launch, but in a graph not",
                 "[h100]") {
  const auto launch = [&] { REQUIRE(run("bounded", stream.get()) == CUDA_SUCCESS); };
  launch();
  CHECK(microseconds(launch) == Approx(eager_launch_us).epsilon(1e-4));
  const CUgraphExec graph = graph_of([&] {
    for (int i = 0; i < 10; ++i) {
      launch();
    }
  });
  const float many = microseconds([&] { REQUIRE(api.cuGraphLaunch(graph, stream.get()) == CUDA_SUCCESS); });
  CHECK(many > 10 * launch_overhead_us);
  CHECK(many < 10 * launch_overhead_us + 0.1);
}

TEST_CASE_METHOD(ClockFixture, "a dependent launch hides a part of its overhead behind the launch before it",
                 "[h100]") {
  CUfunction kernel = nullptr;
  REQUIRE(api.cuModuleGetFunction(&kernel, load(adder), "add_one") == CUDA_SUCCESS);
  const DeviceBuffer buffer(api, 4 * bytes);
  buffer.fill(0);
  const auto chain = [&](bool dependent) {
    CUlaunchAttribute attribute{};
    attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attribute.value.programmaticStreamSerializationAllowed = dependent ? 1 : 0;
    const CUlaunchConfig config{4 * words / 256, 1, 1, 256, 1, 1, 0, stream.get(), &attribute, 1};
    CUdeviceptr x = buffer.address();
    void* parameters[] = {&x};
    for (int i = 0; i < 5; ++i) {
      REQUIRE(api.cuLaunchKernelEx(&config, kernel, parameters, nullptr) == CUDA_SUCCESS);
    }
  };
  chain(false);
  // The first launch has none before it to hide behind: an event is recorded there.
  const float apart = microseconds([&] { chain(false); });
  CHECK(apart > 5 * (eager_launch_us + hidden_launch_us));
  CHECK(microseconds([&] { chain(true); }) == Approx(apart - 4 * hidden_launch_us).epsilon(1e-4));
  CHECK(microseconds([&] { chain(false); }) == Approx(apart).epsilon(1e-4));
  for (const bool dependent : {false, true}) {
    const CUgraphExec graph = graph_of([&] { chain(dependent); });
    const float took = microseconds([&] { REQUIRE(api.cuGraphLaunch(graph, stream.get()) == CUDA_SUCCESS); });
    CHECK(took == Approx(apart - (dependent ? 4 * hidden_launch_us : 0)).epsilon(1e-4));
  }
}

TEST_CASE_METHOD(ClockFixture, "copies and fills take their bytes over the bandwidth", "[h100]") {
  const DeviceBuffer from(api, bytes);
  const DeviceBuffer to(api, bytes);
  std::vector<unsigned int> host(words);
  const auto over = [](double moved, double gb_per_s) {
    return Approx(launch_overhead_us + moved / (gb_per_s * 1e3)).epsilon(1e-4);
  };
  CHECK(microseconds([&] {
          REQUIRE(api.cuMemsetD32Async(from.address(), 1, words, stream.get()) == CUDA_SUCCESS);
        }) == over(bytes, 3352));
  CHECK(microseconds([&] {
          REQUIRE(api.cuMemcpyDtoDAsync(to.address(), from.address(), bytes, stream.get()) == CUDA_SUCCESS);
        }) == over(2 * bytes, 3352));
  CHECK(microseconds([&] {
          REQUIRE(api.cuMemcpyDtoHAsync(host.data(), to.address(), bytes, stream.get()) == CUDA_SUCCESS);
        }) == over(bytes, 50));
  CHECK(microseconds([&] {
          REQUIRE(api.cuMemcpyHtoDAsync(to.address(), host.data(), bytes, stream.get()) == CUDA_SUCCESS);
        }) == over(bytes, 50));
  CHECK(host[words - 1] == 1);
}

TEST_CASE_METHOD(ClockFixture, "work that waits for an event begins no earlier than it", "[h100]") {
  const StreamHandle other(api);
  const DeviceBuffer buffer(api, bytes);
  std::vector<unsigned int> host(words);
  const Event start(api);
  const Event copied(api);
  const Event end(api);
  start.record(stream.get());
  REQUIRE(api.cuMemcpyHtoDAsync(buffer.address(), host.data(), bytes, stream.get()) == CUDA_SUCCESS);
  copied.record(stream.get());
  REQUIRE(api.cuStreamWaitEvent(other.get(), copied.get(), 0) == CUDA_SUCCESS);
  REQUIRE(api.cuMemcpyDtoHAsync(host.data(), buffer.address(), bytes, other.get()) == CUDA_SUCCESS);
  end.record(other.get());
  end.synchronize();
  const float one = copied.milliseconds_since(start);
  CHECK(end.milliseconds_since(start) == Approx(2 * one).epsilon(1e-4));
  CHECK(end.milliseconds_since(copied) == Approx(one).epsilon(1e-4));

  // Streams that do not wait for each other go side by side, and what the host starts after it has waited for
  // one comes after it.
  const Event apart(api);
  const Event later(api);
  start.record(stream.get());
  REQUIRE(api.cuMemcpyHtoDAsync(buffer.address(), host.data(), bytes, stream.get()) == CUDA_SUCCESS);
  copied.record(stream.get());
  REQUIRE(api.cuMemcpyDtoHAsync(host.data(), flushed.address(), bytes, other.get()) == CUDA_SUCCESS);
  apart.record(other.get());
  copied.synchronize();
  apart.synchronize();
  later.record(other.get());
  later.synchronize();
  CHECK(copied.milliseconds_since(start) == Approx(one).epsilon(1e-4));
  CHECK(apart.milliseconds_since(start) == Approx(one).epsilon(1e-4));
  CHECK(later.milliseconds_since(copied) >= 0);
}

TEST_CASE_METHOD(ClockFixture, "the legacy stream orders itself in device time with streams that have ended",
                 "[h100]") {
  const StreamHandle blocking(api, CU_STREAM_DEFAULT);
  const Event start(api);
  const Event end(api);
  std::vector<unsigned int> host(words);
  start.record(blocking.get());
  REQUIRE(api.cuMemcpyDtoHAsync(host.data(), flushed.address(), bytes, blocking.get()) == CUDA_SUCCESS);
  end.record(nullptr);
  end.synchronize();
  CHECK(1000 * end.milliseconds_since(start) == Approx(launch_overhead_us + bytes / 50e3).epsilon(1e-4));
}

TEST_CASE_METHOD(ClockFixture, "branches of a graph run side by side, and its end is the last of theirs",
                 "[h100]") {
  const StreamHandle other(api);
  const DeviceBuffer a(api, bytes);
  const DeviceBuffer b(api, bytes);
  const Event forked(api);
  const Event joined(api);
  static_cast<void>(function("add"));
  const CUgraphExec graph = graph_of([&] {
    forked.record(stream.get());
    REQUIRE(api.cuStreamWaitEvent(other.get(), forked.get(), 0) == CUDA_SUCCESS);
    REQUIRE(api.cuMemsetD32Async(a.address(), 1, words, stream.get()) == CUDA_SUCCESS);
    REQUIRE(api.cuMemsetD32Async(a.address(), 2, words, stream.get()) == CUDA_SUCCESS);
    REQUIRE(api.cuMemsetD32Async(b.address(), 3, words / 2, other.get()) == CUDA_SUCCESS);
    joined.record(other.get());
    REQUIRE(api.cuStreamWaitEvent(stream.get(), joined.get(), 0) == CUDA_SUCCESS);
    REQUIRE(api.cuMemcpyDtoDAsync(b.address(), a.address(), bytes, stream.get()) == CUDA_SUCCESS);
  });
  const float took = microseconds([&] { REQUIRE(api.cuGraphLaunch(graph, stream.get()) == CUDA_SUCCESS); });
  // Two fills one after the other, beside half of one, and then a copy, which moves twice as much as a fill.
  CHECK(took == Approx(3 * launch_overhead_us + 4 * bytes / 3352e3).epsilon(1e-4));
}

TEST_CASE_METHOD(ClockFixture, "kernels read the time of the device, and sleep on it", "[h100]") {
  CUmodule module = load(timer);
  CUfunction kernel = nullptr;
  REQUIRE(api.cuModuleGetFunction(&kernel, module, "timer") == CUDA_SUCCESS);
  const DeviceBuffer out(api, 32);
  const auto read = [&](unsigned int rounds) {
    CUdeviceptr to = out.address();
    void* parameters[] = {&to, &rounds};
    REQUIRE(api.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream.get(), parameters, nullptr) ==
            CUDA_SUCCESS);
    stream.synchronize();
    std::vector<std::uint64_t> times(4);
    out.download(times.data(), 32);
    return times;
  };
  std::vector<std::uint64_t> first;
  const float took = microseconds([&] { first = read(10000); });
  CHECK(first[2] > first[0]);
  // 30000 instructions of two clocks each.
  CHECK(static_cast<double>(first[3] - first[1]) == Approx(60000).epsilon(0.001));
  CHECK(static_cast<double>(first[2] - first[0]) == Approx(60000 / 1.98).epsilon(0.001));
  CHECK(took > 50 + 60000 / 1980.0F);
  CHECK(took < 50 + 60000 / 1980.0F + 10);
  const std::vector<std::uint64_t> second = read(1);
  CHECK(static_cast<double>(second[0] - first[0]) == Approx(1000 * took).margin(2500));
}

TEST_CASE_METHOD(PrimaryFixture, "the device has the attributes of the one that gives the clock",
                 "[attributes]") {
  const char* name = std::getenv("KERNCAST_SIM_CLOCK");
  REQUIRE(name != nullptr);
  const kerncast::devices::DeviceSpec* spec = kerncast::devices::device_called(name);
  REQUIRE(spec != nullptr);
  const kerncast::devices::ArchSpec& arch = kerncast::devices::arch_spec(spec->sm);
  const auto attribute = [&](CUdevice_attribute wanted) {
    int value = 0;
    check(api, api.cuDeviceGetAttribute(&value, wanted, 0), "an attribute");
    return value;
  };
  CHECK(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) * 10 +
            attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) ==
        spec->sm);
  CHECK(attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) == spec->sm_count);
  CHECK(attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE) == spec->clock_mhz * 1000);
  CHECK(attribute(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE) == spec->memory_clock_mhz * 1000);
  CHECK(attribute(CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH) == spec->memory_bus_bits);
  CHECK(attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE) == spec->l2_mib << 20);
  CHECK(attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR) == arch.threads_per_sm);
  char text[64] = {};
  REQUIRE(api.cuDeviceGetName(text, sizeof text, 0) == CUDA_SUCCESS);
  CHECK(std::string(text) == std::string("Kerncast virtual GPU (") + name + ")");
}
