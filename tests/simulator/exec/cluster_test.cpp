#include <catch2/catch.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/simulator/machine/tensor_map.hpp"
#include "tests/simulator/kernel_runner.hpp"

// Clusters of blocks: their registers, their barrier, and the memory they share.
namespace kerncast::simulator::testing {

namespace {

using Catch::Matchers::Contains;
using Words = std::vector<std::uint32_t>;
using Size = std::array<std::uint32_t, 3>;

constexpr std::size_t words = 4096;

struct Launched {
  Fault fault;
  Words out;
};

/// Runs `body` in clusters. It finds its thread in t, its rank in r, the number of ranks in n, its thread of
/// the grid (blocks in linear order) in id, an array of 1024 words at s, mbarriers at b, and `out` of 4096
/// words.
Launched run(const std::string& body, const Size& grid, const Size& cluster, std::uint32_t threads = 32,
             const std::vector<std::byte>& extra = std::vector<std::byte>(128)) {
  const std::string text =
      ".shared .align 1024 .b8 buf[4096]; .shared .align 8 .b64 bar[4];\n"
      ".reg .u64 out, in, at, x, y; .reg .u32 t, r, n, id, s, b, v, w, i, u<8>; .reg .u16 h; .reg .pred p, "
      "q;\n"
      "ld.param.u64 out, [pd]; ld.param.u64 in, [pe]; mov.u32 t, %tid.x; mov.u32 r, %cluster_ctarank;\n"
      "mov.u32 n, %cluster_nctarank; mov.u32 s, buf; mov.u32 b, bar;\n"
      "mov.u32 id, %ctaid.z; mov.u32 v, %nctaid.y; mov.u32 w, %ctaid.y; mad.lo.u32 id, id, v, w;\n"
      "mov.u32 v, %nctaid.x; mov.u32 w, %ctaid.x; mad.lo.u32 id, id, v, w; mov.u32 v, %ntid.x;\n"
      "mad.lo.u32 id, id, v, t; mul.wide.u32 at, id, 4; add.u64 at, at, out;\n" +
      body + "\nret;";
  Runner runner(kernel_text({"pd", "pe"}, text, "", "sm_90a"));
  runner.checks = true;
  runner.cluster = cluster;
  auto* d = runner.zeros<std::uint32_t>(words);
  Launched result;
  result.fault = runner.run("k", grid, {threads, 1, 1}, 0, d, runner.upload(extra));
  result.out = Runner::download(d, words);
  return result;
}

constexpr const char* meet = "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n";

void check_fault(const std::string& body, FaultKind kind, const std::string& what) {
  const Launched result = run(body, {2, 1, 1}, {2, 1, 1});
  CHECK(result.fault.kind == kind);
  CHECK_THAT(result.fault.message, Contains(what) && Contains("PTX line"));
}

}  // namespace

TEST_CASE("the registers of clusters say where a block is") {
  const Size grid{4, 6, 2};
  const Size cluster{2, 3, 1};
  const std::vector<std::string> names{
      "%clusterid.x",      "%clusterid.y",      "%clusterid.z",     "%nclusterid.x",    "%nclusterid.y",
      "%nclusterid.z",     "%cluster_ctaid.x",  "%cluster_ctaid.y", "%cluster_ctaid.z", "%cluster_nctaid.x",
      "%cluster_nctaid.y", "%cluster_nctaid.z", "%cluster_ctarank", "%cluster_nctarank"};
  for (std::size_t k = 0; k < names.size(); ++k) {
    INFO(names[k]);
    const Launched result = run("mov.u32 v, " + names[k] + "; st.global.u32 [at], v;", grid, cluster, 1);
    REQUIRE(result.fault.message == "");
    for (std::uint32_t z = 0; z < grid[2]; ++z) {
      for (std::uint32_t y = 0; y < grid[1]; ++y) {
        for (std::uint32_t x = 0; x < grid[0]; ++x) {
          const std::array<std::uint32_t, 14> expected{
              x / 2, y / 3, z, 2, 2, 2, x % 2, y % 3, 0, 2, 3, 1, y % 3 * 2 + x % 2, 6};
          CHECK(result.out[(z * grid[1] + y) * grid[0] + x] == expected[k]);
        }
      }
    }
  }
}

TEST_CASE("blocks of a cluster read and write each other's shared memory") {
  // Each thread stores its number, reads that of the next block by a shared and by a generic address, and
  // stores to the block before it.
  const std::string body =
      "mad.lo.u32 v, t, 4, s; add.u32 w, id, 100; st.shared.u32 [v], w;\n" + std::string(meet) +
      "add.u32 u0, r, 1; rem.u32 u0, u0, n; mapa.shared::cluster.u32 u1, v, u0;\n"
      "ld.shared::cluster.u32 u2, [u1]; getctarank.shared::cluster.u32 u3, u1; setp.ne.u32 p, u3, u0; @p "
      "trap;\n"
      "cvt.u64.u32 x, v; cvta.shared.u64 x, x; mapa.u64 y, x, u0; ld.u32 u4, [y]; setp.ne.u32 p, u4, u2; @p "
      "trap;\n"
      "getctarank.u64 u5, y; setp.ne.u32 p, u5, u0; @p trap; getctarank.u64 u5, x; setp.ne.u32 p, u5, r; @p "
      "trap;\n"
      "add.u32 u6, r, n; sub.u32 u6, u6, 1; rem.u32 u6, u6, n; mapa.shared::cluster.u32 u7, v, u6;\n"
      "st.shared::cluster.u32 [u7+2048], u2;\n" +
      meet + "ld.shared.u32 u3, [v+2048]; st.global.u32 [at], u3;\n" + meet;
  const Launched result = run(body, {16, 2, 1}, {4, 2, 1});
  REQUIRE(result.fault.message == "");
  for (std::uint32_t by = 0; by < 2; ++by) {
    for (std::uint32_t bx = 0; bx < 16; ++bx) {
      // Block of rank k reads from k + 1 and stores to k - 1, so each gets what lies two ranks on.
      const std::uint32_t rank = by * 4 + bx % 4;
      const std::uint32_t from = (rank + 2) % 8;
      const std::uint32_t block = from / 4 * 16 + bx / 4 * 4 + from % 4;
      for (std::uint32_t t = 0; t < 32; ++t) {
        CHECK(result.out[(by * 16 + bx) * 32 + t] == block * 32 + t + 100);
      }
    }
  }
}

TEST_CASE("atomics and mbarriers reach other blocks of the cluster") {
  const std::string body =
      "setp.eq.u32 q, t, 0; @q st.shared.u32 [s], 0; @q st.shared.u32 [s+4], 0;\n"
      "@q mbarrier.init.shared::cta.b64 [b], 96; @q fence.mbarrier_init.release.cluster;\n" +
      std::string(meet) +
      "mapa.shared::cluster.u32 u0, s, 0; atom.shared::cluster.add.u32 u1, [u0], 1;\n"
      "red.shared::cluster.add.u32 [u0+4], id; mapa.shared::cluster.u32 u2, b, 0;\n"
      "setp.ne.u32 p, r, 0; @p mbarrier.arrive.release.cluster.shared::cluster.b64 _, [u2];\n"
      "setp.ne.u32 p, r, 0; @p bra end;\n"
      "wait: mbarrier.try_wait.parity.shared::cta.b64 p, [b], 0; @!p bra wait;\n"
      "ld.volatile.shared.u32 v, [s]; ld.volatile.shared.u32 w, [s+4]; setp.ne.u32 p, v, 128; @p trap;\n"
      "st.global.u32 [at], w; end:\n" +
      meet;
  const Launched result = run(body, {4, 1, 1}, {4, 1, 1});
  REQUIRE(result.fault.message == "");
  CHECK(result.out[7] == 127 * 128 / 2);
}

TEST_CASE("a bulk copy multicasts to the blocks that its mask names") {
  std::vector<std::byte> input(128);
  for (std::size_t i = 0; i < input.size(); ++i) {
    input[i] = static_cast<std::byte>(i + 1);
  }
  // Ranks 0, 2 and 3 of four get the bytes; rank 1 expects none.
  const std::string body =
      "setp.eq.u32 q, t, 0; @q mbarrier.init.shared::cta.b64 [b], 1; @q "
      "fence.mbarrier_init.release.cluster;\n"
      "st.shared.u32 [s+124], 7;\n"
      "setp.eq.u32 p, r, 1; selp.u32 v, 0, 128, p; @q mbarrier.arrive.expect_tx.shared::cta.b64 _, [b], "
      "v;\n" +
      std::string(meet) +
      "mov.u16 h, 13; setp.eq.u32 p, id, 0;\n"
      "@p cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [s], [in], "
      "128, [b], "
      "h;\n"
      "wait: mbarrier.try_wait.parity.shared::cta.b64 p, [b], 0; @!p bra wait;\n"
      "ld.shared.u32 v, [s+124]; st.global.u32 [at], v;\n" +
      meet;
  const Launched result = run(body, {4, 1, 1}, {4, 1, 1}, 32, input);
  REQUIRE(result.fault.message == "");
  for (std::uint32_t rank = 0; rank < 4; ++rank) {
    CHECK(result.out[rank * 32] == (rank == 1 ? 7 : 0x807f7e7d));
  }
}

TEST_CASE("a tile multicasts to the blocks that its mask names") {
  std::vector<std::byte> input(128 + 1024);
  for (std::size_t i = 128; i < input.size(); ++i) {
    input[i] = static_cast<std::byte>(i * 3);
  }
  // The map lies at the input's start and says that the tensor of 64 words begins 128 bytes on; the kernel
  // writes its address into it.
  TensorMap map;
  map.marked = TensorMap::mark;
  map.stride[0] = 4;
  map.last[0] = 63;
  map.box[0] = 32;
  map.step[0] = 1;
  map.rank = 1;
  map.element_bytes = 4;
  map.span = 1;
  std::memcpy(input.data(), &map, sizeof(map));
  const std::string body =
      "setp.eq.u32 q, t, 0; @q mbarrier.init.shared::cta.b64 [b], 1; @q "
      "fence.mbarrier_init.release.cluster;\n"
      "add.u64 x, in, 128; setp.eq.u32 p, id, 0; @p st.global.u64 [in+8], x;\n"
      "@q mbarrier.arrive.expect_tx.shared::cta.b64 _, [b], 128;\n" +
      std::string(meet) +
      "@p "
      "cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
      "[s], [in, {40}], [b], 3;\n"
      "wait: mbarrier.try_wait.parity.shared::cta.b64 p, [b], 0; @!p bra wait;\n"
      "mad.lo.u32 v, t, 4, s; ld.shared.u32 v, [v]; st.global.u32 [at], v;\n" +
      meet;
  const Launched result = run(body, {2, 1, 1}, {2, 1, 1}, 32, input);
  REQUIRE(result.fault.message == "");
  for (std::uint32_t i = 0; i < 64; ++i) {
    std::uint32_t expected = 0;
    if (i % 32 < 24) {
      std::memcpy(&expected, &input[128 + 4 * (40 + std::size_t{i} % 32)], 4);
    }
    CHECK(result.out[i] == expected);
  }
}

TEST_CASE("the barrier of a cluster meets again and again, and does not wait for threads that have exited") {
  // Rank 0 counts rounds in every block's memory; each block reads its own after the barrier.
  const std::string body =
      "setp.ge.u32 p, t, 32; @p exit; mov.u32 i, 0; setp.eq.u32 q, t, 0; @q st.shared.u32 [s], 0;\n" +
      std::string(meet) +
      "next: rem.u32 u0, i, n; setp.eq.and.u32 p, r, u0, q; add.u32 u1, r, 1; rem.u32 u1, u1, n;\n"
      "mapa.shared::cluster.u32 u2, s, u1; @p st.shared::cluster.u32 [u2], i;\n"
      "barrier.cluster.arrive.release.aligned; add.u32 i, i, 1; barrier.cluster.wait.acquire.aligned;\n"
      "setp.lt.u32 p, i, 9; @p bra next; ld.shared.u32 v, [s]; st.global.u32 [at], v;\n"
      "setp.ge.u32 p, r, 2; @p exit;\n" +
      meet;
  const Launched result = run(body, {3, 1, 1}, {3, 1, 1}, 64);
  REQUIRE(result.fault.message == "");
  // In round i rank i % 3 writes to the next; the last rounds are 6, 7 and 8.
  CHECK(result.out[0] == 8);
  CHECK(result.out[64] == 6);
  CHECK(result.out[128] == 7);
}

TEST_CASE("a grid of many clusters runs each of them, and a block is a cluster of its own") {
  const std::string body = std::string(meet) + "st.global.u32 [at], id;\n" + meet;
  for (const Size& cluster : {Size{1, 1, 1}, Size{8, 1, 1}, Size{1, 2, 2}, Size{16, 1, 1}}) {
    const Launched result = run(body, {16, 2, 4}, cluster);
    REQUIRE(result.fault.message == "");
    for (std::uint32_t i = 0; i < words; ++i) {
      REQUIRE(result.out[i] == i);
    }
  }
}

TEST_CASE("mistakes with clusters are reported") {
  check_fault("barrier.cluster.arrive; barrier.cluster.arrive;", FaultKind::illegal_instruction,
              "arrives at its cluster's barrier again");
  check_fault("barrier.cluster.wait;", FaultKind::illegal_instruction, "at which it has not arrived");
  check_fault("mapa.shared::cluster.u32 v, s, 2;", FaultKind::illegal_instruction,
              "its cluster does not have");
  check_fault("mapa.u64 x, out, 0;", FaultKind::illegal_instruction, "not in shared memory");
  check_fault("getctarank.u64 v, out;", FaultKind::illegal_instruction, "not in shared memory");
  check_fault("mapa.shared::cluster.u32 v, s, 1; ld.shared::cluster.u32 v, [v+8192];",
              FaultKind::illegal_address, "read");
  check_fault("add.u32 v, s, 0x3000000; ld.shared::cluster.u32 v, [v];", FaultKind::illegal_address, "read");
  check_fault("setp.lt.u32 p, t, 16; @p bra other; barrier.cluster.arrive.aligned; other: ret;",
              FaultKind::violation, "the barrier is divergent");
  // Rank 1 waits at a barrier that rank 0 never comes to.
  check_fault(
      "setp.eq.u32 p, r, 0; @p bra other; barrier.cluster.arrive; barrier.cluster.wait; ret;\n"
      "other: barrier.cluster.arrive; barrier.cluster.wait; barrier.cluster.arrive; bar.sync 1, 64;",
      FaultKind::deadlock, "wait at barrier 1");
  // Rank 0 ends before rank 1 reads its memory.
  check_fault(
      "st.shared.u32 [s], 1; setp.eq.u32 p, r, 0; @p exit; nanosleep.u32 100; mov.u32 i, 0;\n"
      "spin: add.u32 i, i, 1; setp.lt.u32 p, i, 100000; @p bra spin;\n"
      "mapa.shared::cluster.u32 v, s, 0; ld.shared::cluster.u32 v, [v];",
      FaultKind::violation, "of a block of its cluster that has ended");
  const Launched odd = run("ret;", {3, 1, 1}, {2, 1, 1});
  CHECK(odd.fault.kind == FaultKind::illegal_instruction);
}

TEST_CASE("instructions of clusters are refused where PTX has no such form") {
  const auto error_of = [](const std::string& body, const std::string& target = "sm_90") -> std::string {
    try {
      require_modelled(kernel_text({"pm"}, ".reg .u64 x, y; .reg .u32 a, b; .reg .u16 h;\n" + body + "\nret;",
                                   "", target));
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  };
  for (const std::string form :
       {"mapa.shared::cluster.u64 x, y, 3;", "mapa.shared::cluster.u32 a, b, b;", "mapa.u64 x, y, a;",
        "getctarank.shared::cluster.u32 a, b;", "getctarank.u64 a, x;",
        "barrier.cluster.arrive.aligned.relaxed;", "barrier.cluster.wait.acquire;"}) {
    INFO(form);
    CHECK(error_of(form).empty());
    CHECK_THAT(error_of(form, "sm_89"), Contains("needs .target sm_90"));
  }
  CHECK_THAT(error_of("getctarank.u32 a, b;"), Contains(".u64"));
  CHECK_THAT(error_of("mapa.shared::cluster.b32 a, b, 0;"), Contains(".u32 or .u64"));
  CHECK_THAT(error_of("mapa.shared::cluster.u32 a, x, 0;"), Contains("64 bits"));
  CHECK_THAT(error_of("barrier.cluster.sync;"), Contains(".arrive or .wait"));
  CHECK_THAT(error_of("barrier.cluster.wait.release;"), Contains("release"));
}

}  // namespace kerncast::simulator::testing
