// Counters against counts derived by hand.
#include "runtime/simulator/watch/profile.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

namespace {

using namespace kerncast::simulator;
using namespace kerncast::simulator::testing;

struct Profiled {
  std::vector<KerncastSimCounts> by_instruction;
  LaunchCounts totals;
};

/// Runs `body` on `threads` threads per block; the buffer out has 64 KiB.
Profiled profile(const std::string& body, std::uint32_t threads, std::uint32_t blocks = 1) {
  Runner runner(kernel_text({"po"}, body));
  LaunchProfile counts;
  runner.profile = &counts;
  const Fault fault = runner.run("k", {blocks, 1, 1}, {threads, 1, 1}, 0, runner.zeros<std::uint32_t>(16384));
  REQUIRE(fault.message.empty());
  return {counts.instructions, runner.counts};
}

/// The PTX of one global access per thread: `instruction` with address `out` + tid * `stride` + `offset`.
std::string touching(const std::string& instruction, unsigned stride, unsigned offset = 0) {
  return ".reg .u64 out; .reg .u32 tid, a, b, c, d; ld.param.u64 out, [po]; mov.u32 tid, %tid.x;\n"
         "mad.wide.u32 out, tid, " +
         std::to_string(stride) + ", out; mov.u32 a, 0; mov.u32 b, 0; mov.u32 c, 0; mov.u32 d, 0;\n" +
         instruction + " [out + " + std::to_string(offset) + "]";
}

constexpr std::size_t touch_at = 7;  ///< the instructions before it

KerncastSimCounts global(const std::string& instruction, unsigned stride, std::uint32_t threads,
                         unsigned offset = 0) {
  const bool load = instruction.starts_with("ld");
  const std::string text =
      load ? touching(instruction, stride, offset) + "; ret;"
           : touching(instruction, stride, offset) +
                 (instruction.find("v4") != std::string::npos ? ", {a, b, c, d}; ret;" : ", a; ret;");
  return profile(text, threads).by_instruction.at(touch_at);
}

}  // namespace

TEST_CASE("a kernel's parameters are no global memory, however they are loaded") {
  const char* loads[] = {
      "ld.param.u64 a, [po]; ret;",
      "mov.b64 at, po; ld.param.u64 a, [at]; ret;",
      "mov.b64 at, po; cvta.param.u64 at, at; ld.u64 a, [at]; ret;",
  };
  for (const char* load : loads) {
    const Profiled counts = profile(std::string(".reg .u64 a, at; ") + load, 32);
    for (const KerncastSimCounts& instruction : counts.by_instruction) {
      CHECK(instruction.global_requests == 0);
      CHECK(instruction.global_sectors == 0);
    }
  }
}

TEST_CASE("sectors of global stores") {
  struct Case {
    const char* instruction;
    unsigned stride;
    std::uint32_t threads;
    unsigned offset;
    std::uint64_t requests;
    std::uint64_t bytes;
    std::uint64_t sectors;
    std::uint64_t least;
  };
  const Case cases[] = {
      {"st.global.u32", 4, 32, 0, 1, 128, 4, 4},        // a warp of words: 128 bytes
      {"st.global.u32", 4, 64, 0, 2, 256, 8, 8},        // two warps
      {"st.global.v4.u32", 16, 32, 0, 1, 512, 16, 16},  // 16 bytes each
      {"st.global.u32", 8, 32, 0, 1, 128, 8, 4},        // every other word: half of each sector
      {"st.global.u32", 32, 32, 0, 1, 128, 32, 4},      // one word a sector
      {"st.global.u32", 4, 32, 16, 1, 128, 5, 4},       // half a sector off
      {"st.global.u32", 0, 32, 0, 1, 128, 1, 1},        // all at one word
      {"st.global.u32", 4, 20, 0, 1, 80, 3, 3},         // part of a warp
      {"st.global.u32", 4, 33, 0, 2, 132, 5, 5},        // and a warp of one
      {"st.global.v4.u32", 16, 1, 16, 1, 16, 1, 1},     // half a sector
      {"st.global.v4.u32", 48, 32, 0, 1, 512, 32, 16},  // 16 of every 48 bytes: each in a sector of its own
  };
  for (const Case& c : cases) {
    CAPTURE(c.instruction, c.stride, c.threads, c.offset);
    const KerncastSimCounts counts = global(c.instruction, c.stride, c.threads, c.offset);
    CHECK(counts.global_requests == c.requests);
    CHECK(counts.global_bytes == c.bytes);
    CHECK(counts.global_sectors == c.sectors);
    CHECK(counts.global_least_sectors == c.least);
    CHECK(counts.shared_requests == 0);
    CHECK(counts.local_requests == 0);
  }
}

