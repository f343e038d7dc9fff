#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

using namespace kerncast::simulator;           // NOLINT(google-build-using-namespace)
using namespace kerncast::simulator::testing;  // NOLINT(google-build-using-namespace)
using Catch::Matchers::Contains;

namespace {

/// Runs `body`, which computes v from t (the thread's index), and returns v of each thread of one block.
std::vector<std::uint32_t> per_thread(const std::string& body, std::uint32_t threads,
                                      std::string* error = nullptr, FaultKind* kind = nullptr,
                                      LaunchCounts* counts = nullptr) {
  Runner runner(kernel_text(
      {"py"},
      ".reg .u64 y; .reg .u32 t, v, lane, a, b; .reg .pred p, q; .shared .align 4 .b8 s[4096];\n"
      "mov.u32 t, %tid.x; mov.u32 lane, %laneid; mov.u32 v, 0;\n" +
          body + "\nEND: ld.param.u64 y, [py]; mad.wide.u32 y, t, 4, y; st.global.u32 [y], v; ret;"));
  std::uint32_t* out = runner.zeros<std::uint32_t>(threads);
  const Fault fault = runner.run("k", {1, 1, 1}, {threads, 1, 1}, 0, out);
  if (error != nullptr) {
    *error = fault.message;
    *kind = fault.kind;
  } else {
    REQUIRE(fault.message == "");
  }
  if (counts != nullptr) {
    *counts = runner.counts;
  }
  return Runner::download(out, threads);
}

FaultKind fault_of(const std::string& body, std::uint32_t threads, std::string& message) {
  FaultKind kind = FaultKind::none;
  per_thread(body, threads, &message, &kind);
  return kind;
}

}  // namespace

TEST_CASE("lanes part at branches and meet again") {
  // activemask after the branches shows that all lanes run together again.
  const auto got = per_thread(
      "setp.lt.u32 p, t, 5; @p bra LOW; setp.lt.u32 p, t, 20; @p bra MIDDLE; mov.u32 v, 3; bra JOIN;\n"
      "LOW: mov.u32 v, 1; bra JOIN;\nMIDDLE: mov.u32 v, 2;\nJOIN: activemask.b32 a; setp.ne.u32 p, a, "
      "0xffffffff; @p mov.u32 v, 99;",
      32);
  for (std::uint32_t t = 0; t < 32; ++t) {
    CHECK(got[t] == (t < 5 ? 1 : t < 20 ? 2 : 3));
  }
}

TEST_CASE("lanes meet again wherever the code places the block where they meet") {
  // v gets the lanes that run together at MEET, which lies before what leads to it.
  const auto together = [](const std::string& body) {
    CAPTURE(body);
    const auto got = per_thread(body, 32);
    return got == std::vector<std::uint32_t>(32, 0xffffffff);
  };
  const std::string meet = "MEET: activemask.b32 v; bra END;\n";
  CHECK(together("setp.ne.u32 p, t, 0; @!p bra ARM;\n" + meet + "ARM: mov.u32 a, 0; bra.uni MEET;"));
  CHECK(together("setp.lt.u32 p, t, 9; @p bra ONE; bra TWO;\n" + meet +
                 "TWO: mov.u32 a, 0; bra MEET;\nONE: mov.u32 b, 0; bra MEET;"));
  // A loop that lies behind the code that it leads to, and one with an arm behind its end.
  CHECK(together("mov.u32 a, t; bra TEST;\n" + meet +
                 "BODY: sub.u32 a, a, 1;\nTEST: setp.ne.u32 p, a, 0; @p bra BODY; bra MEET;"));
  CHECK(
      together("mov.u32 a, t; mov.u32 b, 0;\nLOOP: setp.eq.u32 p, a, 0; @p bra MEET;\n"
               "setp.lt.u32 q, t, 16; @q bra ARM;\nJOIN: sub.u32 a, a, 1; bra LOOP;\n" +
               meet + "ARM: add.u32 b, b, 1; bra JOIN;"));
  // A loop inside another, both left in the middle.
  CHECK(together(
      "mov.u32 a, 0; bra OUTER;\n" + meet +
      "INNER: add.u32 b, b, 1; setp.eq.u32 p, b, t; @p bra NEXT; setp.gt.u32 q, b, 40; @q bra NEXT;\n"
      "bra INNER;\nNEXT: add.u32 a, a, 1; setp.gt.u32 p, a, t; @p bra MEET;\n"
      "OUTER: mov.u32 b, 0; bra INNER;"));
  // A table of targets, one of which falls through to the next.
  CHECK(together("T: .branchtargets ONE, TWO, MEET; rem.u32 a, t, 3; brx.idx a, T;\n" + meet +
                 "TWO: mov.u32 b, 2;\nONE: mov.u32 b, 1; bra MEET;"));
  // In the arm of a loop lanes run together, too.
  CHECK(
      together("mov.u32 v, 0; mov.u32 a, 0; mov.u32 b, 0; bra LOOP;\n"
               "JOIN: activemask.b32 b; setp.ne.u32 q, b, 0xffffffff; @q mov.u32 v, 1; add.u32 a, a, 1;\n"
               "LOOP: setp.eq.u32 p, a, 5; @p bra LEAVE; setp.eq.u32 p, a, t; @p bra ARM; bra JOIN;\n"
               "ARM: mov.u32 b, 0; bra JOIN;\nLEAVE: sub.u32 v, v, 1;"));
}

