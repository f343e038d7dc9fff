#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <set>
#include <string>

#include "runtime/dispatch/source_text/source.hpp"
#include "tests/templates/catalogue/catalogue.hpp"
#include "tests/templates/catalogue/launchable_tunables.hpp"
#include "tests/templates/kernel_cache.hpp"
#include "tools/profile/described_device.hpp"
#include "tools/tune/space/call_shape.hpp"
#include "tools/tune/space/tunables_sweep.hpp"

using namespace kerncast;
using namespace kerncast::tools;

namespace {

constexpr double most_regret = 1.15;

/// One op or two for each rule that defaults follow, chosen for their few combinations of tunables.
/// bench_defaults has all ops at all shapes.
const std::set<std::string> judged = {
    "activation.silu_and_mul", "moe.align_block_size", "moe.fused_gate",
    "moe.topk_softmax",        "norm.relative_l1",     "norm.fused_add_rms_norm_quant",
    "norm.rms_norm_quant",     "quant.dequant",        "quant.fp8_pack",
    "quant.fp8_unpack",        "quant.nvfp4",          "quant.per_token_group"};

/// The first workload of each of these ops.
std::vector<Workload> judged_workloads() {
  std::vector<Workload> chosen;
  for (Workload& workload : test::catalogue_workloads()) {
    if (judged.contains(workload.op->name) && (chosen.empty() || chosen.back().op != workload.op)) {
      chosen.push_back(std::move(workload));
    }
  }
  return chosen;
}

std::string named(const Workload& workload, std::int64_t rows) {
  return fmt::format("{}: {} [{}], {} rows", workload.label, workload.op->name,
                     format_specialisation(*workload.op, specialise(*workload.op, workload.params)), rows);
}

void check_device(const char* name) {
  const devices::DeviceDescription& device = require_device_description(name);
  // The virtual GPU has one architecture per process.
  ::setenv("KERNCAST_SIM_ARCH", fmt::format("sm_{}", device.sm).c_str(), 1);
  ::setenv("KERNCAST_SIM_CHECKS", "off", 1);
  const test::KernelCache cache;
  RuntimeOptions options;
  options.cache_directory = cache.path();
  options.driver = "sim";
  Runtime runtime(options);
  RunDevice run_device(runtime, 0);
  TunablesSweep sweep(runtime, run_device, device.arch, traits_of(device));
  const std::vector<Workload> workloads = judged_workloads();
  REQUIRE(workloads.size() == judged.size());
  for (const Workload& workload : workloads) {
    for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{16}, std::int64_t{256}}) {
      const OpDefinition& op = *workload.op;
      const Call call = call_of(workload, rows);
      const Tunables defaults = op.default_tunables(call.spec, traits_of(device), call.rows);
      std::vector<Tunables> all = test::launchable_tunables(op, call, traits_of(device), true);
      all.push_back(defaults);
      const std::vector<Counted> counted = sweep.count(workload, rows, all);
      const double own = estimate_call(counted.back(), device).total_us;
      const auto best = std::min_element(counted.begin(), counted.end(), [&](const auto& a, const auto& b) {
        return estimate_call(a, device).total_us < estimate_call(b, device).total_us;
      });
      INFO(named(workload, rows) << ": " << format_tunables(op, defaults) << " takes " << own << " us, "
                                 << format_tunables(op, best->tunables) << " takes "
                                 << estimate_call(*best, device).total_us);
      CHECK(own <= most_regret * estimate_call(*best, device).total_us);
    }
  }
}

/// Number of blocks, and of warps in a block, of each launch under the default tunables.
std::vector<std::pair<std::uint64_t, std::uint64_t>> launches_of(const Workload& workload, const Call& call,
                                                                 const DeviceTraits& traits) {
  const OpDefinition& op = *workload.op;
  const Tunables tunables = op.default_tunables(call.spec, traits, call.rows);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> launches;
  for (std::size_t stage = 0; stage <= op.later_stages.size(); ++stage) {
    const auto geometry = stage == 0 ? op.geometry : op.later_stages[stage - 1].geometry;
    const LaunchGeometry made = geometry(call.spec, tunables, traits, call.rows);
    launches.emplace_back(std::uint64_t{made.grid[0]} * made.grid[1] * made.grid[2],
                          (made.block[0] * made.block[1] * made.block[2] + 31) / 32);
  }
  return launches;
}

bool has_long_rows(const Workload& workload) {
  const int hidden = find_param(*workload.op, "hidden");
  return hidden >= 0 && specialise(*workload.op, workload.params)[static_cast<std::size_t>(hidden)] >= 4096;
}

/// False for workloads that never have so few rows, or so many.
bool call_exists(const Workload& workload, std::int64_t rows, Call& call) {
  try {
    call = call_of(workload, rows);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("defaults on an A100 are near the best by the cost model", "[a100]") {
  check_device("a100");
}
TEST_CASE("defaults on an H100 are near the best by the cost model", "[h100]") {
  check_device("h100");
}

TEST_CASE("one long row is more than one warp's, and many rows are no blocks of one warp each", "[grid]") {
  int long_rows = 0;
  for (const Workload& workload : test::catalogue_workloads()) {
    for (const devices::DeviceDescription& device : devices::device_descriptions()) {
      const DeviceTraits traits = traits_of(device);
      Call call;
      if (has_long_rows(workload) && call_exists(workload, 1, call)) {
        INFO(device.name << ", " << named(workload, 1));
        auto launches = launches_of(workload, call, traits);
        if (workload.op->name == "norm.relative_l1") {
          // Its second stage reads partial sums, of which a row gives few, and no row.
          launches.resize(1);
        }
        for (const auto& [blocks, warps] : launches) {
          CHECK((blocks == 0 || blocks * warps > 1));
        }
        ++long_rows;
      }
      if (call_exists(workload, 8192, call)) {
        INFO(device.name << ", " << named(workload, 8192));
        for (const auto& [blocks, warps] : launches_of(workload, call, traits)) {
          CHECK((warps > 1 || blocks < 8192));
        }
      }
    }
  }
  CHECK(long_rows > 100);
}