TEST_CASE("wavefronts of shared memory") {
  struct Case {
    const char* instruction;
    unsigned stride;
    std::uint32_t threads;
    std::uint64_t bytes;
    std::uint64_t wavefronts;
    std::uint64_t least;
  };
  const Case cases[] = {
      {"st.shared.u32 [at], a;", 4, 32, 128, 1, 1},                 // a bank each
      {"st.shared.u32 [at], a;", 8, 32, 128, 2, 1},                 // two lanes a bank
      {"st.shared.u32 [at], a;", 128, 32, 128, 32, 1},              // all in one bank
      {"st.shared.u32 [at], a;", 132, 32, 128, 1, 1},               // padded by a word
      {"st.shared.u32 [at], a;", 0, 32, 128, 1, 1},                 // one word
      {"st.shared.v4.u32 [at], {a, a, a, a};", 16, 32, 512, 4, 4},  // 512 bytes take four passes
      {"st.shared.v2.u32 [at], {a, a};", 8, 32, 256, 2, 2},         // 256 bytes take two
      {"st.shared.v4.u32 [at], {a, a, a, a};", 32, 32, 512, 8, 4},  // eight lanes a pass, two in each bank
      {"st.shared.v4.u32 [at], {a, a, a, a};", 0, 32, 512, 1, 1},   // 16 bytes for all
      {"st.shared.u8 [at], h;", 1, 32, 32, 1, 1},                   // four lanes a word
      {"st.shared.u32 [at], a;", 4, 8, 32, 1, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.instruction, c.stride, c.threads);
    const std::string body =
        ".shared .align 16 .b8 s[8192]; .reg .u32 tid, at, a; .reg .u16 h; mov.u32 tid, %tid.x; mov.u32 at, "
        "s;\n"
        "mad.lo.u32 at, tid, " +
        std::to_string(c.stride) + ", at; mov.u32 a, 0; cvt.u16.u32 h, a;\n" + c.instruction + " ret;";
    const KerncastSimCounts counts = profile(body, c.threads).by_instruction.at(5);
    CHECK(counts.shared_requests == 1);
    CHECK(counts.shared_bytes == c.bytes);
    CHECK(counts.shared_wavefronts == c.wavefronts);
    CHECK(counts.shared_least_wavefronts == c.least);
    CHECK(counts.global_requests == 0);
  }
}

TEST_CASE("bulk copies go through all banks in order, whatever their size") {
  // 16, 144 and 4096 bytes: 1, 2 and 32 wavefronts of 128 bytes; a copy of nothing makes no request.
  const auto copy = [](unsigned bytes) {
    return profile(
               ".reg .u64 out; .shared .align 16 .b8 buf[4096]; .shared .align 8 .b64 bar; ld.param.u64 out, "
               "[po];\n"
               "mbarrier.init.shared::cta.b64 [bar], 1;\n"
               "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [buf], [out], " +
                   std::to_string(bytes) + ", [bar]; ret;",
               1)
        .by_instruction.at(2);
  };
  const std::uint64_t expected[][3] = {{0, 0, 0}, {16, 1, 1}, {144, 2, 5}, {4096, 32, 128}};
  for (const auto& [bytes, wavefronts, sectors] : expected) {
    CAPTURE(bytes);
    const KerncastSimCounts counts = copy(static_cast<unsigned>(bytes));
    // The mbarrier's 8 bytes are a request of their own.
    CHECK(counts.shared_requests == (bytes == 0 ? 1 : 2));
    CHECK(counts.shared_wavefronts == wavefronts + 1);
    CHECK(counts.shared_least_wavefronts == wavefronts + 1);
    CHECK(counts.shared_bytes == bytes + 8);
    CHECK(counts.global_sectors == sectors);
    CHECK(counts.global_bytes == bytes);
  }
}