TEST_CASE("code whose order is changed counts its own instructions only") {
  LaunchCounts counts;
  per_thread("setp.ne.u32 p, t, 0; @!p bra ARM;\nMEET: bra END;\nARM: mov.u32 v, 0; bra.uni MEET;", 32,
             nullptr, nullptr, &counts);
  CHECK(counts.warp_instructions == 3 + 2 + 2 + 1 + 4);
  CHECK(counts.thread_instructions == 32 * (3 + 2 + 1 + 4) + 2);
}

TEST_CASE("loops with a different trip count per lane") {
  LaunchCounts counts;
  const auto got = per_thread(
      "mov.u32 a, 0;\nLOOP: setp.ge.u32 p, a, t; @p bra END; add.u32 v, v, a; add.u32 a, a, 1; bra LOOP;", 64,
      nullptr, nullptr, &counts);
  for (std::uint32_t t = 0; t < 64; ++t) {
    CHECK(got[t] == t * (t - 1) / 2);
  }
  // Straight part 4 + end 4 for all threads; 5 per iteration and 2 to leave the loop.
  std::uint64_t threads = 0;
  for (std::uint64_t t = 0; t < 64; ++t) {
    threads += 4 + 4 + 5 * t + 2;
  }
  CHECK(counts.thread_instructions == threads);
  CHECK(counts.warp_instructions == 2 * (4 + 4 + 2) + 5 * (31 + 63));
}

TEST_CASE("predicated instructions keep what they do not write") {
  const auto got = per_thread(
      "mov.u32 v, 7; setp.gt.u32 p|q, t, 9; @p add.u32 v, t, 100; @!p shl.b32 v, v, 1; @q mov.u32 v, t;", 40);
  for (std::uint32_t t = 0; t < 40; ++t) {
    CHECK(got[t] == (t > 9 ? t + 100 : t));
  }
}

TEST_CASE("branch tables") {
  const auto got = per_thread(
      "rem.u32 a, t, 3; TABLE: .branchtargets A, B, C;\nbrx.idx a, TABLE;\nA: mov.u32 v, 10; bra END;\nB: "
      "mov.u32 v, 20; bra END;\nC: mov.u32 v, 30;",
      32);
  for (std::uint32_t t = 0; t < 32; ++t) {
    CHECK(got[t] == 10 + t % 3 * 10);
  }
}

