#include <bit>
#include <catch2/catch.hpp>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

using namespace kerncast::simulator;           // NOLINT(google-build-using-namespace)
using namespace kerncast::simulator::testing;  // NOLINT(google-build-using-namespace)
using Catch::Matchers::Contains;

namespace {

const std::string thread_number =
    ".reg .u64 x, y, ax, ay; .reg .u32 t, v, w; .reg .pred p;\n"
    "mov.u32 t, %tid.x; ld.param.u64 x, [px]; ld.param.u64 y, [py];\n";

}  // namespace

TEST_CASE("vector loads and stores of every width, whole and partial warps") {
  for (const std::uint32_t threads : {32U, 64U, 40U, 1U}) {
    for (const unsigned bytes : {1U, 2U, 4U, 8U, 16U, 32U}) {
      const std::string access =
          bytes == 1   ? "{ .reg .b16 r; ld.global.nc.u8 r, [ax]; st.global.u8 [ay], r; }"
          : bytes == 2 ? "{ .reg .b16 r; ld.global.u16 r, [ax]; st.global.u16 [ay], r; }"
          : bytes == 4
              ? "{ .reg .b16 r<2>; ld.global.v2.u16 {r0, r1}, [ax]; st.global.v2.b16 [ay], {r0, r1}; }"
          : bytes == 8  ? "{ .reg .b64 r; ld.global.cg.L2::128B.b64 r, [ax]; st.global.wb.b64 [ay], r; }"
          : bytes == 16 ? "{ .reg .f32 r<4>; ld.global.L1::no_allocate.v4.f32 {r0, r1, r2, r3}, [ax]; "
                          "st.v4.f32 [ay], {r0, r1, r2, r3}; }"
                        : "{ .reg .b32 r<8>; ld.global.v8.b32 {r0, r1, r2, r3, r4, r5, r6, r7}, [ax]; "
                          "st.global.v8.b32 [ay], {r0, r1, r2, r3, r4, r5, r6, r7}; }";
      const std::string size = std::to_string(bytes);
      Runner runner(kernel_text({"px", "py"},
                                thread_number + "mad.wide.u32 ax, t, " + size + ", x; mad.wide.u32 ay, t, " +
                                    size + ", y;\n" + access,
                                "", "sm_100"),
                    100);
      std::vector<std::uint8_t> in(std::size_t{threads} * bytes);
      std::iota(in.begin(), in.end(), std::uint8_t{3});
      std::uint8_t* out = runner.zeros<std::uint8_t>(in.size());
      const Fault fault = runner.run("k", {1, 1, 1}, {threads, 1, 1}, 0, runner.upload(in), out);
      INFO(bytes << " bytes, " << threads << " threads: " << fault.message);
      REQUIRE(fault.kind == FaultKind::none);
      CHECK(Runner::download(out, in.size()) == in);
    }
  }
}

TEST_CASE("scattered, reversed and broadcast accesses") {
  Runner runner(kernel_text(
      {"px", "py"}, thread_number + "xor.b32 v, t, 21; mad.wide.u32 ax, v, 4, x; ld.global.s32 v, [ax]; "
                                    "ld.global.u32 w, [x+4]; add.u32 v, v, w;\n"
                                    "sub.u32 w, 63, t; mad.wide.u32 ay, w, 4, y; st.global.u32 [ay], v;"));
  std::vector<std::uint32_t> in(64);
  std::iota(in.begin(), in.end(), 100U);
  std::uint32_t* out = runner.zeros<std::uint32_t>(64);
  REQUIRE(runner.run("k", {1, 1, 1}, {64, 1, 1}, 0, runner.upload(in), out).message.empty());
  const auto got = Runner::download(out, 64);
  for (std::uint32_t t = 0; t < 64; ++t) {
    CHECK(got[63 - t] == 100 + (t ^ 21U) + 101);
  }
}

