// Each strict check has a kernel that must trigger it, and near misses that must not.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

namespace {

using namespace kerncast::simulator;
using namespace kerncast::simulator::testing;
using Catch::Contains;

/// Registers and addresses that the bodies below share: tid, the shared array `s` of 1024 words, the lane's
/// address in it.
constexpr const char* prologue =
    ".shared .align 16 .b32 s[1024];\n"
    ".reg .u32 tid, own, other, v, w; .reg .u64 out; .reg .pred p, q;\n"
    "mov.u32 tid, %tid.x; mov.u32 own, s; mad.lo.u32 own, tid, 4, own; ld.param.u64 out, [po];\n";

Fault run_shared(const std::string& body, std::uint32_t threads, bool checks = true,
                 std::uint32_t blocks = 1) {
  Runner runner(kernel_text({"po"}, prologue + body + "\nret;"));
  runner.checks = checks;
  return runner.run("k", {blocks, 1, 1}, {threads, 1, 1}, 0, runner.zeros<std::uint32_t>(4096));
}

void check_violation(const Fault& fault, const std::string& text) {
  CHECK(fault.kind == FaultKind::violation);
  CHECK_THAT(fault.message,
             Contains("kernel 'k', block (0,0,0), thread (") && Contains(text) && Contains("PTX line "));
}

}  // namespace

TEST_CASE("a read of global memory that nobody wrote") {
  const std::string text = kernel_text({"pi", "po"},
                                       ".reg .u64 in, out; .reg .u32 tid, v; mov.u32 tid, %tid.x;\n"
                                       "ld.param.u64 in, [pi]; ld.param.u64 out, [po];\n"
                                       "mad.wide.u32 in, tid, 4, in; mad.wide.u32 out, tid, 4, out;\n"
                                       "ld.global.u32 v, [in]; st.global.u32 [out], v; ret;");
  Runner runner(text);
  std::byte* in = runner.unwritten(256);
  auto* out = runner.zeros<std::uint32_t>(64);
  const std::array<std::uint32_t, 3> one{1, 1, 1};
  runner.memory().mark_written(in, 254);
  SECTION("is a fault that names thread and byte") {
    runner.checks = true;
    const Fault fault = runner.run("k", one, {64, 1, 1}, 0, in, out);
    check_violation(fault, "thread (63,0,0) reads 4 bytes of global memory");
    CHECK_THAT(fault.message, Contains("byte 254 of the 256-byte allocation"));
  }
  SECTION("is none without the checks") {
    CHECK(runner.run("k", one, {64, 1, 1}, 0, in, out).kind == FaultKind::none);
  }
  SECTION("is none where all that is read was written") {
    runner.checks = true;
    CHECK(runner.run("k", one, {63, 1, 1}, 0, in, out).kind == FaultKind::none);
  }
  SECTION("is none once a kernel has written it") {
    runner.checks = true;
    std::byte* between = runner.unwritten(128);
    CHECK(runner.run("k", one, {32, 1, 1}, 0, in, between).kind == FaultKind::none);
    CHECK(runner.run("k", one, {32, 1, 1}, 0, between, out).kind == FaultKind::none);
    check_violation(runner.run("k", one, {32, 1, 1}, 0, runner.unwritten(128), out), "thread (0,0,0)");
  }
}

TEST_CASE("a read of shared memory that nobody wrote") {
  const std::string read = "ld.shared.u32 v, [own]; st.global.u32 [out], v;";
  check_violation(
      run_shared(read, 32),
      "thread (0,0,0) reads 4 bytes of shared memory at offset 0, of which offset 0 was never written");
  CHECK(run_shared(read, 32, false).kind == FaultKind::none);
  CHECK(run_shared("st.shared.u32 [own], tid;" + read, 32).kind == FaultKind::none);
  // Half a word.
  check_violation(run_shared(".reg .u16 h; cvt.u16.u32 h, tid; st.shared.u16 [own], h;" + read, 32),
                  "of which offset 2 was never written");
}