TEST_CASE("shuffles of every mode, with their predicate") {
  const auto check = [](const std::string& mode, std::uint32_t by, std::uint32_t clamp, auto expect) {
    const auto got = per_thread("shfl.sync." + mode + ".b32 a|p, lane, " + std::to_string(by) + ", " +
                                    std::to_string(clamp) + ", -1; selp.u32 b, 1000, 0, p; add.u32 v, a, b;",
                                32);
    for (std::uint32_t t = 0; t < 32; ++t) {
      INFO(mode << " by " << by << " clamp " << clamp << " lane " << t);
      CHECK(got[t] == expect(t));
    }
  };
  check("up", 3, 0, [](std::uint32_t t) { return t >= 3 ? t - 3 + 1000 : t; });
  check("down", 5, 31, [](std::uint32_t t) { return t + 5 <= 31 ? t + 5 + 1000 : t; });
  check("bfly", 9, 31, [](std::uint32_t t) { return (t ^ 9) + 1000; });
  check("idx", 6, 31, [](std::uint32_t) { return 1006U; });
  // Width 8: segments of eight lanes.
  check("down", 2, 0x181f, [](std::uint32_t t) { return (t & 7) + 2 <= 7 ? t + 2 + 1000 : t; });
  check("up", 2, 0x1800, [](std::uint32_t t) { return (t & 7) >= 2 ? t - 2 + 1000 : t; });
  check("idx", 3, 0x181f, [](std::uint32_t t) { return (t & 24) + 3 + 1000; });
  check("bfly", 4, 0x1c1f, [](std::uint32_t t) { return (t ^ 4) <= (t | 3) ? (t ^ 4) + 1000 : t; });
}

TEST_CASE("shuffles of lanes that arrive from different paths wait for each other") {
  const auto got = per_thread(
      "mov.u32 a, t; setp.lt.u32 p, t, 16; @p bra SUM; mul.lo.u32 a, t, 2;\nSUM: shfl.sync.bfly.b32 v, a, "
      "16, 31, -1;",
      32);
  for (std::uint32_t t = 0; t < 32; ++t) {
    CHECK(got[t] == (t < 16 ? (t + 16) * 2 : t - 16));
  }
  // Halves with masks of their own, from one instruction.
  const auto halves = per_thread(
      "setp.lt.u32 p, t, 16; selp.b32 b, 0x0000ffff, 0xffff0000, p; @!p bra GO; add.u32 lane, lane, 0;\nGO: "
      "redux.sync.add.u32 v, t, b;",
      32);
  for (std::uint32_t t = 0; t < 32; ++t) {
    CHECK(halves[t] == (t < 16 ? 120 : 376));
  }
}

TEST_CASE("votes, matches, reductions and election") {
  const auto value = [](const std::string& body, std::uint32_t threads = 32) {
    return per_thread(body, threads);
  };
  CHECK(value("setp.gt.u32 p, t, 27; vote.sync.ballot.b32 v, p, -1;")[0] == 0xf0000000U);
  CHECK(value("setp.gt.u32 p, t, 27; vote.sync.any.pred q, p, -1; selp.u32 v, 1, 0, q;")[3] == 1);
  CHECK(value("setp.gt.u32 p, t, 27; vote.sync.all.pred q, p, -1; selp.u32 v, 1, 0, q;")[30] == 0);
  CHECK(value("setp.lt.u32 p, t, 99; vote.sync.uni.pred q, !p, -1; selp.u32 v, 1, 0, q;")[30] == 1);
  const auto match = value("and.b32 a, t, 3; match.any.sync.b32 v, a, -1;");
  CHECK(match[0] == 0x11111111U);
  CHECK(match[7] == 0x88888888U);
  CHECK(value("match.all.sync.b32 v|p, 5, -1; @!p mov.u32 v, 1;")[9] == 0xffffffffU);
  CHECK(value("match.all.sync.b32 v|p, t, -1; @!p add.u32 v, v, 1;")[9] == 1);
  CHECK(value("redux.sync.add.u32 v, t, -1;")[5] == 496);
  CHECK(value("sub.u32 a, t, 7; redux.sync.min.s32 v, a, -1;")[5] == static_cast<std::uint32_t>(-7));
  CHECK(value("redux.sync.xor.b32 v, t, -1;")[5] == 0);
  CHECK(value("elect.sync a|p, -1; selp.u32 v, 1, 0, p;") == [] {
    std::vector<std::uint32_t> want(32);
    want[0] = 1;
    return want;
  }());
  // Lanes beyond the block's end count as exited.
  CHECK(value("setp.ge.u32 p, t, 0; vote.sync.ballot.b32 v, p, -1;", 40)[39] == 0xffU);
  CHECK(value("setp.eq.u32 p, t, 4; @p exit; setp.ge.u32 p, t, 0; vote.sync.ballot.b32 v, p, -1;")[1] ==
        0xffffffefU);
}

