// Counting tunables on the virtual GPU.
#include "tools/tune/space/tunables_sweep.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/temporary_directory.hpp"
#include "tests/tools/tune/made_up_op.hpp"

using namespace kerncast;
using namespace kerncast::tools;

namespace {

/// A sweep over the virtual GPU, with a cache of its own.
struct Counting {
  TemporaryDirectory folder;
  Runtime runtime{options()};
  RunDevice device{runtime, 0};
  TunablesSweep sweep{runtime, device, "sm_90a", DeviceTraits{90, 132, 232448}};

 private:
  [[nodiscard]] RuntimeOptions options() const {
    RuntimeOptions made;
    made.driver = "sim";
    made.cache_directory = folder.path();
    return made;
  }
};

}  // namespace

TEST_CASE("a call that cannot be told from calls of fewer rows is counted itself") {
  Counting counting;
  TunablesSweep& sweep = counting.sweep;
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

TEST_CASE("the counts of many rows that follow from few are those of the whole call") {
  Counting counting;
  TunablesSweep& sweep = counting.sweep;
  const OpDefinition& norm = OpRegistry::instance().require("norm.rms_norm");
  const OpDefinition& gated = OpRegistry::instance().require("activation.silu_and_mul");
  const Workload workloads[] = {{&norm, "", {{"hidden", "104"}, {"x_dtype", "bf16"}}, {}},
                                {&gated, "", {{"hidden", "80"}, {"x_dtype", "bf16"}}, {}}};
  const std::vector<Tunables> tunables[] = {{Tunables{{32, 1}}, Tunables{{64, 4}}},
                                            {Tunables{{32, 1}}, Tunables{{96, 2}}, Tunables{{160, 1}}}};
  for (std::size_t i = 0; i < 2; ++i) {
    for (const std::int64_t rows : {std::int64_t{600}, std::int64_t{1001}}) {
      const auto evenly = sweep.count_evenly(workloads[i], rows, tunables[i]);
      const std::vector<Counted> whole = sweep.count_whole(workloads[i], rows, tunables[i]);
      for (std::size_t t = 0; t < tunables[i].size(); ++t) {
        INFO(workloads[i].op->name << " " << t << ", " << rows << " rows");
        REQUIRE(evenly[t].has_value());
        REQUIRE(whole[t].stages.size() == 1);
        const devices::CostInput& made = evenly[t]->stages.front();
        const devices::CostInput& counted = whole[t].stages.front();
        CHECK(made.blocks == counted.blocks);
        CHECK(made.global_sectors == counted.global_sectors);
        CHECK(made.memory_bytes == counted.memory_bytes);
        CHECK(made.longest_warp == counted.longest_warp);
        auto classes = made.warp_instructions;
        auto counted_classes = counted.warp_instructions;
        std::sort(classes.begin(), classes.end());
        std::sort(counted_classes.begin(), counted_classes.end());
        CHECK(classes == counted_classes);
      }
    }
  }
}

TEST_CASE("a call whose rows cost what its data say is counted itself") {
  Counting counting;
  TunablesSweep& sweep = counting.sweep;
  const OpDefinition& op = OpRegistry::instance().require("moe.align_block_size");
  const std::vector<Tunables> one = {all_tunables(op).front()};
  const Workload workload{&op, "", {{"experts", "8"}, {"top_k", "2"}, {"block", "16"}}, {}};
  CHECK_FALSE(sweep.count_evenly(workload, 600, one).front().has_value());
}
