#include "tools/measure/device_timer.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "runtime/driver/context.hpp"
#include "tests/temporary_directory.hpp"
#include "tests/tools/measure/doubling_op.hpp"
#include "tools/measure/device_session.hpp"
#include "tools/measure/op_bench.hpp"
#include "tools/run/op_run.hpp"

using namespace kerncast;
using namespace kerncast::tools;

namespace {

/// With 96 threads the kernel faults.
OpDefinition faulting_at_96_threads() {
  return kerncast::test::doubling_op("a.y[i + (1ll << 40)] = 0.0f;");
}

/// A session on the virtual GPU with a cache of its own.
struct Place {
  Place() : session(options(), 0) {}
  [[nodiscard]] RuntimeOptions options() const {
    RuntimeOptions made;
    made.driver = "sim";
    made.cache_directory = folder.path();
    return made;
  }
  [[nodiscard]] std::size_t free_bytes() {
    std::size_t free = 0;
    std::size_t total = 0;
    REQUIRE(session.device().api().cuMemGetInfo(&free, &total) == driver::CUDA_SUCCESS);
    return free;
  }

  TemporaryDirectory folder;
  DeviceSession session;
  OpDefinition op = faulting_at_96_threads();
};

TimedCall call_of(const OpDefinition& op, std::int64_t rows) {
  TimedCall call;
  call.op = &op;
  call.inputs = synthetic_inputs(op, {}, {}, rows);
  return call;
}

std::vector<float> values_of(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Contender given(std::int32_t threads) {
  return {Contender::Kind::given, Tunables{{threads}}};
}

BenchRequest request_of(const OpDefinition& op, std::vector<Contender> contenders) {
  BenchRequest request;
  request.op = &op;
  request.rows = 1000;
  request.contenders = std::move(contenders);
  request.timing.l2 = TimingPolicy::L2::warm;
  request.timing.most_launches = 3;
  request.rounds.least_rounds = 3;
  request.rounds.most_rounds = 3;
  return request;
}

TEST_CASE("every policy measures a time for each launch, and leaves no memory behind") {
  Place place;
  static_cast<void>(place.free_bytes());
  std::optional<std::size_t> free;
  for (const TimingPolicy::L2 l2 : {TimingPolicy::L2::warm, TimingPolicy::L2::cold}) {
    for (const TimingPolicy::Launch launch : {TimingPolicy::Launch::graph, TimingPolicy::Launch::stream}) {
      for (const double least_us : {1e-3, 1e9}) {
        const TimingPolicy policy{l2, launch, least_us, 3};
        {
          DeviceTimer timer(place.session.runtime(), place.session.device(), call_of(place.op, 1000), policy);
          const Subject subject = timer.subject("64", Tunables{{64}});
          INFO(policy.text() << ": " << timer.plan().launches << " launches, " << timer.plan().copies
                             << " copies");
          CHECK(timer.plan().launches == (least_us < 1 ? 1 : 3));
          CHECK(timer.plan().overwrite_cache == (l2 == TimingPolicy::L2::cold));
          CHECK(timer.plan().copies == (l2 == TimingPolicy::L2::cold ? timer.plan().launches : 1));
          CHECK(timer.bytes_moved() == 8000);
          CHECK(timer.note().empty());
          CHECK(subject.sample_us() > 0);
          CHECK(subject.sample_us() > 0);
        }
        if (!free) {
          free = place.free_bytes();  // after the first, which loads the kernel
        }
        CHECK(place.free_bytes() == *free);
      }
    }
  }
}

TEST_CASE("outputs are those of one launch from the original inputs") {
  Place place;
  DeviceTimer timer(place.session.runtime(), place.session.device(), call_of(place.op, 300), {});
  const std::vector<float> x = values_of(synthetic_inputs(place.op, {}, {}, 300)[0].bytes);
  for (const std::int32_t threads : {64, 128}) {
    const std::vector<StoredTensor> written = timer.outputs(Tunables{{threads}});
    REQUIRE(written.size() == 1);
    const std::vector<float> y = values_of(written[0].bytes);
    REQUIRE(y.size() == x.size());
    CHECK(std::equal(x.begin(), x.end(), y.begin(), [](float a, float b) { return b == 2 * a; }));
  }
}

TEST_CASE("the outputs of an op that writes its inputs do not depend on the launches before") {
  Place place;
  const OpDefinition& op = OpRegistry::instance().require("norm.fused_add_rms_norm");
  TimedCall call;
  call.op = &op;
  call.params = {{"hidden", "64"}};
  call.inputs = synthetic_inputs(op, call.params, {}, 2);
  TimingPolicy policy;
  policy.most_launches = 2;
  DeviceTimer timer(place.session.runtime(), place.session.device(), call, policy);
  const auto before = timer.outputs(std::nullopt);
  const Subject subject = timer.subject("chosen", std::nullopt);
  CHECK(subject.sample_us() > 0);
  const auto after = timer.outputs(std::nullopt);
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(before[i].name == after[i].name);
    CHECK(before[i].bytes == after[i].bytes);
  }
}

TEST_CASE("a call without rows and tensors that do not fit the memory are errors that say what to do") {
  Place place;
  CHECK_THROWS_WITH(DeviceTimer(place.session.runtime(), place.session.device(), call_of(place.op, 0), {}),
                    Catch::Contains("at least one row"));
  const driver::DriverApi& api = place.session.device().api();
  const std::size_t rows = std::size_t{1} << 18;
  const driver::DeviceBuffer others(api, place.free_bytes() - (std::size_t{1} << 20));
  try {
    const DeviceTimer timer(place.session.runtime(), place.session.device(),
                            call_of(place.op, static_cast<std::int64_t>(rows)), {});
    FAIL("2 MiB fit 1 MiB");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
    CHECK_THAT(error.what(), Catch::Contains("use fewer rows"));
  }
}

TEST_CASE("with memory for some of the copies a sample makes do with them and says so") {
  Place place;
  const driver::DriverApi& api = place.session.device().api();
  const std::size_t l2 = 50U << 20U;
  const std::int64_t rows = 1 << 19;  // 4 MiB a copy
  // Room for a buffer as large as the cache, and for three copies with the first.
  std::optional<driver::DeviceBuffer> others;
  others.emplace(api, place.free_bytes() - l2 - (14U << 20U));
  TimingPolicy policy;
  policy.least_us = 1e9;
  policy.most_launches = 40;
  DeviceTimer timer(place.session.runtime(), place.session.device(), call_of(place.op, rows), policy);
  const Subject subject = timer.subject("64", Tunables{{64}});
  CHECK(subject.sample_us() > 0);
  CHECK(timer.plan().copies == 3);
  CHECK(timer.plan().launches == 3);
  CHECK(timer.plan().overwrite_cache);
  CHECK_THAT(timer.note(), Catch::Contains("memory holds 3 of 26 copies of the tensors"));

  // The first timer keeps its memory. Without room for the cache's size there is no cold cache, but a warm
  // one.
  DeviceTimer short_timer(place.session.runtime(), place.session.device(), call_of(place.op, 1000), policy);
  try {
    static_cast<void>(short_timer.subject("64", Tunables{{64}}));
    FAIL("the cache's size is not left");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
    CHECK_THAT(error.what(), Catch::Contains("use fewer rows, or time with a warm cache"));
  }
  policy.l2 = TimingPolicy::L2::warm;
  DeviceTimer warm_timer(place.session.runtime(), place.session.device(), call_of(place.op, 1000), policy);
  CHECK(warm_timer.subject("64", Tunables{{64}}).sample_us() > 0);
}

TEST_CASE(
    "contenders are measured over the same rounds; one that does not compile tells why and the other goes "
    "on") {
  Place place;
  const DeviceMonitor monitor("GPU-none", "libno-such-library.so");
  const BenchResult result = bench_call(
      place.session, monitor, request_of(place.op, {{Contender::Kind::defaults, {}}, given(64), given(160)}));
  REQUIRE(result.times.size() == 3);
  CHECK(result.times[0].report.tunables == "threads=128");
  CHECK(result.times[0].measured.summary.samples == 3);
  CHECK(result.times[1].report.tunables == "threads=64");
  CHECK(result.times[1].measured.ok());
  CHECK_THAT(result.times[2].measured.defect, Catch::Contains("160 threads are refused"));
  CHECK(result.end == RoundsEnd::rounds);
  CHECK(place.session.healthy());
}

TEST_CASE("after a fault the session is renewed, and measures on") {
  Place place;
  const DeviceMonitor monitor("GPU-none", "libno-such-library.so");
  CHECK_THROWS_AS(bench_call(place.session, monitor, request_of(place.op, {given(96)})), Error);
  CHECK_FALSE(place.session.healthy());
  CHECK_THROWS_AS(bench_call(place.session, monitor, request_of(place.op, {given(64)})), Error);
  place.session.renew();
  CHECK(place.session.healthy());
  CHECK(bench_call(place.session, monitor, request_of(place.op, {given(64)})).times[0].measured.ok());
  place.session.renew();
  CHECK(bench_call(place.session, monitor, request_of(place.op, {given(64)})).times[0].measured.ok());
}

}  // namespace