TEST_CASE("barriers order shared memory between warps") {
  const auto got = per_thread(
      "shl.b32 a, t, 2; st.shared.u32 [a], t; bar.sync 0; sub.u32 a, 1020, a; ld.shared.u32 v, [a]; bar.sync "
      "0; mov.u32 b, 0;\n",
      256);
  for (std::uint32_t t = 0; t < 256; ++t) {
    CHECK(got[t] == 255 - t);
  }
  const auto popc = per_thread("rem.u32 a, t, 3; setp.eq.u32 p, a, 0; bar.red.popc.u32 v, 1, p;", 100);
  CHECK(popc == std::vector<std::uint32_t>(100, 34));
  const auto all = per_thread(
      "setp.lt.u32 p, t, 99; bar.red.and.pred q, 0, p; selp.u32 v, 1, 2, q; bar.red.or.pred q, 0, !p; @q "
      "add.u32 v, v, 10;",
      100);
  CHECK(all == std::vector<std::uint32_t>(100, 12));
}

TEST_CASE("named barriers let part of a block wait and another part only arrive") {
  const auto got = per_thread(
      "setp.lt.u32 p, t, 32; @p bra PRODUCER; bar.sync 3, 64; ld.shared.u32 v, [s]; bra END;\n"
      "PRODUCER: mov.u32 a, 0;\nSPIN: add.u32 a, a, 1; setp.lt.u32 p, a, 3000; @p bra SPIN; st.shared.u32 "
      "[s], a; bar.arrive 3, 64;",
      64);
  CHECK(got[0] == 0);
  CHECK(got[40] == 3000);
}

TEST_CASE("warps that spin on each other's flags make progress") {
  const auto got = per_thread(
      "st.shared.u32 [s], 0; bar.sync 0; setp.ge.u32 p, t, 32; @p bra SETTER;\n"
      "WAIT: ld.volatile.shared.u32 v, [s]; setp.eq.u32 p, v, 0; @p bra WAIT; bra END;\nSETTER: "
      "st.volatile.shared.u32 [s], 5;",
      64);
  CHECK(got[0] == 5);
}

TEST_CASE("what cannot go on is a deadlock that says who waits where") {
  std::string message;
  CHECK(fault_of("setp.lt.u32 p, t, 32; @p bra END; bar.sync 0, 64;", 64, message) == FaultKind::deadlock);
  CHECK_THAT(message, Contains("warp 1") && Contains("barrier 0") && Contains("32 of 64 threads") &&
                          Contains("bar.sync 0, 64;"));
  CHECK(fault_of("setp.lt.u32 p, t, 16; @p bra ONE; bar.warp.sync -1; bra END;\nONE: shfl.sync.idx.b32 v, t, "
                 "0, 31, -1;",
                 32, message) == FaultKind::deadlock);
  CHECK_THAT(message, Contains("lanes 0x0000ffff") && Contains("shfl.sync") && Contains("bar.warp.sync"));
}

TEST_CASE("illegal instructions and traps name the thread") {
  std::string message;
  CHECK(fault_of("setp.eq.u32 p, t, 37; @p trap;", 64, message) == FaultKind::trap);
  CHECK_THAT(message, Contains("thread (37,0,0)") && Contains("@p trap;"));
  CHECK(fault_of("setp.lt.u32 p, t, 16; @p shfl.sync.idx.b32 v, t, 0, 31, 0xff;", 32, message) ==
        FaultKind::illegal_instruction);
  CHECK_THAT(message, Contains("thread (8,0,0)") && Contains("member mask"));
  CHECK(fault_of("mov.u32 v, 33; bar.sync 0, v;", 64, message) == FaultKind::illegal_instruction);
  CHECK(fault_of("mov.u32 v, 16; bar.sync v;", 64, message) == FaultKind::illegal_instruction);
}