TEST_CASE("lanes of an asynchronous copy that read nothing leave the others one request") {
  // Lanes 16 to 31 read 256 bytes, which are 8 whole sectors.
  const std::string body =
      ".shared .align 16 .b8 s[512]; .reg .u64 out; .reg .u32 tid, at, size; ld.param.u64 out, [po];\n"
      "mov.u32 tid, %tid.x; mad.wide.u32 out, tid, 16, out; mov.u32 at, s; mad.lo.u32 at, tid, 16, at;\n"
      "shr.u32 size, tid, 4; shl.b32 size, size, 4;\n"
      "cp.async.cg.shared.global [at], [out], 16, size; ret;";
  const KerncastSimCounts counts = profile(body, 32).by_instruction.at(7);
  CHECK(counts.global_requests == 1);
  CHECK(counts.global_bytes == 256);
  CHECK(counts.global_sectors == 8);
  CHECK(counts.global_least_sectors == 8);
}

TEST_CASE("instructions by place, and branches that split a warp") {
  // 0 mov, 1 setp, 2 bra, 3 add, 4 add (odd lanes only), 5 ret; three blocks of 40 threads: two warps each.
  const std::string body =
      ".reg .u32 t, b; .reg .pred p; mov.u32 t, %tid.x; and.b32 b, t, 1;\nsetp.eq.u32 p, b, 0;\n@p bra "
      "EVEN;\n"
      "add.u32 t, t, 1; add.u32 t, t, 1;\nEVEN: ret;";
  const Profiled run = profile(body, 40, 3);
  const std::vector<KerncastSimCounts>& counts = run.by_instruction;
  REQUIRE(counts.size() == 7);
  for (const std::size_t all : {0U, 1U, 2U, 3U, 6U}) {
    CAPTURE(all);
    CHECK(counts[all].warp_instructions == 6);
    CHECK(counts[all].thread_instructions == 120);
  }
  for (const std::size_t odd : {4U, 5U}) {
    CHECK(counts[odd].warp_instructions == 6);
    CHECK(counts[odd].thread_instructions == 60);
  }
  CHECK(counts[3].divergent == 6);
  CHECK(counts[2].divergent == 0);
  CHECK(run.totals.warp_instructions == 42);
  CHECK(run.totals.thread_instructions == 5 * 120 + 2 * 60);
}

TEST_CASE("a loop counts each time round, a uniform branch splits nothing") {
  const Profiled run = profile(
      ".reg .u32 i; .reg .pred p; mov.u32 i, 0;\nAGAIN: add.u32 i, i, 1; setp.lt.u32 p, i, 10; @p bra AGAIN; "
      "ret;",
      64);
  REQUIRE(run.by_instruction.size() == 5);
  CHECK(run.by_instruction[0].warp_instructions == 2);
  CHECK(run.by_instruction[1].warp_instructions == 20);
  CHECK(run.by_instruction[3].thread_instructions == 640);
  CHECK(run.by_instruction[3].divergent == 0);
  CHECK(run.by_instruction[4].warp_instructions == 2);
}

TEST_CASE("a kernel without instructions counts none") {
  const Profiled run = profile("", 64, 2);
  CHECK(run.by_instruction.empty());
  CHECK(run.totals.warp_instructions == 0);
}

TEST_CASE("counts do not depend on the run") {
  const std::string body = touching("st.global.u32", 36) + ", a; ret;";
  const Profiled once = profile(body, 256, 200);
  const Profiled again = profile(body, 256, 200);
  REQUIRE(once.by_instruction.size() == again.by_instruction.size());
  for (std::size_t i = 0; i < once.by_instruction.size(); ++i) {
    CHECK(once.by_instruction[i].warp_instructions == again.by_instruction[i].warp_instructions);
    CHECK(once.by_instruction[i].global_sectors == again.by_instruction[i].global_sectors);
  }
  CHECK(once.by_instruction.at(touch_at).global_requests == 8 * 200);
}

TEST_CASE("atomics and local memory are counted apart") {
  const Profiled run = profile(
      ".local .align 4 .b8 l[16]; .reg .u64 out; .reg .u32 a; ld.param.u64 out, [po]; mov.u32 a, 1;\n"
      "red.global.add.u32 [out], a;\nst.local.u32 [l], a; ret;",
      32);
  CHECK(run.by_instruction.at(2).global_requests == 1);
  CHECK(run.by_instruction.at(2).global_bytes == 128);
  CHECK(run.by_instruction.at(2).global_sectors == 1);
  CHECK(run.by_instruction.at(3).local_requests == 1);
  CHECK(run.by_instruction.at(3).local_bytes == 128);
  CHECK(run.by_instruction.at(3).global_requests == 0);
}

TEST_CASE("an mma counts for the tensor unit") {
  Op op{};
  op.code = Code::mma;
  CHECK(std::string(unit_of(op)) == "tensor");
}