TEST_CASE("what another block wrote to shared memory is not there") {
  // Only block 0 writes; whichever block a host thread ran before leaves nothing behind.
  const Fault fault = run_shared(
      "mov.u32 w, %ctaid.x; setp.eq.u32 p, w, 0; @p st.shared.u32 [own], tid; ld.shared.u32 v, [own];\n"
      "st.global.u32 [out], v;",
      32, true, 64);
  CHECK(fault.kind == FaultKind::violation);
  CHECK_THAT(fault.message, Contains("block (1,0,0)") && Contains("never written"));
}

TEST_CASE("what nobody wrote may be loaded, but not used") {
  // v is undefined in the lanes from 16 on, w is defined.
  const std::string load =
      "setp.lt.u32 p, tid, 16; mov.u32 w, 3; @p st.shared.u32 [own], tid; ld.shared.u32 v, [own];\n";
  const auto harmless = [&](const std::string& body) {
    CAPTURE(body);
    const Fault fault = run_shared(load + body, 32);
    CHECK(fault.message == "");
  };
  harmless("");
  harmless("add.u32 v, v, 1; mul.lo.u32 v, v, v;");
  harmless("@p st.global.u32 [out], v;");
  harmless("@!p mov.u32 v, 7; st.global.u32 [out], v;");
  harmless("selp.u32 v, v, w, p; st.global.u32 [out], v;");
  harmless("selp.u32 v, w, v, !p; st.global.u32 [out], v;");
  harmless("setp.gt.u32 q, v, w; and.pred q, q, p; @q st.global.u32 [out], w;");
  harmless("setp.gt.u32 q, v, w; or.pred q, q, !p; @q st.global.u32 [out], w;");
  harmless("setp.gt.and.u32 q, v, w, p; @q bra DONE; st.global.u32 [out], w;\nDONE:\n");
  harmless("and.b32 v, v, 0; st.global.u32 [out], v;");
  harmless(
      "mov.u32 other, 0;\nNEXT: setp.gt.u32 q, v, w; and.pred q, q, p; selp.u32 v, w, v, q; add.u32 other, "
      "other, 1;\n"
      "setp.lt.u32 q, other, 5; @q bra NEXT;");

  const auto used = [&](const std::string& body, const std::string& where) {
    CAPTURE(body);
    const Fault fault = run_shared(load + body, 32);
    check_violation(
        fault,
        "thread (16,0,0) reads 4 bytes of shared memory at offset 64, of which offset 64 was never "
        "written (PTX line ");
    CHECK_THAT(fault.message, Contains("; the value is used (PTX line ") && Contains(where));
  };
  used("st.global.u32 [out], v;", "st.global.u32 [out], v;");
  used("add.u32 w, v, w; shl.b32 w, w, 3; st.shared.u32 [own], w;", "st.shared.u32 [own], w;");
  used("add.u32 own, own, v; ld.shared.u32 w, [own];", "ld.shared.u32 w, [own];");
  used("setp.eq.u32 q, v, 0;\n@q mov.u32 w, 1;", "@q mov.u32 w, 1;");
  used("setp.eq.u32 q, v, 0;\n@q bra DONE;\nDONE:\n", "@q bra DONE;");
  used("setp.eq.u32 q, v, 0; or.pred q, q, p;\n@q mov.u32 w, 1;", "@q mov.u32 w, 1;");
  used("setp.eq.u32 q, v, 0; selp.u32 w, 1, 2, q; st.global.u32 [out], w;", "st.global.u32");
  used("shfl.sync.idx.b32 w, v, 0, 31, -1;", "shfl.sync.idx.b32");
  used("setp.eq.u32 q, v, 0; vote.sync.any.pred q, q, -1;", "vote.sync.any.pred");
  used("atom.global.add.u32 w, [out], v;", "atom.global.add.u32");
  used("selp.u32 v, v, w, !p; st.global.u32 [out], v;", "st.global.u32 [out], v;");
  used("mov.u32 own, v; mov.u32 v, 1; st.global.u32 [out], own;", "st.global.u32 [out], own;");
}