TEST_CASE("a kernel that never ends is stopped after the time limit") {
  REQUIRE(setenv("KERNCAST_SIM_TIMEOUT", "0.2", 1) == 0);
  std::string message;
  CHECK(fault_of("FOREVER: add.u32 v, v, 1; bra FOREVER;", 32, message) == FaultKind::launch_timeout);
  CHECK_THAT(message, Contains("KERNCAST_SIM_TIMEOUT"));
  unsetenv("KERNCAST_SIM_TIMEOUT");
}

TEST_CASE("a grid of blocks that each end soon is stopped after the time limit") {
  REQUIRE(setenv("KERNCAST_SIM_TIMEOUT", "0.05", 1) == 0);
  Runner runner(kernel_text({}, "ret;"));
  const Fault fault = runner.run("k", {2147483647, 1, 1}, {1, 1, 1}, 0);
  CHECK(fault.kind == FaultKind::launch_timeout);
  CHECK_THAT(fault.message, Contains("of its 2147483647 blocks had started when KERNCAST_SIM_TIMEOUT"));
  unsetenv("KERNCAST_SIM_TIMEOUT");
}

TEST_CASE("the device's clock advances while a thread sleeps") {
  const auto got = per_thread(
      ".reg .u64 before, after; mov.u64 before, %globaltimer; nanosleep.u32 700000; mul.lo.u32 a, t, 1000;\n"
      "nanosleep.u32 a; mov.u64 after, %globaltimer; sub.u64 after, after, before; setp.ge.u64 p, after, "
      "731000; selp.u32 v, 1, 0, p;",
      32);
  CHECK(got == std::vector<std::uint32_t>(32, 1));
}

TEST_CASE("special registers") {
  Runner runner(
      kernel_text({"py"},
                  ".reg .u64 y; .reg .u32 i, r<8>;\n"
                  "mov.u32 r0, %tid.x; mov.u32 r1, %tid.y; mov.u32 r2, %tid.z; mov.u32 r3, %ntid.y; mov.u32 "
                  "r4, %ctaid.y; mov.u32 r5, %nctaid.x; mov.u32 r6, %ctaid.x;\n"
                  "mad.lo.u32 i, r2, 3, r1; mad.lo.u32 i, i, 5, r0; mad.lo.u32 r7, r4, r5, r6; mad.lo.u32 i, "
                  "r7, 30, i; mul.lo.u32 r0, r0, 1; mad.lo.u32 r0, r1, 10, r0; mad.lo.u32 r0, r2, 100, r0; "
                  "mad.lo.u32 r0, r3, 1000, r0; mad.lo.u32 r0, r7, 10000, r0;\n"
                  "ld.param.u64 y, [py]; mad.wide.u32 y, i, 4, y; st.global.u32 [y], r0;"));
  std::uint32_t* out = runner.zeros<std::uint32_t>(4 * 30);
  REQUIRE(runner.run("k", {2, 2, 1}, {5, 3, 2}, 0, out).message.empty());
  const auto got = Runner::download(out, 120);
  for (std::uint32_t i = 0; i < 120; ++i) {
    const std::uint32_t t = i % 30;
    CHECK(got[i] == i / 30 * 10000 + 3000 + t / 15 * 100 + t / 5 % 3 * 10 + t % 5);
  }
}

TEST_CASE("counts are the same on every run") {
  Runner runner(read_ptx("kernels.ptx"));
  LaunchCounts first;
  for (int run = 0; run < 3; ++run) {
    std::int32_t* out = runner.zeros<std::int32_t>(3000);
    REQUIRE(runner.run("collatz", {12, 1, 1}, {256, 1, 1}, 0, out, std::int32_t{3000}).message.empty());
    if (run == 0) {
      first = runner.counts;
      CHECK(first.warp_instructions > 0);
      CHECK(first.thread_instructions > first.warp_instructions);
    }
    CHECK(runner.counts.warp_instructions == first.warp_instructions);
    CHECK(runner.counts.thread_instructions == first.thread_instructions);
  }
}