TEST_CASE("narrow loads extend by their type") {
  Runner runner(kernel_text(
      {"px", "py"},
      thread_number +
          ".reg .b64 e; ld.global.s8 v, [x]; st.global.u32 [y], v; ld.global.u8 v, [x]; st.global.u32 [y+4], "
          "v; "
          "ld.global.s16 e, [x]; st.global.u64 [y+8], e; ld.global.u16 e, [x]; st.global.b64 [y+16], e;"));
  std::uint32_t* out = runner.zeros<std::uint32_t>(6);
  REQUIRE(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, runner.upload(std::vector<std::uint8_t>{0x85, 0x90}), out)
              .message.empty());
  const auto got = Runner::download(out, 6);
  CHECK(got == std::vector<std::uint32_t>{0xffffff85U, 0x85U, 0xffff9085U, 0xffffffffU, 0x9085U, 0U});
}

TEST_CASE("access outside an allocation names kernel, block, thread, place and line") {
  Runner runner(kernel_text(
      {"px", "py"},
      thread_number +
          "mov.u32 v, %ctaid.x; mad.lo.u32 v, v, 40, t; mad.wide.u32 ax, v, 4, x;\nld.global.u32 w, [ax];"));
  std::uint32_t* in = runner.zeros<std::uint32_t>(1024);
  const Fault fault = runner.run("k", {40, 1, 1}, {40, 1, 1}, 0, in, nullptr);
  REQUIRE(fault.kind == FaultKind::illegal_address);
  CHECK_THAT(fault.message, Contains("kernel 'k'") && Contains("block (25,0,0)") &&
                                Contains("thread (24,0,0)") && Contains("read of 4 bytes") &&
                                Contains("0 bytes past the end of the 4096-byte allocation") &&
                                Contains("PTX line 10: ld.global.u32 w, [ax];"));
}

TEST_CASE("an access that starts inside and ends outside is refused") {
  Runner runner(kernel_text({"px", "py"},
                            thread_number + ".reg .b32 r<4>; ld.global.v4.b32 {r0, r1, r2, r3}, [x+16];"));
  const Fault fault = runner.run("k", {1, 1, 1}, {32, 1, 1}, 0, runner.zeros<std::uint32_t>(6), nullptr);
  CHECK(fault.kind == FaultKind::illegal_address);
  CHECK_THAT(fault.message, Contains("8 bytes remain"));
}

TEST_CASE("null, host and freed memory are refused") {
  const std::string text = kernel_text({"px", "py"}, thread_number + "st.global.u32 [x], t;");
  Runner runner(text);
  const Fault null = runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, nullptr, nullptr);
  CHECK(null.kind == FaultKind::illegal_address);
  CHECK_THAT(null.message, Contains("null pointer") && Contains("write of 4 bytes"));
  std::vector<std::uint32_t> host(16);
  CHECK(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, host.data(), nullptr).kind == FaultKind::illegal_address);
  std::uint32_t* freed = runner.zeros<std::uint32_t>(4);
  REQUIRE(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, freed, nullptr).kind == FaultKind::none);
  REQUIRE(runner.memory().release(reinterpret_cast<std::byte*>(freed)));
  CHECK(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, freed, nullptr).kind == FaultKind::illegal_address);
}

TEST_CASE("misaligned accesses are refused for the width of the whole vector") {
  const auto run = [](const std::string& access) {
    Runner runner(kernel_text({"px", "py"}, thread_number + ".reg .b32 r<4>; .reg .b64 l; " + access));
    return runner.run("k", {1, 1, 1}, {32, 1, 1}, 0, runner.zeros<std::uint32_t>(256), nullptr);
  };
  CHECK(run("ld.global.u32 v, [x+2];").kind == FaultKind::misaligned_address);
  CHECK(run("ld.global.b64 l, [x+4];").kind == FaultKind::misaligned_address);
  CHECK(run("ld.global.v4.b32 {r0, r1, r2, r3}, [x+8];").kind == FaultKind::misaligned_address);
  CHECK(run("ld.global.v2.b32 {r0, r1}, [x+8];").kind == FaultKind::none);
  CHECK(run("atom.global.add.u32 v, [x+1], 1;").kind == FaultKind::misaligned_address);
  CHECK_THAT(run("ld.global.u32 v, [x+2];").message,
             Contains("must be a multiple of 4") && Contains("ld.global.u32 v, [x+2];"));
}