TEST_CASE("of a load the bytes that were written may be used") {
  const std::string half =
      ".reg .b16 low, high; cvt.u16.u32 low, tid; st.shared.u16 [own], low; ld.shared.u32 v, "
      "[own];\n";
  const auto message = [&](const std::string& body) { return run_shared(half + body, 32).message; };
  CHECK(message("mov.b32 {low, high}, v; st.global.u16 [out], low;") == "");
  CHECK_THAT(message("mov.b32 {low, high}, v; st.global.u16 [out], high;"),
             Contains("of which offset 2 was"));
  CHECK(message("and.b32 v, v, 0xffff; st.global.u32 [out], v;") == "");
  CHECK(message("shl.b32 v, v, 16; st.global.u32 [out], v;") == "");
  CHECK(message("cvt.u16.u32 low, v; st.global.u16 [out], low;") == "");
  CHECK_THAT(message("shr.u32 v, v, 16; st.global.u32 [out], v;"), Contains("never written"));
  CHECK_THAT(message("mov.b32 {low, high}, v; mov.b32 v, {high, low}; st.global.u32 [out], v;"),
             Contains("never written"));
  CHECK(message("mov.b32 {low, high}, v; mov.b32 v, {low, low}; st.global.u32 [out], v;") == "");
  const std::string vector =
      ".reg .b32 x, y; st.shared.u32 [own], tid; mov.u32 other, s; setp.lt.u32 p, tid, 1;\n"
      "bar.warp.sync 0x3fffffff; @p ld.shared.v4.u32 {v, w, x, y}, [other+112];\n";
  CHECK(run_shared(vector + "@p st.global.v2.u32 [out], {v, w};", 30).message == "");
  CHECK_THAT(
      run_shared(vector + "@p st.global.v2.u32 [out], {v, x};", 30).message,
      Contains("reads 16 bytes of shared memory at offset 112, of which offset 120 was never written"));
}

TEST_CASE("a load may go beyond the end of shared memory within its last granule") {
  const auto fault = [](const std::string& body, std::uint32_t bytes, bool checks) {
    Runner runner(kernel_text({"po"},
                              ".reg .u64 out; .reg .b32 v, w, x, y; ld.param.u64 out, [po]; mov.u32 v, 5;\n"
                              "st.shared.u32 [dynamic+16], v; st.shared.u32 [dynamic+20], v; st.shared.u32 "
                              "[dynamic+24], v;\n" +
                                  body + " ret;",
                              ".extern .shared .align 16 .b8 dynamic[];"));
    runner.checks = checks;
    return runner.run("k", {1, 1, 1}, {1, 1, 1}, bytes, runner.zeros<std::uint32_t>(8));
  };
  const std::string load = "ld.shared.v4.u32 {v, w, x, y}, [dynamic+16]; ";
  for (const bool checks : {false, true}) {
    CHECK(fault(load + "st.global.v2.u32 [out], {w, x};", 28, checks).message == "");
    CHECK(fault("ld.shared.u32 v, [dynamic+124];", 28, checks).message == "");
    const Fault beyond = fault("ld.shared.u32 v, [dynamic+128];", 28, checks);
    CHECK(beyond.kind == FaultKind::illegal_address);
    CHECK_THAT(beyond.message, Contains("offset 128 of the 28 bytes of shared memory"));
  }
  CHECK_THAT(fault(load + "st.global.v2.u32 [out], {x, y};", 28, true).message,
             Contains("of which offset 28 was never written"));
  // A store beyond the end is a mistake that a device would not notice.
  const Fault store = fault("st.shared.u32 [dynamic+28], v;", 28, true);
  CHECK(store.kind == FaultKind::illegal_address);
  CHECK_THAT(store.message, Contains("write of 4 bytes") && Contains("offset 28 of the 28 bytes"));
  CHECK(fault("st.shared.u32 [dynamic+28], v;", 28, false).message == "");
}