TEST_CASE("compiled kernels: divergence, switches and loops") {
  Runner runner(read_ptx("kernels.ptx"));
  std::int32_t* steps = runner.zeros<std::int32_t>(1000);
  REQUIRE(runner.run("collatz", {8, 1, 1}, {128, 1, 1}, 0, steps, std::int32_t{1000}).message == "");
  const auto got = Runner::download(steps, 1000);
  for (int i = 0; i < 1000; ++i) {
    std::int64_t v = i + 1;
    int count = 0;
    for (; v != 1; ++count) {
      v = (v & 1) != 0 ? 3 * v + 1 : v / 2;
    }
    REQUIRE(got[static_cast<std::size_t>(i)] == count);
  }
  std::vector<std::int32_t> x(500);
  std::iota(x.begin(), x.end(), 11);
  std::int32_t* y = runner.zeros<std::int32_t>(500);
  auto* histogram = runner.zeros<std::uint64_t>(11);
  REQUIRE(runner
              .run("switch_histogram", {4, 1, 1}, {128, 1, 1}, 0, runner.upload(x), y, histogram,
                   std::int32_t{500})
              .message == "");
  const auto counts = Runner::download(histogram, 11);
  CHECK(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}) == 500);
  const auto results = Runner::download(y, 500);
  for (std::size_t i = 0; i < 500; ++i) {
    const std::int32_t v = x[i];
    std::int32_t want = -v;
    switch (v % 11) {
      case 0:
        want = v * 3;
        break;
      case 1:
        want = v ^ 77;
        break;
      case 2:
        want = 0;
        for (int k = 0; k < v % 50; ++k) {
          want += k * v;
        }
        break;
      case 3:
        want = v / 7;
        break;
      case 4:
        want = v % 13;
        break;
      case 5:
        want = __builtin_popcount(static_cast<unsigned>(v));
        break;
      case 6:
        want = __builtin_clz(static_cast<unsigned>(v));
        break;
      case 7:
        want = v << 3;
        break;
      case 8:
        want = v >> 2;
        break;
      case 9:
        want = 0;
        for (int bit = 0; bit < 32; ++bit) {
          want |= static_cast<std::int32_t>((static_cast<std::uint32_t>(v) >> bit & 1U) << (31 - bit));
        }
        break;
      default:
        break;
    }
    CHECK(results[i] == want);
  }
}

TEST_CASE("compiled kernels: recursion, locks, grid barriers, shared and module memory") {
  Runner runner(read_ptx("kernels.ptx"));
  std::vector<double> x(100);
  std::iota(x.begin(), x.end(), 0.25);
  double* y = runner.zeros<double>(100);
  REQUIRE(
      runner.run("recursion", {1, 1, 1}, {128, 1, 1}, 0, runner.upload(x), y, std::int32_t{100}).message ==
      "");
  const auto series = Runner::download(y, 100);
  for (int i = 0; i < 100; ++i) {
    double sum = 1;
    for (int d = 1; d <= 10 + (i & 3); ++d) {
      sum = 1 + x[static_cast<std::size_t>(i)] * sum / d;
    }
    CHECK(series[static_cast<std::size_t>(i)] ==
          Approx(sum + std::sqrt(x[static_cast<std::size_t>(i)])).epsilon(1e-14));
  }
  std::int32_t* count = runner.zeros<std::int32_t>(1);
  REQUIRE(runner.run("spin_lock", {2, 1, 1}, {64, 1, 1}, 0, runner.zeros<std::int32_t>(1), count).message ==
          "");
  CHECK(*count == 128);
  std::int32_t* sums = runner.zeros<std::int32_t>(2 * 60);
  REQUIRE(
      runner.run("grid_barrier", {60, 1, 1}, {32, 1, 1}, 0, runner.zeros<std::uint32_t>(1), sums).message ==
      "");
  CHECK(Runner::download(sums + 60, 60) == std::vector<std::int32_t>(60, 59 * 60 / 2));
  std::int32_t* both = runner.zeros<std::int32_t>(128);
  REQUIRE(runner.run("shared_both", {2, 1, 1}, {64, 1, 1}, 256, both).message == "");
  CHECK(both[65] == 62 + 100);
  std::int32_t* out = runner.zeros<std::int32_t>(32);
  struct {
    std::int32_t a[20];
    float f;
  } table{};
  std::iota(table.a, table.a + 20, 50);
  REQUIRE(runner.run("grid_constant", {1, 1, 1}, {32, 1, 1}, 0, table, out).message == "");
  CHECK(out[21] == 51);
  REQUIRE(runner.run("module_variables", {1, 1, 1}, {32, 1, 1}, 0, out).message == "");
  CHECK(out[2] == 7 + 42);
  REQUIRE(runner.module().find_variable("variable") != nullptr);
  *reinterpret_cast<std::int32_t*>(runner.module().find_variable("variable")->address) = 1000;
  REQUIRE(runner.run("module_variables", {1, 1, 1}, {32, 1, 1}, 0, out).message == "");
  CHECK(out[3] == 1008);
  REQUIRE(runner.run("local_array", {1, 1, 1}, {32, 1, 1}, 0, out, std::int32_t{40}).message == "");
  std::int32_t want = 0;
  for (int i = 0; i < 40; ++i) {
    want += ((i * 7 + 5) & 31) * 5;
  }
  CHECK(out[5] == want);
}

