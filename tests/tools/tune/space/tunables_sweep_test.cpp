// Counting tunables on the virtual GPU.
#include "tools/tune/space/tunables_sweep.hpp"

#include <catch2/catch.hpp>

#include "tests/temporary_directory.hpp"
#include "tests/tools/tune/made_up_op.hpp"

using namespace kerncast;
using namespace kerncast::tools;

TEST_CASE("a call that cannot be told from calls of fewer rows is counted itself") {
  const TemporaryDirectory folder;
  RuntimeOptions options;
  options.driver = "sim";
  options.cache_directory = folder.path();
  Runtime runtime(options);
  RunDevice device(runtime, 0);
  TunablesSweep sweep(runtime, device, "sm_90a", DeviceTraits{90, 132, 232448});
  OpDefinition op = test::wrong_at_96_threads();
  // Few rows ask for a block that no device has, so that there is nothing to tell more rows from.
  op.geometry = [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t rows) noexcept {
    return LaunchGeometry{
        {(static_cast<std::uint32_t>(rows) + 127) / 128, 1, 1}, {rows <= 256 ? 4096U : 128U, 1, 1}, 0};
  };
  const std::vector<Tunables> one = {Tunables{{128}}};
  const std::vector<Counted> counted = sweep.count({&op, "", {}, {}}, 4096, one);
  REQUIRE(counted.size() == 1);
  CHECK(counted.front().defect.empty());
  REQUIRE(counted.front().stages.size() == 1);
  CHECK(counted.front().stages.front().blocks == 32);
  const std::vector<Counted> few = sweep.count({&op, "", {}, {}}, 100, one);
  REQUIRE(few.size() == 1);
  CHECK_FALSE(few.front().defect.empty());
  CHECK(sweep.count({&op, "", {}, {}}, 100, one, [] { return true; }).empty());
}
