#include <catch2/catch.hpp>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

namespace kerncast::simulator::testing {

namespace {

using Catch::Matchers::Contains;

/// Runs `body` with `threads` threads, 16-byte aligned shared memory `buf` of 4096 bytes, an mbarrier `bar`,
/// and the registers below; returns 64 words at pd.
struct Result {
  std::vector<std::uint32_t> words;
  Fault fault;
};

Result run(const std::string& body, unsigned threads = 1, const std::vector<std::uint32_t>& input = {0}) {
  const std::string text =
      ".shared .align 16 .b8 buf[4096];\n.shared .align 8 .b64 bar;\n"
      ".reg .u64 out, in, state, other; .reg .u32 t, n, m, s, w<8>; .reg .pred p, q, r;\n"
      "ld.param.u64 out, [pd]; ld.param.u64 in, [pa]; mov.u32 t, %tid.x; mov.u32 s, buf;\n" +
      body + "\nret;";
  Runner runner(kernel_text({"pd", "pa"}, text));
  auto* d = runner.zeros<std::uint32_t>(64);
  Result result;
  result.fault = runner.run("k", {1, 1, 1}, {threads, 1, 1}, 0, d, runner.upload(input));
  result.words = Runner::download(d, 64);
  return result;
}

const std::string store_p = "selp.u32 n, 1, 0, p; st.global.u32 ";

}  // namespace

TEST_CASE("An mbarrier's phase completes with its last arrival") {
  const Result r =
      run("mbarrier.init.shared::cta.b64 [bar], 3;\n"
          "mbarrier.arrive.shared::cta.b64 state, [bar];\n"
          "mbarrier.pending_count.b64 n, state; st.global.u32 [out], n;\n"
          "mbarrier.test_wait.shared::cta.b64 p, [bar], state; " +
          store_p +
          "[out+4], n;\n"
          "mbarrier.arrive.release.cta.shared::cta.b64 other, [bar], {2};\n"
          "mbarrier.pending_count.b64 n, other; st.global.u32 [out+8], n;\n"
          "mbarrier.test_wait.shared::cta.b64 p, [bar], state; " +
          store_p +
          "[out+12], n;\n"
          "mbarrier.try_wait.parity.shared::cta.b64 p, [bar], 0; " +
          store_p +
          "[out+16], n;\n"
          "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 p, [bar], 1, 1000; " +
          store_p +
          "[out+20], n;\n"
          // The next phase expects three again.
          "mbarrier.arrive.noComplete.release.cta.shared::cta.b64 state, [bar], 2;\n"
          "mbarrier.pending_count.b64 n, state; st.global.u32 [out+24], n;\n"
          "mbarrier.arrive_drop.shared::cta.b64 state, [bar];\n"
          "mbarrier.test_wait.parity.shared::cta.b64 p, [bar], 1; " +
          store_p +
          "[out+28], n;\n"
          // The next phase expects one arrival less.
          "mbarrier.arrive.shared::cta.b64 state, [bar];\n"
          "mbarrier.pending_count.b64 n, state; st.global.u32 [out+32], n;");
  REQUIRE(r.fault.message.empty());
  CHECK(std::vector(r.words.begin(), r.words.begin() + 9) ==
        std::vector<std::uint32_t>{3, 0, 2, 1, 1, 0, 3, 1, 2});
}

TEST_CASE("An mbarrier's phase waits for the bytes it was told to expect") {
  const Result r =
      run("mbarrier.init.shared::cta.b64 [bar], 1;\n"
          "mbarrier.arrive.expect_tx.shared::cta.b64 state, [bar], 96;\n"
          "mbarrier.test_wait.shared::cta.b64 p, [bar], state; " +
          store_p +
          "[out], n;\n"
          "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [bar], 32;\n"
          "mbarrier.test_wait.shared::cta.b64 p, [bar], state; " +
          store_p +
          "[out+4], n;\n"
          "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [bar], 64;\n"
          "mbarrier.test_wait.shared::cta.b64 p, [bar], state; " +
          store_p +
          "[out+8], n;\n"
          // Bytes may complete before they are expected.
          "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [bar], 16;\n"
          "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [bar], 16;\n"
          "mbarrier.test_wait.parity.shared::cta.b64 p, [bar], 1; " +
          store_p +
          "[out+12], n;\n"
          "mbarrier.arrive.shared::cta.b64 _, [bar];\n"
          "mbarrier.test_wait.parity.shared::cta.b64 p, [bar], 1; " +
          store_p + "[out+16], n;\nmbarrier.inval.shared::cta.b64 [bar];");
  REQUIRE(r.fault.message.empty());
  CHECK(std::vector(r.words.begin(), r.words.begin() + 5) == std::vector<std::uint32_t>{0, 0, 1, 0, 1});
}

TEST_CASE("Warps hand data over through an mbarrier") {
  // Warp 0 waits for the 32 arrivals of warp 1, phase after phase, through the generic address.
  const Result r =
      run("setp.eq.u32 q, t, 0; @q mbarrier.init.shared::cta.b64 [bar], 32; bar.sync 0;\n"
          "mov.u32 w0, 0; mov.u32 w1, 0; mov.u64 state, bar; cvta.shared.u64 other, state;\n"
          "setp.ge.u32 r, t, 32; @r bra arrive;\n"
          "next: and.b32 w2, w0, 1;\n"
          "wait: mbarrier.try_wait.parity.b64 p, [other], w2; @!p bra wait;\n"
          "ld.volatile.shared.u32 w3, [buf]; add.u32 w1, w1, w3; bar.sync 1;\n"
          "add.u32 w0, w0, 1; setp.lt.u32 q, w0, 5; @q bra next;\n"
          "mad.wide.u32 out, t, 4, out; st.global.u32 [out], w1; exit;\n"
          "arrive: add.u32 w3, w0, 10; st.volatile.shared.u32 [buf], w3;\n"
          "mbarrier.arrive.b64 state, [other]; bar.sync 1;\n"
          "add.u32 w0, w0, 1; setp.lt.u32 q, w0, 5; @q bra arrive;",
          64);
  REQUIRE(r.fault.message.empty());
  CHECK(r.words[0] == 10 + 11 + 12 + 13 + 14);
  CHECK(r.words[31] == r.words[0]);
}

TEST_CASE("Wrong uses of an mbarrier end the launch with their reason") {
  const auto reason = [](const std::string& body) {
    const Result r = run(body);
    CHECK(r.fault.kind == FaultKind::illegal_instruction);
    return r.fault.message;
  };
  CHECK_THAT(
      reason("mov.u64 state, 0; st.shared.u64 [bar], state; mbarrier.arrive.shared::cta.b64 state, [bar];"),
      Contains("not initialised"));
  CHECK_THAT(reason("mbarrier.init.shared::cta.b64 [bar], 0;"), Contains("count outside"));
  CHECK_THAT(reason("mbarrier.init.shared::cta.b64 [bar], 1048576;"), Contains("count outside"));
  CHECK_THAT(
      reason("mbarrier.init.shared::cta.b64 [bar], 1; mbarrier.arrive.shared::cta.b64 state, [bar], 2;"),
      Contains("more often"));
  CHECK_THAT(reason("mbarrier.init.shared::cta.b64 [bar], 1;\n"
                    "mbarrier.arrive.noComplete.release.cta.shared::cta.b64 state, [bar], 1;"),
             Contains("noComplete"));
  CHECK_THAT(reason("mbarrier.init.shared::cta.b64 [bar], 1; mbarrier.inval.shared::cta.b64 [bar];\n"
                    "mbarrier.test_wait.parity.shared::cta.b64 p, [bar], 0;"),
             Contains("not initialised"));
}

TEST_CASE("cp.async copies, fills with zeros, ignores its source, and arrives") {
  std::vector<std::uint32_t> input(64);
  std::iota(input.begin(), input.end(), 100U);
  const Result r =
      run("mbarrier.init.shared::cta.b64 [bar], 2;\n"
          "cp.async.ca.shared.global.L2::128B [buf], [in], 4;\n"
          "cp.async.cg.shared.global [buf+16], [in+16], 16, 12;\n"
          "setp.eq.u32 p, t, 0; cp.async.ca.shared.global [buf+32], [in+32], 8, p;\n"
          "cp.async.ca.shared.global [buf+40], [in+40], 8, !p;\n"
          ".reg .b64 policy; createpolicy.fractional.L2::evict_first.b64 policy, 1.0;\n"
          "cp.async.cg.shared.global.L2::cache_hint [buf+48], [in+48], 16, policy;\n"
          "cp.async.commit_group; cp.async.wait_group 0; cp.async.wait_all;\n"
          "cp.async.mbarrier.arrive.shared::cta.b64 [bar];\n"
          "mbarrier.arrive.shared::cta.b64 state, [bar]; mbarrier.pending_count.b64 n, state; st.global.u32 "
          "[out], n;\n"
          "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [bar];\n"
          "mbarrier.test_wait.parity.shared::cta.b64 p, [bar], 0; " +
              store_p +
              "[out+4], n;\n"
              "mov.u32 m, 0; loop: add.u32 n, s, m; ld.shared.u32 w0, [n]; cvt.u64.u32 other, m; add.u64 "
              "other, other, out;\n"
              "st.global.u32 [other+64], w0; add.u32 m, m, 4; setp.lt.u32 p, m, 64; @p bra loop;",
          1, input);
  REQUIRE(r.fault.message.empty());
  CHECK(r.words[0] == 2);
  CHECK(r.words[1] == 1);
  const std::vector<std::uint32_t> copied(r.words.begin() + 16, r.words.begin() + 32);
  CHECK(copied[0] == 100);
  CHECK(std::vector(copied.begin() + 4, copied.end()) ==
        std::vector<std::uint32_t>{104, 105, 106, 0, 0, 0, 110, 111, 112, 113, 114, 115});
}

TEST_CASE("cp.async touches no more of its source than it reads") {
  // `in` has 64 bytes; each copy begins where fewer than 16 of them are left.
  const std::vector<std::uint32_t> input(16, 7);
  const auto copied = [&](const std::string& copy, bool checks) {
    const std::string text =
        ".shared .align 16 .b8 buf[64]; .reg .u64 out, in; .reg .u32 t, n, s, w; .reg .pred p;\n"
        "ld.param.u64 out, [pd]; ld.param.u64 in, [pa]; mov.u32 t, %tid.x; setp.ge.u32 p, t, 0; mov.u32 s, "
        "buf;\n"
        "mad.lo.u32 s, t, 16, s;\n" +
        copy +
        " ld.shared.u32 w, [s]; mad.wide.u32 out, t, 8, out; st.global.u32 [out], w;\n"
        "ld.shared.u32 w, [s+12]; st.global.u32 [out+4], w; ret;";
    Runner runner(kernel_text({"pd", "pa"}, text));
    runner.checks = checks;
    auto* d = runner.zeros<std::uint32_t>(8);
    const Fault fault = runner.run("k", {1, 1, 1}, {2, 1, 1}, 0, d, runner.upload(input));
    return fault.message.empty() ? Runner::download(d, 4)
                                 : std::vector<std::uint32_t>{static_cast<std::uint32_t>(fault.kind)};
  };
  const std::vector<std::uint32_t> zeros(4);
  const std::string past = "cp.async.cg.shared.global [s], [in+64], 16, ";
  for (const bool checks : {false, true}) {
    CHECK(copied("mov.u32 n, 0; " + past + "n;", checks) == zeros);
    CHECK(copied(past + "0;", checks) == zeros);
    CHECK(copied(past + "p;", checks) == zeros);
    // A null pointer is as good as any other.
    CHECK(copied("mov.u64 in, 0; cp.async.ca.shared.global [s], [in], 4, 0; st.shared.u32 [s+12], 0;",
                 checks) == zeros);
    // The lanes differ: the first reads 16 bytes, the second none past the end.
    CHECK(copied("sub.u32 n, 1, t; mul.lo.u32 n, n, 16; mad.wide.u32 in, t, 16, in;\n"
                 "cp.async.cg.shared.global [s], [in+48], 16, n;",
                 checks) == std::vector<std::uint32_t>{7, 7, 0, 0});
    const std::vector<std::uint32_t> outside{static_cast<std::uint32_t>(FaultKind::illegal_address)};
    CHECK(copied("mov.u32 n, 4; " + past + "n;", checks) == outside);
    CHECK(copied(past + "!p;", checks) == outside);
    CHECK(copied("cp.async.ca.shared.global [s], [in+60], 4; st.shared.u32 [s+12], 7;", checks) ==
          std::vector<std::uint32_t>(4, 7));
    CHECK(copied("cp.async.cg.shared.global [s], [in+4], 16, 0;", checks) ==
          std::vector<std::uint32_t>{static_cast<std::uint32_t>(FaultKind::misaligned_address)});
  }
}

TEST_CASE("cp.async marks as read what it reads") {
  const std::string text =
      ".shared .align 16 .b8 buf[16]; .reg .u64 in; .reg .u32 n; ld.param.u64 in, [pa];\n"
      "ld.param.u32 n, [pd]; cp.async.cg.shared.global [buf], [in], 16, n; ret;";
  Runner runner(kernel_text({"pd", "pa"}, text));
  runner.checks = true;
  std::byte* in = runner.unwritten(16);
  runner.memory().mark_written(in, 8);
  const std::array<std::uint32_t, 3> one{1, 1, 1};
  CHECK(runner.run("k", one, one, 0, std::uint64_t{8}, in).message.empty());
  CHECK_THAT(runner.run("k", one, one, 0, std::uint64_t{12}, in).message, Contains("byte 8 of the 16-byte"));
}

TEST_CASE("Bulk copies move data both ways and report their bytes") {
  std::vector<std::uint32_t> input(256);
  std::iota(input.begin(), input.end(), 7U);
  const Result r =
      run("mbarrier.init.shared::cta.b64 [bar], 1; fence.mbarrier_init.release.cluster; "
          "fence.proxy.async.shared::cta;\n"
          "mbarrier.arrive.expect_tx.shared::cta.b64 state, [bar], 256;\n"
          "mov.u32 n, 128;\n"
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [buf], [in], n, [bar];\n"
          "mbarrier.test_wait.shared::cta.b64 p, [bar], state; " +
              store_p +
              "[out], n;\n"
              "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [s+128], [in+512], 128, [bar];\n"
              "wait: mbarrier.try_wait.shared::cta.b64 p, [bar], state; @!p bra wait;\n"
              "fence.proxy.async; cp.async.bulk.prefetch.L2.global [in], 64;\n"
              "cp.async.bulk.global.shared::cta.bulk_group [out+16], [s+96], 64;\n"
              "cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0; cp.async.bulk.wait_group 0;",
          1, input);
  REQUIRE(r.fault.message.empty());
  CHECK(r.words[0] == 0);
  std::vector<std::uint32_t> expected(input.begin() + 24, input.begin() + 32);
  expected.insert(expected.end(), input.begin() + 128, input.begin() + 136);
  CHECK(std::vector(r.words.begin() + 4, r.words.begin() + 20) == expected);
}

TEST_CASE("Bulk copies check size, alignment and bounds") {
  const std::string init = "mbarrier.init.shared::cta.b64 [bar], 1;\n";
  const std::string copy = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes ";
  const std::vector<std::uint32_t> input(64);
  const auto fault = [&](const std::string& operands) { return run(init + copy + operands, 1, input).fault; };
  CHECK_THROWS_WITH(fault("[buf], [in], 24, [bar];"), Contains("a multiple of 16"));
  const Result odd = run(init + "mov.u32 n, 24;\n" + copy + "[buf], [in], n, [bar];", 1, input);
  CHECK(odd.fault.kind == FaultKind::illegal_instruction);
  CHECK(fault("[buf+8], [in], 32, [bar];").kind == FaultKind::misaligned_address);
  CHECK(fault("[buf], [in+4], 32, [bar];").kind == FaultKind::misaligned_address);
  CHECK(fault("[buf], [in], 1048576, [bar];").kind == FaultKind::illegal_address);
  CHECK(fault("[buf], [in+128], 144, [bar];").kind == FaultKind::illegal_address);
  CHECK(fault("[buf], [in+128], 128, [bar];").kind == FaultKind::none);
}

TEST_CASE("Under strict checks an mbarrier orders a bulk copy before reads, and nothing else does") {
  const auto fault = [](const std::string& wait, unsigned threads) {
    const std::string text =
        ".shared .align 16 .b8 buf[256];\n.shared .align 8 .b64 bar;\n"
        ".reg .u64 out, in; .reg .u32 t, a, v; .reg .pred p, q;\n"
        "ld.param.u64 out, [pd]; ld.param.u64 in, [pa]; mov.u32 t, %tid.x; setp.eq.u32 q, t, 0;\n"
        "@q mbarrier.init.shared::cta.b64 [bar], 1; bar.sync 0;\n"
        "@q mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 256;\n"
        "@q cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [buf], [in], 256, [bar];\n" +
        wait +
        "mov.u32 a, buf; mad.lo.u32 a, t, 4, a; ld.shared.u32 v, [a]; mad.wide.u32 out, t, 4, out;\n"
        "st.global.u32 [out], v; ret;";
    Runner runner(kernel_text({"pd", "pa"}, text));
    runner.checks = true;
    const std::vector<std::uint32_t> input(64, 3);
    return runner.run("k", {1, 1, 1}, {threads, 1, 1}, 0, runner.zeros<std::uint32_t>(64),
                      runner.upload(input));
  };
  const std::string wait = "wait: mbarrier.try_wait.parity.shared::cta.b64 p, [bar], 0; @!p bra wait;\n";
  CHECK(fault(wait, 32).message == "");
  CHECK(fault(wait, 64).message == "");
  CHECK(fault("bar.sync 0;\n", 64).message == "");
  CHECK_THAT(fault("", 32).message, Contains("race"));
  // The other warp reads before the copy is there at all.
  CHECK_THAT(fault("", 64).message, Contains("never written"));
}

}  // namespace kerncast::simulator::testing