TEST_CASE("shared and local memory have their bounds") {
  const auto run = [](const std::string& access, std::uint32_t dynamic) {
    Runner runner(kernel_text(
        {"px", "py"},
        thread_number + ".shared .align 8 .b8 s[64]; .local .align 8 .b8 l[16]; .reg .u64 a; " + access));
    return runner.run("k", {1, 1, 1}, {32, 1, 1}, dynamic, runner.zeros<std::uint32_t>(64), nullptr);
  };
  CHECK(run("st.shared.u32 [s+60], t;", 0).kind == FaultKind::none);
  // Blocks get shared memory in granules of 128 bytes.
  const Fault beyond = run("st.shared.u32 [s+128], t;", 0);
  CHECK(beyond.kind == FaultKind::illegal_address);
  CHECK_THAT(beyond.message, Contains("offset 128 of the 64 bytes of shared memory"));
  CHECK(run("st.shared.u32 [s+64], t;", 128).kind == FaultKind::none);
  CHECK(run("mov.u64 a, l; add.u64 a, a, 12; st.local.u32 [a], t;", 0).kind == FaultKind::none);
  CHECK(run("mov.u64 a, l; add.u64 a, a, 16; st.local.u32 [a], t;", 0).kind == FaultKind::illegal_address);
  CHECK(run("mov.u64 a, s; cvta.shared.u64 a, a; st.u32 [a+128], t;", 0).kind == FaultKind::illegal_address);
  CHECK(run("mov.u64 a, s; cvta.shared.u64 a, a; st.u32 [a+32], t;", 0).kind == FaultKind::none);
}

TEST_CASE("generic addresses reach shared, local, parameter and global memory") {
  Runner runner(kernel_text(
      {"px", "py"}, thread_number +
                        ".shared .align 8 .b8 s[512]; .local .align 8 .b8 l[16]; .reg .u64 a, b, c; "
                        ".reg .b64 pp; .reg .u32 r<4>;\n"
                        "mov.u64 a, s; cvta.shared.u64 a, a; mad.wide.u32 a, t, 4, a; st.u32 [a], t; "
                        "isspacep.shared p, a; selp.u32 r0, 1, 0, p;\n"
                        "mov.u64 b, l; cvta.local.u64 b, b; st.u32 [b+4], t; isspacep.global p, b; "
                        "selp.u32 r1, 10, 0, p; isspacep.local p, b; selp.u32 r2, 100, 0, p;\n"
                        "mov.b64 c, px; cvta.param.u64 c, c; ld.u64 pp, [c]; setp.eq.u64 p, pp, x; "
                        "selp.u32 r3, 1000, 0, p;\n"
                        "ld.u32 v, [a]; ld.u32 w, [b+4]; add.u32 v, v, w; add.u32 v, v, r0; add.u32 v, "
                        "v, r1; add.u32 v, v, r2; add.u32 v, v, r3;\n"
                        "mad.wide.u32 ay, t, 4, y; st.u32 [ay], v;"));
  std::uint32_t* out = runner.zeros<std::uint32_t>(64);
  const Fault fault = runner.run("k", {1, 1, 1}, {64, 1, 1}, 0, runner.zeros<std::uint32_t>(1), out);
  REQUIRE(fault.message == "");
  const auto got = Runner::download(out, 64);
  for (std::uint32_t t = 0; t < 64; ++t) {
    CHECK(got[t] == 2 * t + 1101);
  }
}

