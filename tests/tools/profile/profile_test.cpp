#include <catch2/catch.hpp>

#include "tests/tools/profile/hand_made_launch.hpp"
#include "tools/profile/cost_input.hpp"
#include "tools/profile/described_device.hpp"

namespace {

using namespace kerncast::tools;

TEST_CASE("a copied launch outlives what it was copied from") {
  const LaunchProfile profile = [] { return copy_launch(HandMadeLaunch().launch); }();
  CHECK(profile.kernel == "_Z3toyv");
  CHECK(profile.blocks() == 20);
  CHECK(profile.threads_per_block() == 64);
  CHECK(profile.warps_per_block() == 2);
  REQUIRE(profile.instructions.size() == 11);
  CHECK(profile.instructions[0].text == "ld.global.f32 %f1, [%rd1];");
  CHECK(profile.instructions[0].source_file == "quant/toy.cuh");
  const KerncastSimLaunch empty{};
  CHECK(copy_launch(empty).kernel.empty());
}

TEST_CASE("counts add up by class, by memory and by line") {
  const LaunchProfile profile = copy_launch(HandMadeLaunch().launch);
  const KerncastSimCounts total = total_counts(profile);
  CHECK(total.warp_instructions == 560);      // 9 of 40 and one of 200
  CHECK(total.thread_instructions == 17280);  // 8 of 1280, one of 640, one of 6400
  CHECK(total.divergent == 10);
  CHECK(total.global_sectors == 960);
  CHECK(total.shared_wavefronts == 120);
  CHECK(total.local_bytes == 5120);
  CHECK(thread_utilisation(total) == Approx(17280.0 / (32 * 560)));

  const std::vector<UnitCounts> units = counts_by_unit(profile);
  REQUIRE(units.size() == 7);  // special never ran
  CHECK(units[0].unit == "float");
  CHECK(units[0].counts.warp_instructions == 200);
  CHECK(units[1].unit == "store");
  CHECK(units[1].counts.warp_instructions == 120);
  CHECK(units[2].unit == "load");
  CHECK(units[2].counts.warp_instructions == 80);
  // Equal counts are in order of name.
  CHECK(units[3].unit == "atomic");
  CHECK(units[6].unit == "move");
  CHECK(counts_of_unit(profile, "barrier").warp_instructions == 40);
  CHECK(counts_of_unit(profile, "tensor").warp_instructions == 0);

  const GlobalTraffic traffic = global_traffic(profile);
  CHECK(traffic.loads.global_sectors == 640);
  CHECK(traffic.loads.global_least_sectors == 160);
  CHECK(traffic.stores.global_sectors == 160);
  CHECK(traffic.stores.warp_instructions == 40);  // stores elsewhere are not counted
  CHECK(traffic.atomics.global_requests == 40);

  CHECK(has_line_info(profile));
  const std::vector<LineCounts> lines = counts_by_line(profile);
  REQUIRE(lines.size() == 7);
  CHECK(lines[0].file.empty());
  CHECK(lines[0].line == 18);
  CHECK(lines[1].line == 20);
  CHECK(lines[2].file == "quant/toy.cuh");
  CHECK(lines[2].line == 5);
  CHECK(lines[2].counts.warp_instructions == 80);
  CHECK(lines[2].counts.global_sectors == 640);
  CHECK(lines[2].counts.shared_wavefronts == 40);
  CHECK(lines[4].line == 7);
  CHECK(lines[4].counts.warp_instructions == 240);
}

TEST_CASE("ratios and utilisation of nothing are defined") {
  CHECK(ratio_to_least(0, 0) == 1);
  CHECK(ratio_to_least(640, 160) == 4);
  CHECK(thread_utilisation({}) == 0);
  CHECK(counts_by_unit({}).empty());
  CHECK_FALSE(has_line_info({}));
}

TEST_CASE("the cost model's input is what the launch counted") {
  const LaunchProfile profile = copy_launch(HandMadeLaunch().launch);
  const kerncast::devices::CostInput input = cost_input(profile, 40, 5120, 1000);
  CHECK(input.blocks == 20);
  CHECK(input.warps_per_block == 2);
  CHECK(input.resources.threads == 64);
  CHECK(input.resources.registers == 40);
  CHECK(input.resources.shared_bytes == 1536);
  CHECK(input.global_sectors == 960);
  CHECK(input.global_waits == 80);  // loads and atomics
  CHECK(input.shared_waits == 40);  // not the store
  CHECK(input.shared_wavefronts == 120);
  CHECK(input.barriers == 40);
  // 800 sectors are read and 320 written at most, but the tensors are smaller.
  CHECK(input.memory_bytes == 6120);
  CHECK(cost_input(profile, 40, 1 << 20, 1 << 20).memory_bytes == (800 + 320) * 32);
}

TEST_CASE("a report has an estimate for every device and calls it one") {
  const ProfileReport report = hand_made_report();
  CHECK(report.estimates.size() == kerncast::devices::device_descriptions().size());
  CHECK(own_estimate(report).device->name == "h100");
  const std::string text = report_text(report);
  for (const char* part :
       {"quant.toy", "hidden=64", "in the model", "mlp", "right, max error 0.500", "5x4x1", "32x2x1",
        "40 per thread", "4 bytes stored, 0 loaded", "1.0 KiB static, 512 B dynamic", "thread utilisation",
        "96.4 %", "divergent branches", "estimate µs", "dependent µs", "limiting factor", "not a measurement",
        "rtx4090"}) {
    INFO(text);
    CHECK_THAT(text, Catch::Contains(part));
  }
  CHECK_THAT(text, Catch::Matches("[\\s\\S]*global loads +40 +5,120 +640 +160 +4\\.000[\\s\\S]*"));
  CHECK_THAT(text, Catch::Matches("[\\s\\S]*shared +80 +10,240 +120 +80 +1\\.500[\\s\\S]*"));
  CHECK_THAT(text, Catch::Matches("[\\s\\S]*float +200 +35\\.7 +6,400 +100\\.0[\\s\\S]*"));
}

TEST_CASE("JSON holds all of it") {
  const Json json = report_json(hand_made_report());
  CHECK(json.at("op") == "quant.toy");
  CHECK(json.at("label") == "mlp");
  CHECK(json.at("device") == "h100");
  CHECK(json.at("rows") == 1280);
  CHECK(json.at("ok") == true);
  CHECK(json.at("max_error") == 0.5);
  CHECK(json.at("grid") == Json({5, 4, 1}));
  CHECK(json.at("registers") == 40);
  CHECK(json.at("dynamic_shared_bytes") == 512);
  // 40 registers are 1280 a warp: 48 warps, so 24 blocks of two.
  CHECK(json.at("occupancy").at("limit") == "registers");
  CHECK(json.at("occupancy").at("blocks_per_sm") == 24);
  CHECK(json.at("warp_instructions") == 560);
  CHECK(json.at("divergent_branches") == 10);
  CHECK(json.at("barriers") == 40);
  CHECK(json.at("global").at("loads").at("ratio") == 4);
  CHECK(json.at("global").at("stores").at("sectors") == 160);
  CHECK(json.at("global").at("atomics").at("requests") == 40);
  CHECK(json.at("shared").at("ratio") == 1.5);
  CHECK(json.at("local").at("bytes") == 5120);
  CHECK(json.at("units").at(0).at("unit") == "float");
  CHECK(json.at("line_info") == true);
  CHECK(json.at("lines").size() == 7);
  CHECK(json.at("instructions").size() == 11);
  CHECK(json.at("instructions").at(0).at("counts").at("global_sectors") == 640);
  REQUIRE(json.at("estimates").size() == 5);
  for (const Json& estimate : json.at("estimates")) {
    INFO(estimate.dump());
    CHECK(estimate.at("fits") == true);
    double most = 0;
    for (const Json& factor : estimate.at("factors")) {
      most = std::max(most, factor.at("us").get<double>());
    }
    CHECK(estimate.at("estimate_us").get<double>() == Approx(estimate.at("launch_overhead_us").get<double>() +
                                                             most + estimate.at("tail_us").get<double>()));
    CHECK(estimate.at("limiting_factor") == "launch overhead");
    const bool has_dependent = estimate.at("device") != "a100" && estimate.at("device") != "rtx4090";
    CHECK((estimate.at("dependent_us") < estimate.at("estimate_us")) == has_dependent);
  }
}

TEST_CASE("a wrong result and a block that fits nowhere are said") {
  ProfileReport report = hand_made_report();
  report.profile.verdict.ok = false;
  report.profile.verdict.detail = "y[3] is 7";
  CHECK_THAT(report_text(report), Catch::Contains("WRONG: y[3] is 7"));
  CHECK(report_json(report).at("ok") == false);
  OpProfile large = report.profile;
  large.launch.dynamic_shared = 1 << 20;
  const ProfileReport unfit = make_report(std::move(large), "", require_device_description("a100"));
  CHECK_THAT(report_text(unfit), Catch::Contains("a block does not fit on a100 (shared memory)"));
  CHECK(report_json(unfit).at("estimates").at(0).at("fits") == false);
}

TEST_CASE("numbers are formatted for people") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(1234567) == "1,234,567");
  CHECK(microseconds(0.1234) == "0.123");
  CHECK(microseconds(0.9996) == "1.00");
  CHECK(microseconds(9.994) == "9.99");
  CHECK(microseconds(9.996) == "10.0");
  CHECK(microseconds(99.96) == "100");
  CHECK(microseconds(1234.4) == "1,234");
}

}  // namespace