TEST_CASE("a failed assertion names its text, file and line") {
  Runner runner(read_ptx("kernels.ptx"));
  CHECK(runner.run("assertion", {1, 1, 1}, {32, 1, 1}, 0, std::int32_t{77}).kind == FaultKind::none);
  const Fault fault = runner.run("assertion", {1, 1, 1}, {32, 1, 1}, 0, std::int32_t{9});
  CHECK(fault.kind == FaultKind::assertion);
  CHECK_THAT(fault.message, Contains("thread (9,0,0)") && Contains("file.cu:77") && Contains("x is small"));
}

TEST_CASE("a recursion takes no more stack than the launch allows") {
  // Each call has 48 bytes of variables; the kernel has none.
  const std::string recursive =
      ".func f(.param .b32 n) { .local .b8 keep[48]; .reg .b32 x; .reg .pred p; ld.param.b32 x, [n];\n"
      "setp.eq.u32 p, x, 0; @p ret; sub.u32 x, x, 1; { .param .b32 a; st.param.b32 [a], x; call.uni f, (a); "
      "} ret; }";
  const auto run = [&](std::uint32_t depth, std::uint64_t limit) {
    Runner runner(kernel_text(
        {}, "{ .param .b32 a; st.param.b32 [a], " + std::to_string(depth) + "; call.uni f, (a); } ret;",
        recursive));
    runner.stack_limit = limit;
    return runner.run("k", {1, 1, 1}, {40, 1, 1}, 0);
  };
  CHECK(run(15, 1024).message == "");
  const Fault fault = run(16, 1024);
  CHECK(fault.kind == FaultKind::stack_overflow);
  CHECK_THAT(fault.message,
             Contains("thread (0,0,0), in function 'f' needs 1088 bytes of stack, and the limit is "
                      "1024") &&
                 Contains("call.uni f"));
  CHECK(run(16, 2048).message == "");
  CHECK(run(200, 0).message == "");
  CHECK(run(100000, 0).kind == FaultKind::stack_overflow);
  // A function that does not recur gets the stack that it needs.
  Runner runner(kernel_text({}, "call.uni g; ret;", ".func g() { .local .b8 large[5000]; ret; }"));
  runner.stack_limit = 1024;
  CHECK(runner.run("k", {1, 1, 1}, {32, 1, 1}, 0).message == "");
}