TEST_CASE("atomics across lanes, warps and blocks") {
  const auto run = [](const std::string& atomic, std::uint64_t start, std::uint32_t blocks = 8) {
    Runner runner(
        kernel_text({"px", "py"}, thread_number +
                                      ".reg .u64 l; .reg .b32 old; .reg .b64 lold; mov.u32 v, %ctaid.x; "
                                      "mad.lo.u32 v, v, 96, t; add.u32 v, v, 1; cvt.u64.u32 l, v; " +
                                      atomic));
    std::uint64_t* target = runner.upload(std::vector<std::uint64_t>{start});
    REQUIRE(runner.run("k", {blocks, 1, 1}, {96, 1, 1}, 0, target, nullptr).message.empty());
    return Runner::download(target, 1)[0];
  };
  constexpr std::uint64_t count = 8 * 96;
  constexpr std::uint64_t sum = count * (count + 1) / 2;
  CHECK(run("red.global.add.u32 [x], v;", 0) == count * (count + 1) / 2);
  CHECK(run("atom.add.u64 lold, [x], l;", 5) == count * (count + 1) / 2 + 5);
  CHECK(run("atom.global.max.u32 old, [x], v;", 3) == count);
  CHECK(run("neg.s32 v, v; atom.global.min.s32 old, [x], v;", 3) ==
        (static_cast<std::uint32_t>(-static_cast<std::int32_t>(count))));
  CHECK(run("atom.global.inc.u32 old, [x], 99;", 0) == count % 100);
  CHECK(run("atom.global.dec.u32 old, [x], 99;", 0) == (100 - count % 100) % 100);
  CHECK(run("red.relaxed.gpu.global.or.b32 [x], v;", 0) == 1023);
  CHECK(run("atom.global.cas.b64 lold, [x], 7, l;", 7, 1) == 1);
  CHECK(run("{ .reg .f32 f; cvt.rn.f32.u32 f, v; atom.global.add.f32 f, [x], f; }", 0) ==
        std::bit_cast<std::uint32_t>(static_cast<float>(sum)));
  CHECK(run("{ .reg .f64 f; cvt.rn.f64.u32 f, v; red.global.add.f64 [x], f; }", 0) ==
        std::bit_cast<std::uint64_t>(static_cast<double>(sum)));
  CHECK(run("{ .reg .b32 h; mov.b32 h, 0x3c003c00; red.global.add.noftz.f16x2 [x], h; }", 0) == 0x62006200U);
}

TEST_CASE("atomics return each old value once") {
  Runner runner(kernel_text({"px", "py"}, thread_number +
                                              "mov.u32 v, %ctaid.x; atom.global.add.u32 w, [x], 1; "
                                              "mad.wide.u32 ay, w, 4, y; st.global.u32 [ay], w;"));
  std::uint32_t* out = runner.zeros<std::uint32_t>(1024);
  REQUIRE(runner.run("k", {16, 1, 1}, {64, 1, 1}, 0, runner.zeros<std::uint32_t>(1), out).message.empty());
  const auto got = Runner::download(out, 1024);
  for (std::uint32_t i = 0; i < 1024; ++i) {
    CHECK(got[i] == i);
  }
}

TEST_CASE("cp.async copies and fills with zeros") {
  Runner runner(kernel_text(
      {"px", "py"},
      thread_number +
          ".shared .align 16 .b8 s[1024]; .reg .u32 sa, n; .reg .b32 r<4>;\n"
          "mov.u32 sa, s; mad.lo.u32 sa, t, 16, sa; mad.wide.u32 ax, t, 16, x; and.b32 n, t, 15;\n"
          "cp.async.cg.shared.global.L2::128B [sa], [ax], 16, n; cp.async.commit_group; "
          "cp.async.wait_group 0; bar.sync 0;\n"
          "ld.shared.v4.b32 {r0, r1, r2, r3}, [sa]; mad.wide.u32 ay, t, 16, y; st.global.v4.b32 [ay], "
          "{r0, r1, r2, r3};"));
  std::vector<std::uint8_t> in(1024, 7);
  std::uint8_t* out = runner.zeros<std::uint8_t>(1024);
  REQUIRE(runner.run("k", {1, 1, 1}, {64, 1, 1}, 0, runner.upload(in), out).message.empty());
  const auto got = Runner::download(out, 1024);
  for (std::size_t i = 0; i < 1024; ++i) {
    CHECK(got[i] == (i % 16 < (i / 16) % 16 ? 7 : 0));
  }
}
