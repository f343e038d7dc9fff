#include "runtime/simulator/clock/launch_cost.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

using namespace kerncast::simulator;
using namespace kerncast::simulator::testing;

namespace {

/// A kernel that holds `count` words alive together.
std::string holding(int count, const std::string& bound = "") {
  std::string text = ".version 8.8\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 po)" +
                     bound + "{ .reg .b64 at; .reg .b32 v<" + std::to_string(count) +
                     ">; ld.param.u64 at, [po];\n";
  for (int i = 0; i < count; ++i) {
    text += "ld.global.b32 v" + std::to_string(i) + ", [at + " + std::to_string(4 * i) + "];\n";
  }
  for (int i = count; i-- > 0;) {
    text += "st.global.b32 [at + " + std::to_string(4 * i) + "], v" + std::to_string(i) + ";\n";
  }
  return text + "ret; }";
}

int registers_of(const std::string& ptx) {
  const Runner runner(ptx);
  return assigned_registers(runner.module(), 0);
}

}  // namespace

TEST_CASE("a kernel has the registers that are live together") {
  // The address is one of 64 bits.
  CHECK(registers_of(holding(10)) == 12);
  CHECK(registers_of(holding(100)) == 102);
  CHECK(registers_of(holding(400)) == 255);
  CHECK(registers_of(holding(1)) == 3);
  CHECK(registers_of(".version 8.8\n.target sm_90\n.address_size 64\n.visible .entry k() { ret; }") == 1);
}

TEST_CASE("a kernel has no more registers than its blocks can have") {
  CHECK(registers_of(holding(200, " .maxntid 1024, 1, 1 ")) == 64);
  CHECK(registers_of(holding(200, " .maxntid 512, 1, 1 ")) == 128);
  CHECK(registers_of(holding(200, " .reqntid 128, 1, 1 ")) == 202);
}

TEST_CASE("the cost model's input is what the launch counted") {
  const std::string body =
      ".reg .u64 out; .reg .u32 tid; .reg .f32 f; .shared .align 16 .b8 s[4096]; ld.param.u64 out, [po];\n"
      "mov.u32 tid, %tid.x; mad.wide.u32 out, tid, 4, out; ld.global.f32 f, [out]; add.f32 f, f, f;\n"
      "st.shared.f32 [s], f; bar.sync 0; ld.shared.f32 f, [s]; st.global.f32 [out], f; ret;";
  Runner runner(kernel_text({"po"}, body));
  LaunchProfile counts;
  Launch launch;
  launch.module = &runner.module();
  launch.kernel = 0;
  launch.grid = {3, 2, 1};
  launch.block = {64, 1, 1};
  launch.dynamic_shared_bytes = 256;
  launch.profile = &counts;
  auto* out = runner.zeros<float>(64);
  std::vector<std::byte> packed(sizeof out);
  std::memcpy(packed.data(), &out, sizeof out);
  launch.parameters = packed;
  REQUIRE(execute(launch, runner.memory(), nullptr).message.empty());
  const kerncast::devices::CostInput input = cost_input(launch, counts);
  CHECK(input.blocks == 6);
  CHECK(input.warps_per_block == 2);
  CHECK(input.resources.threads == 64);
  CHECK(input.resources.shared_bytes == 4096 + 256);
  CHECK(input.resources.registers == assigned_registers(runner.module(), 0));
  CHECK(input.global_requests == 24);
  CHECK(input.global_sectors == 96);
  CHECK(input.global_waits == 12);
  CHECK(input.shared_waits == 12);
  CHECK(input.barriers == 12);
  CHECK(input.longest_warp_requests == 2);
  CHECK(input.memory_bytes == 0);
  const auto count_of = [&](const std::string& unit) {
    const auto found = std::find_if(input.warp_instructions.begin(), input.warp_instructions.end(),
                                    [&](const auto& entry) { return entry.first == unit; });
    return found == input.warp_instructions.end() ? 0 : found->second;
  };
  CHECK(count_of("float") == 12);
  CHECK(count_of("store") == 24);
  CHECK(count_of("barrier") == 12);
  CHECK(count_of("double") == 0);
}
