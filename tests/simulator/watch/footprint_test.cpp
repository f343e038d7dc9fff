#include "runtime/simulator/watch/footprint.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>

#include "runtime/simulator/watch/profile.hpp"
#include "tests/simulator/kernel_runner.hpp"

using namespace kerncast::simulator;
using namespace kerncast::simulator::testing;

namespace {

struct Sectors {
  int read = 0;
  int written = 0;
};

Sectors sectors_of(const Footprint& footprint) {
  Sectors sum;
  for (const auto& [page, touched] : footprint.pages()) {
    sum.read += std::popcount(touched.read);
    sum.written += std::popcount(touched.written);
  }
  return sum;
}

/// The sectors that `body` touches on `threads` threads, which find 64 KiB at `out`.
Sectors touched(const std::string& body, std::uint32_t threads, std::uint32_t blocks = 1) {
  Runner runner(kernel_text({"po"},
                            ".reg .u64 out; .reg .u32 tid, a; ld.param.u64 out, [po]; "
                            "mov.u32 tid, %tid.x; mov.u32 a, 0;\n" +
                                body));
  LaunchProfile counts;
  runner.profile = &counts;
  runner.footprint = true;
  REQUIRE(runner.run("k", {blocks, 1, 1}, {threads, 1, 1}, 0, runner.zeros<std::uint32_t>(16384))
              .message.empty());
  return sectors_of(counts.footprint);
}

}  // namespace

TEST_CASE("sectors are counted once, over pages and in any order") {
  Footprint footprint;
  footprint.add(60, 70, true, false);
  footprint.add(0, 0, false, true);
  footprint.add(64, 65, true, true);
  footprint.add(63, 63, true, false);
  CHECK(footprint.pages().size() == 2);
  CHECK(sectors_of(footprint).read == 11);
  CHECK(sectors_of(footprint).written == 3);
  Footprint other;
  other.add(1024, 1024 + 639, false, true);
  other.add(footprint);
  CHECK(sectors_of(other).read == 11);
  CHECK(sectors_of(other).written == 643);
}

TEST_CASE("a launch leaves the sectors that all its blocks touched") {
  const std::string at = "mad.wide.u32 out, tid, 4, out; ";
  // 256 threads of 4 bytes are 32 sectors, the same for each block.
  CHECK(touched(at + "ld.global.u32 a, [out]; ret;", 256, 9).read == 32);
  CHECK(touched(at + "ld.global.u32 a, [out]; ret;", 256, 9).written == 0);
  CHECK(touched(at + "st.global.u32 [out], a; ret;", 256, 9).written == 32);
  CHECK(touched(at + "st.global.u32 [out], a; ret;", 256, 9).read == 0);
  const Sectors both = touched(at + "red.global.add.u32 [out], a; ret;", 64);
  CHECK(both.read == 8);
  CHECK(both.written == 8);
  CHECK(touched("ret;", 64).read == 0);
}

TEST_CASE("a launch that asks for no footprint has none") {
  Runner runner(kernel_text({"po"},
                            ".reg .u64 out; .reg .u32 a; ld.param.u64 out, [po]; mov.u32 a, 0; "
                            "st.global.u32 [out], a; ret;"));
  LaunchProfile counts;
  runner.profile = &counts;
  REQUIRE(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, runner.zeros<std::uint32_t>(8)).message.empty());
  CHECK(counts.footprint.pages().empty());
  CHECK_FALSE(counts.instructions.empty());
}