TEST_CASE("kernels allocate and free memory of the device's heap") {
  const std::string heap =
      ".extern .func (.param .b64 result) malloc (.param .b64 bytes);\n.extern .func free (.param .b64 "
      "at);\n";
  const std::string allocate =
      "{ .param .b64 a; .param .b64 r; st.param.b64 [a], bytes; call.uni (r), malloc, (a); ld.param.b64 at, "
      "[r]; }\n";
  const std::string give_back = "{ .param .b64 a; st.param.b64 [a], at; call.uni free, (a); }\n";
  const std::string start =
      ".reg .b64 out, bytes, at; .reg .b32 t, v; .reg .pred p; ld.param.u64 out, [po]; mov.u32 t, %tid.x;\n"
      "mad.wide.u32 out, t, 8, out;\n";
  const auto kernel = [&](const std::string& body) {
    return kernel_text({"po"}, start + body + "ret;", heap);
  };
  const std::array<std::uint32_t, 3> one{1, 1, 1};
  {
    // Each thread has its own; it stays for the launches that follow.
    Runner runner(kernel("mov.u64 bytes, 40;" + allocate + "st.u32 [at+36], t; st.global.u64 [out], at;"));
    runner.checks = true;
    auto* out = runner.zeros<std::uint64_t>(64);
    REQUIRE(runner.run("k", one, {64, 1, 1}, 0, out).message == "");
    const auto places = Runner::download(out, 64);
    for (std::uint32_t t = 0; t < 64; ++t) {
      CHECK(*reinterpret_cast<const std::uint32_t*>(places[t] + 36) == t);
    }
    CHECK(runner.memory().bytes_in_use(0) == 512 + 64 * 40);
  }
  {
    Runner runner(kernel("mov.u64 bytes, 2000000;" + allocate + "st.u32 [at], t;" + give_back +
                         "st.global.u64 [out], at;"));
    auto* out = runner.zeros<std::uint64_t>(1);
    for (int launch = 0; launch < 8; ++launch) {
      REQUIRE(runner.run("k", one, one, 0, out).message == "");
      CHECK(*out != 0);
      CHECK(runner.memory().bytes_in_use(0) == 8);
    }
  }
  {
    // The heap has 8 MiB.
    Runner runner(kernel("mov.u64 bytes, 5000000;" + allocate + "st.global.u64 [out], at;"));
    auto* out = runner.zeros<std::uint64_t>(2);
    REQUIRE(runner.run("k", one, {2, 1, 1}, 0, out).message == "");
    CHECK(out[0] != 0);
    CHECK(out[1] == 0);
  }
  {
    Runner runner(kernel("mov.u64 bytes, 16;" + allocate + give_back + give_back));
    const Fault fault = runner.run("k", one, one, 0, runner.zeros<std::uint64_t>(1));
    CHECK(fault.kind == FaultKind::illegal_instruction);
    CHECK_THAT(fault.message, Contains("frees what malloc did not give, or frees it twice"));
  }
  {
    Runner runner(
        kernel("mov.u64 at, 0;" + give_back + "mov.u64 bytes, 16;" + allocate + "ld.u32 v, [at+16];"));
    CHECK(runner.run("k", one, one, 0, runner.zeros<std::uint64_t>(1)).kind == FaultKind::illegal_address);
  }
}

TEST_CASE("a bounded launch ends, whatever keeps it running") {
  const std::string twice =
      ".func f(.param .b32 n) { .reg .b32 x, m; .reg .pred p; ld.param.b32 x, [n]; setp.eq.u32 p, x, 0; @p "
      "ret;\n"
      "sub.u32 m, x, 1; { .param .b32 a; st.param.b32 [a], m; call.uni f, (a); }\n"
      "{ .param .b32 a; st.param.b32 [a], m; call.uni f, (a); } ret; }";
  const std::string once = "{ .param .b32 a; st.param.b32 [a], 5; call.uni f, (a); }";
  const std::string deep = "{ .param .b32 a; st.param.b32 [a], 100; call.uni f, (a); }";
  const auto run = [&](const std::string& body, std::uint64_t most) {
    Runner runner(kernel_text({}, body, twice));
    runner.most_warp_instructions = most;
    return runner.run("k", {3, 1, 1}, {64, 1, 1}, 0);
  };
  for (const std::string& endless : {std::string("L: bra L;"), deep}) {
    const Fault fault = run(endless, 100000);
    CHECK(fault.kind == FaultKind::launch_timeout);
    CHECK_THAT(fault.message, Contains("after 100000 instructions of its warp") && Contains("PTX line"));
  }
  CHECK(run(once, 100000).message.empty());
  CHECK(run("ret;", 1).message.empty());
}