TEST_CASE("global memory that nobody wrote may be loaded, but not used") {
  Runner runner(kernel_text({"pi", "po"},
                            ".reg .u64 in, out; .reg .u32 t, v, w; .reg .pred p; mov.u32 t, %tid.x;\n"
                            "ld.param.u64 in, [pi]; ld.param.u64 out, [po]; mad.wide.u32 in, t, 8, in;\n"
                            "ld.global.v2.u32 {v, w}, [in]; setp.lt.u32 p, t, 15;\n"
                            "@p add.u32 v, v, w; mad.wide.u32 out, t, 4, out; st.global.u32 [out], v; ret;"));
  runner.checks = true;
  std::byte* in = runner.unwritten(256);
  runner.memory().mark_written(in, 124);
  auto* out = runner.zeros<std::uint32_t>(32);
  CHECK(runner.run("k", {1, 1, 1}, {16, 1, 1}, 0, in, out).message == "");
  CHECK_THAT(runner.run("k", {1, 1, 1}, {17, 1, 1}, 0, in, out).message,
             Contains("thread (16,0,0) reads 8 bytes") && Contains("byte 128 of the 256-byte allocation"));
}

TEST_CASE("a launch may go on after what the checks find") {
  std::vector<std::string> findings;
  Runner runner(
      kernel_text({"po"}, std::string(prologue) +
                              "ld.shared.u32 v, [own]; st.global.u32 [out], v;\n"
                              "mov.u32 v, s; st.shared.u32 [v], tid;\n"
                              "setp.lt.u32 p, tid, 16; @p bar.sync 0; @!p bar.sync 0;\n"
                              "setp.ge.u32 q, tid, 16; @q exit; shfl.sync.idx.b32 v, tid, 20, 31, 0xffff;\n"
                              "mov.u32 w, 77; st.global.u32 [out], w; ret;"));
  runner.checks = true;
  runner.findings = &findings;
  auto* out = runner.zeros<std::uint32_t>(1);
  CHECK(runner.run("k", {4, 1, 1}, {32, 1, 1}, 0, out).message == "");
  CHECK(*out == 77);
  const auto count = [&](const std::string& text) {
    return std::count_if(findings.begin(), findings.end(),
                         [&](const std::string& finding) { return finding.find(text) != std::string::npos; });
  };
  CHECK(count("never written") == 1);
  CHECK(count("in a race") == 1);
  CHECK(count("the barrier is divergent") == 2);
  CHECK(count("shuffles from lane 20") == 1);
  CHECK(findings.size() == 5);
  // A fault that is no matter of the strict checks ends the launch as ever.
  CHECK(runner.run("k", {1, 1, 1}, {32, 1, 1}, 0, static_cast<std::uint32_t*>(nullptr)).kind ==
        FaultKind::illegal_address);
}

TEST_CASE("those who wrote the same value may read it back") {
  const std::string all = "mov.u32 v, s; mov.u32 w, 5; st.shared.u32 [v], w;\n";
  CHECK(run_shared(all + "ld.shared.u32 w, [v];", 32).message == "");
  CHECK(run_shared(all + "ld.shared.u32 w, [v];", 128).message == "");
  CHECK(run_shared(all + "setp.eq.u32 p, tid, 3; @p ld.shared.u32 w, [v];", 128).message == "");
  // A thread that did not write it may not read it, and one that did may not write another.
  const std::string some = "mov.u32 v, s; mov.u32 w, 5; setp.lt.u32 p, tid, 20; @p st.shared.u32 [v], w;\n";
  CHECK_THAT(run_shared(some + "ld.shared.u32 w, [v];", 32).message, Contains("thread (20,0,0) reads"));
  CHECK_THAT(run_shared(some + "setp.eq.u32 q, tid, 19; mov.u32 w, 6; @q st.shared.u32 [v], w;", 32).message,
             Contains("thread (19,0,0) writes"));
  CHECK(run_shared("setp.eq.u32 q, tid, 19; mov.u32 v, s; @q st.shared.u32 [v], tid; mov.u32 w, 6;\n"
                   "@q st.shared.u32 [v], w;",
                   32)
            .message == "");
}

