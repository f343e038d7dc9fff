// Each strict check has a kernel that must trigger it, and near misses that must not.
#include <catch2/catch.hpp>
#include <string>

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
      "mov.u32 w, %ctaid.x; setp.eq.u32 p, w, 0; @p st.shared.u32 [own], tid; ld.shared.u32 v, [own];", 32,
      true, 64);
  CHECK(fault.kind == FaultKind::violation);
  CHECK_THAT(fault.message, Contains("block (1,0,0)") && Contains("never written"));
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
