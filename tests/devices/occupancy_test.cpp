#include "runtime/devices/occupancy.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace kerncast::devices;

TEST_CASE("occupancy follows the tightest of an SM's limits") {
  const DeviceDescription& h100 = *find_device_description("h100");
  struct Case {
    BlockResources block;
    int blocks;
    int warps;
    const char* limit;
  };
  const Case cases[] = {
      // 2048 threads are 8 blocks of 8 warps; 32 registers would allow as many.
      {{256, 32, 0}, 8, 64, "warps"},
      // 64 registers are 2048 a warp: 8 warps in each quarter of 16384, so 32 warps.
      {{256, 64, 0}, 4, 32, "registers"},
      // 40 registers are 1280 a warp: 12 warps in each quarter, 48 in all, one block of 32.
      {{1024, 40, 0}, 1, 32, "registers"},
      // 33 registers are 1056, rounded up to 1280.
      {{128, 33, 0}, 12, 48, "registers"},
      // Blocks of one warp meet the limit of 32 blocks first.
      {{32, 16, 0}, 32, 32, "blocks"},
      // 48 KiB and 1 KiB reserved go 4 times into 228 KiB.
      {{256, 32, 49152}, 4, 32, "shared memory"},
      // 100 bytes take 1152 with what is reserved, in units of 128: 202 would fit.
      {{256, 32, 100}, 8, 64, "warps"},
      // One thread more than a warp needs another warp.
      {{33, 0, 0}, 32, 64, "warps"},
      {{256, 0, 227 * 1024}, 1, 8, "shared memory"},
      {{256, 0, 227 * 1024 + 1}, 0, 0, "shared memory"},
      {{1025, 32, 0}, 0, 0, "warps"},
      {{0, 32, 0}, 0, 0, "warps"},
  };
  for (const Case& expected : cases) {
    INFO(expected.block.threads << " threads, " << expected.block.registers << " registers, "
                                << expected.block.shared_bytes << " bytes");
    const Occupancy got = occupancy(h100, expected.block);
    CHECK(got.blocks_per_sm == expected.blocks);
    CHECK(got.warps_per_sm == expected.warps);
    CHECK(got.limit == expected.limit);
    CHECK(got.fraction == Approx(expected.warps / 64.0));
  }
  const Occupancy ada = occupancy(*find_device_description("rtx4090"), {512, 32, 0});
  CHECK(ada.blocks_per_sm == 3);
  CHECK(ada.fraction == 1);
}

}  // namespace