TEST_CASE("two accesses race if they overlap, one writes and nothing orders them") {
  // Thread `first` accesses, all meet or do not, then thread `second` accesses.
  struct Access {
    bool writes;
    std::uint32_t bytes;
    std::uint32_t offset;
  };
  const auto text = [](const Access& access) {
    const std::string at = "[v+" + std::to_string(access.offset) + "]";
    const std::string type = access.bytes == 1   ? "u8"
                             : access.bytes == 2 ? "u16"
                             : access.bytes == 4 ? "u32"
                             : access.bytes == 8 ? "v2.u32"
                                                 : "v4.u32";
    const bool narrow = access.bytes <= 2;
    if (access.writes) {
      const std::string value = narrow              ? "h"
                                : access.bytes == 4 ? "w"
                                : access.bytes == 8 ? "{w, w}"
                                                    : "{w, w, w, w}";
      return "st.shared." + type + " " + at + ", " + value + ";";
    }
    const std::string into = narrow              ? "h"
                             : access.bytes == 4 ? "x0"
                             : access.bytes == 8 ? "{x0, x1}"
                                                 : "{x0, x1, x2, x3}";
    return "ld.shared." + type + " " + into + ", " + at + ";";
  };
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> places{{1, 1}, {1, 6}, {2, 2}, {4, 0},
                                                                    {4, 4}, {8, 0}, {16, 0}};
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs{{3, 5}, {3, 40}, {40, 3}, {7, 7}};
  for (const auto& [first, second] : pairs) {
    for (const char* between : {"", "bar.warp.sync -1;", "bar.sync 0;"}) {
      const bool meet = std::string(between) == "bar.sync 0;" || first == second ||
                        (std::string(between) == "bar.warp.sync -1;" && first / 32 == second / 32);
      for (const auto& [bytes, offset] : places) {
        for (const auto& [other_bytes, other_offset] : places) {
          for (const int kinds : {1, 2, 3}) {
            const Access one{(kinds & 1) != 0, bytes, offset};
            const Access two{(kinds & 2) != 0, other_bytes, other_offset};
            const std::string body =
                ".reg .b16 h; .reg .b32 x<4>; mov.u32 v, s; st.shared.u32 [own], 1; bar.sync 0;\n"
                "add.u32 w, tid, 0x01010102; mul.lo.u32 w, w, 0x01030507; cvt.u16.u32 h, w;\n"
                "setp.eq.u32 p, tid, " +
                std::to_string(first) + "; setp.eq.u32 q, tid, " + std::to_string(second) + ";\n@p " +
                text(one) + "\n" + between + "\n@q " + text(two);
            const bool overlap = offset < other_offset + other_bytes && other_offset < offset + bytes;
            const std::string message = run_shared(body, 64).message;
            if ((message.find("in a race") != std::string::npos) != (overlap && !meet)) {
              FAIL_CHECK(body << "\n" << message);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("threads of different warps race on shared memory") {
  const std::string reversed =
      "sub.u32 other, 63, tid; shl.b32 other, other, 2; mov.u32 v, s; add.u32 other, other, v;\n";
  SECTION("a read of what another wrote since the last barrier") {
    const std::string body = reversed + "st.shared.u32 [own], tid;\n";
    const std::string read = "ld.shared.u32 v, [other]; st.global.u32 [out], v;";
    const std::string all =
        "mov.u32 v, s; mad.lo.u32 w, tid, 16, v; setp.lt.u32 p, tid, 32;\n"
        "@p st.shared.v4.u32 [w], {tid, tid, tid, tid};\n@!p ld.shared.u32 v, [own];";
    const Fault fault = run_shared(all, 64);
    check_violation(
        fault,
        "thread (32,0,0) reads 4 bytes of shared memory at offset 128 in a race: thread (8,0,0) wrote");
    CHECK_THAT(fault.message, Contains("no barrier orders the two") && Contains("st.shared.v4"));
    CHECK(run_shared(body + "bar.sync 0;\n" + read, 64).kind == FaultKind::none);
    CHECK(run_shared(all, 64, false).kind == FaultKind::none);
  }
  SECTION("a write over what another read since the last barrier") {
    const std::string body = reversed + "st.shared.u32 [own], tid; bar.sync 0; ld.shared.u32 v, [other];\n";
    const std::string write = "add.u32 w, tid, 7; st.shared.u32 [own], w;";
    check_violation(run_shared(body + write, 64), "in a race");
    CHECK(run_shared(body + "bar.sync 0;" + write, 64).kind == FaultKind::none);
  }
  SECTION("two writes of different values, but not of the same value") {
    CHECK_THAT(run_shared("mov.u32 v, s; st.shared.u32 [v], tid;", 64).message, Contains("in a race"));
    CHECK_THAT(run_shared("mov.u32 v, s; shr.u32 w, tid, 5; st.shared.u32 [v], w;", 64).message,
               Contains("in a race"));
    CHECK(run_shared("mov.u32 v, s; mov.u32 w, 5; st.shared.u32 [v], w;", 64).kind == FaultKind::none);
  }
  SECTION("neighbouring bytes are no race") {
    CHECK(
        run_shared(".reg .u16 h; cvt.u16.u32 h, tid; mov.u32 v, s; add.u32 v, v, tid; st.shared.u8 [v], h;\n"
                   "bar.sync 0; ld.shared.u8 h, [v];",
                   128)
            .kind == FaultKind::none);
  }
}

TEST_CASE("lanes of one warp race until they meet") {
  const std::string body =
      "sub.u32 other, 31, tid; shl.b32 other, other, 2; mov.u32 v, s; add.u32 other, other, v;\n"
      "st.shared.u32 [own], tid;\n";
  const std::string read = "ld.shared.u32 v, [other]; st.global.u32 [out], v;";
  const Fault fault = run_shared(body + read, 32);
  check_violation(
      fault, "thread (0,0,0) reads 4 bytes of shared memory at offset 124 in a race: thread (31,0,0) wrote");
  CHECK_THAT(fault.message, Contains("no __syncwarp or barrier orders the two"));
  CHECK(run_shared(body + "bar.warp.sync 0xffffffff;" + read, 32).kind == FaultKind::none);
  CHECK(run_shared(body + "bar.sync 0;" + read, 32).kind == FaultKind::none);
  const std::string back = body + "bar.warp.sync 0xffffffff; ld.shared.u32 v, [other];\n";
  check_violation(run_shared(back + "add.u32 w, tid, 9; st.shared.u32 [own], w;", 32), "writes 4 bytes");
  CHECK(run_shared(back + "bar.warp.sync 0xffffffff; add.u32 w, tid, 9; st.shared.u32 [own], w;", 32).kind ==
        FaultKind::none);
}

TEST_CASE("a named barrier orders those who meet at it and nobody else") {
  // Warps 0 and 1 meet at barrier 1; warp 2 does not.
  const std::string body =
      "setp.lt.u32 p, tid, 64; @!p bra OTHERS;\n"
      "st.shared.u32 [own], tid; bar.sync 1, 64;\n"
      "xor.b32 v, tid, 32; mov.u32 other, s; mad.lo.u32 other, v, 4, other; ld.shared.u32 w, [other];\n"
      "bra DONE;\nOTHERS:\n";
  CHECK(run_shared(body + "DONE:\n", 96).kind == FaultKind::none);
  check_violation(run_shared(body + "mov.u32 other, s; ld.shared.u32 w, [other];\nDONE:\n", 96),
                  "thread (64,0,0) reads");
  // A producer that only arrives is before those who wait.
  const std::string pipe =
      "setp.lt.u32 p, tid, 32; @!p bra WAITS;\n"
      "st.shared.u32 [own], tid; bar.arrive 2, 64; bra DONE;\n"
      "WAITS:\nbar.sync 2, 64; ld.shared.u32 w, [own + -128];\nDONE:\n";
  CHECK(run_shared(pipe, 64).kind == FaultKind::none);
}

TEST_CASE("atomics do not race with each other, plain accesses do with them") {
  const std::string atomics =
      "mov.u32 v, s; setp.eq.u32 p, tid, 0; mov.u32 w, 0; @p st.shared.u32 [v], w; bar.sync 0;\n"
      "atom.shared.add.u32 w, [v], 1;\n";
  CHECK(run_shared(atomics, 128).kind == FaultKind::none);
  CHECK(run_shared(atomics + "bar.sync 0; ld.shared.u32 w, [v];", 128).kind == FaultKind::none);
  check_violation(run_shared("mov.u32 v, s; setp.lt.u32 p, tid, 32; mov.u32 w, 0; @p st.shared.u32 [v], w;\n"
                             "@!p atom.shared.add.u32 w, [v], 1;",
                             64),
                  "atomically updates 4 bytes");
}

TEST_CASE("a flag passed on with release and acquire orders what came before it") {
  const auto pass = [](const std::string& store, const std::string& load) {
    return "mov.u32 other, s; add.u32 other, other, 2048; setp.eq.u32 p, tid, 0; mov.u32 w, 0;\n"
           "@p st.shared.u32 [other], w; bar.sync 0; setp.lt.u32 p, tid, 32; @!p bra WAITS;\n"
           "st.shared.u32 [own], tid; bar.warp.sync 0xffffffff; setp.eq.u32 q, tid, 0; mov.u32 w, 1; @q " +
           store +
           " [other], w; bra DONE;\n"
           "WAITS: " +
           load +
           " w, [other]; setp.eq.u32 q, w, 0; @q bra WAITS;\n"
           "ld.shared.u32 w, [own + -128];\nDONE:\n";
  };
  CHECK(run_shared(pass("st.release.cta.shared.u32", "ld.acquire.cta.shared.u32"), 64).kind ==
        FaultKind::none);
  CHECK(run_shared(pass("st.volatile.shared.u32", "ld.volatile.shared.u32"), 64).kind == FaultKind::none);
  CHECK_THAT(run_shared(pass("st.shared.u32", "ld.volatile.shared.u32"), 64).message, Contains("in a race"));
}

TEST_CASE("lanes wait at a barrier for those of their warp that spin before it") {
  // Thread 0 of each block waits for the other block; its warp goes on to the barrier.
  Runner runner(kernel_text(
      {"po"},
      ".reg .u64 out; .reg .u32 t, n; .reg .pred p, q; ld.param.u64 out, [po]; mov.u32 t, %tid.x;\n"
      "setp.ne.u32 p, t, 0; @p bra meet; atom.global.add.u32 n, [out], 1;\n"
      "spin: ld.volatile.global.u32 n, [out]; setp.lt.u32 q, n, 2; @q bra spin;\n"
      "meet: bar.sync 0; bar.red.popc.u32 n, 0, p; mad.wide.u32 out, t, 4, out; st.global.u32 [out+4], n; "
      "ret;"));
  runner.checks = true;
  auto* out = runner.zeros<std::uint32_t>(65);
  const Fault fault = runner.run("k", {2, 1, 1}, {64, 1, 1}, 0, out);
  CHECK(fault.message == "");
  CHECK(Runner::download(out, 65)[64] == 63);
}

TEST_CASE("a barrier that lies before one of the ways to it is not divergent") {
  for (const char* meet :
       {"bar.sync 0;", "bar.sync 1, 64;", "bar.red.popc.u32 v, 0, p;", "barrier.sync.aligned 0;"}) {
    CAPTURE(meet);
    CHECK(run_shared("setp.ne.u32 p, tid, 0; @!p bra ARM;\nMEET: " + std::string(meet) +
                         " bra DONE;\nARM: mov.u32 v, 0; bra.uni MEET;\nDONE:\n",
                     64)
              .message.empty());
  }
}

TEST_CASE("a barrier that part of a warp does not reach is divergent") {
  check_violation(
      run_shared("setp.lt.u32 p, tid, 16; @p bra HALF; bar.sync 0; bra DONE;\nHALF: bar.sync 0;\nDONE:\n",
                 32),
      "the barrier is divergent");
  check_violation(run_shared("setp.lt.u32 p, tid, 16; @p bar.sync 0;", 32),
                  "lanes 0xffff0000 of warp 0 are not with it");
  // Threads that have ended are not waited for, and barrier without .aligned may be reached apart.
  CHECK(run_shared("setp.lt.u32 p, tid, 16; @p exit; bar.sync 0;", 32).kind == FaultKind::none);
  CHECK(run_shared(
            "setp.lt.u32 p, tid, 16; @p bra HALF; barrier.sync 0; bra DONE;\nHALF: barrier.sync 0;\nDONE:\n",
            32)
            .kind == FaultKind::none);
  CHECK(
      run_shared("setp.lt.u32 p, tid, 32; @p bra HALF; bar.sync 0; bra DONE;\nHALF: bar.sync 0;\nDONE:\n", 64)
          .kind == FaultKind::none);
}

TEST_CASE("lanes still in a loop that lies behind the barrier in the code are waited for") {
  const auto meet = [](const std::string& leave) {
    return "mov.u32 v, tid; bra TEST;\nMEET: bar.sync 0; bra DONE;\nBODY: sub.u32 v, v, 1;\n"
           "TEST: setp.ne.u32 q, v, 0; @q bra BODY; " +
           leave + " bra MEET;\nDONE:\n";
  };
  CHECK(run_shared(meet(""), 64).message.empty());
  // The lanes whose loop ends past the barrier never come.
  check_violation(run_shared(meet("setp.lt.u32 p, tid, 16; @p bra DONE;"), 32), "the barrier is divergent");
}

TEST_CASE("a shuffle from a lane that does not take part") {
  const auto shuffle = [](const std::string& from, const std::string& mask) {
    return "setp.ge.u32 p, tid, 16; @p exit; shfl.sync.idx.b32 v, tid, " + from + ", 31, " + mask + ";";
  };
  check_violation(run_shared(shuffle("20", "0xffff"), 32), "shuffles from lane 20, which has exited");
  CHECK(run_shared(shuffle("15", "0xffff"), 32).kind == FaultKind::none);
  CHECK(run_shared(shuffle("20", "0xffff"), 32, false).kind == FaultKind::none);
  check_violation(
      run_shared("setp.ge.u32 p, tid, 16; @p bra HALF; shfl.sync.bfly.b32 v, tid, 16, 31, 0xffff; bra DONE;\n"
                 "HALF: shfl.sync.bfly.b32 v, tid, 1, 31, 0xffff0000;\nDONE:\n",
                 32),
      "which does not take part");
  // Out of range is no read of another lane.
  CHECK(
      run_shared("setp.ge.u32 p, tid, 16; @p exit; shfl.sync.down.b32 v, tid, 1, 0x100f, 0xffff;", 32).kind ==
      FaultKind::none);
}

TEST_CASE("an access to freed or host memory says so") {
  const std::string text =
      kernel_text({"pi"}, ".reg .u64 in; .reg .u32 v; ld.param.u64 in, [pi]; ld.global.u32 v, [in]; ret;");
  Runner runner(text);
  std::byte* gone = runner.unwritten(std::size_t{2} << 20);
  runner.memory().release(gone);
  const Fault freed = runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, gone + 64);
  CHECK(freed.kind == FaultKind::illegal_address);
  CHECK_THAT(freed.message, Contains("offset 64 of a 2097152-byte allocation") && Contains("freed before"));
  static std::uint32_t host[1024];
  const Fault pointer = runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, &host[512]);
  CHECK(pointer.kind == FaultKind::illegal_address);
  CHECK_THAT(pointer.message, Contains("a host pointer"));
}
