// Noise on the device clock; ctest sets KERNCAST_SIM_CLOCK and KERNCAST_SIM_NOISE.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>

#include "runtime/simulator/clock/noise.hpp"
#include "tests/simulator/driver/clock_fixture.hpp"

using namespace kerncast::tests;

TEST_CASE_METHOD(ClockFixture, "each launch, copy and graph takes the next pace of its seed") {
  const kerncast::simulator::Noise noise =
      kerncast::simulator::parse_noise(std::getenv("KERNCAST_SIM_NOISE"));
  constexpr unsigned int words = 1 << 18;
  const DeviceBuffer buffer(api, 4ULL * words);
  const auto fill = [&] {
    REQUIRE(api.cuMemsetD32Async(buffer.address(), 1, words, stream.get()) == CUDA_SUCCESS);
  };
  const double base = 1.2 + 4.0 * words / 3352e3;
  std::uint64_t number = 0;
  double least = 1e9;
  double most = 0;
  for (; number < 300; ++number) {
    const double took = microseconds(fill);
    CHECK(took == Approx(base * kerncast::simulator::pace_of(noise, number)).epsilon(1e-4));
    least = std::min(least, took);
    most = std::max(most, took);
  }
  CHECK(most > 1.2 * least);
  // A graph takes one pace for all of its nodes.
  const CUgraphExec graph = graph_of([&] {
    for (int i = 0; i < 10; ++i) {
      fill();
    }
  });
  const float many = microseconds([&] { REQUIRE(api.cuGraphLaunch(graph, stream.get()) == CUDA_SUCCESS); });
  CHECK(many == Approx(10 * base * kerncast::simulator::pace_of(noise, number)).epsilon(1e-4));
  CHECK(microseconds(fill) == Approx(base * kerncast::simulator::pace_of(noise, number + 1)).epsilon(1e-4));
}
