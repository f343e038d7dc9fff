#include <catch2/catch.hpp>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

// Loads, stores and atomics in every form: cache operators, orders, scopes, hints, vectors, 128 bits.
namespace kerncast::simulator::testing {

namespace {

using U32 = std::uint32_t;
using U64 = std::uint64_t;

/// Runs `body` with one thread; returns 32 words at out, given words 1, 2, ... at in and zeros at out.
std::vector<U32> run(const std::string& body) {
  const std::string text =
      ".shared .align 32 .b8 buf[256];\n"
      ".reg .u64 out, in, policy, x<4>; .reg .b128 q<4>; .reg .b32 w<8>; .reg .f32 f<8>; .reg .b16 h<8>; "
      ".reg .pred p;\n"
      "ld.param.u64 out, [pd]; ld.param.u64 in, [pa];\ncreatepolicy.fractional.L2::evict_last.b64 policy, "
      "1.0;\n" +
      body + "\nret;";
  Runner runner(kernel_text({"pd", "pa"}, text, "", "sm_100a"), 100);
  std::vector<U32> input(32);
  std::iota(input.begin(), input.end(), 1U);
  auto* d = runner.zeros<U32>(32);
  const Fault fault = runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, d, runner.upload(input));
  INFO(body);
  CHECK(fault.message == "");
  return Runner::download(d, 32);
}

std::vector<U32> first(const std::vector<U32>& words, std::size_t count) {
  return {words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace

TEST_CASE("Loads of every cache operator, order and hint read the same word") {
  for (const char* load : {"ld.global.ca.u32 w0, [in+8];",
                           "ld.global.cg.u32 w0, [in+8];",
                           "ld.global.cs.u32 w0, [in+8];",
                           "ld.global.lu.u32 w0, [in+8];",
                           "ld.global.cv.u32 w0, [in+8];",
                           "ld.global.nc.u32 w0, [in+8];",
                           "ld.global.ca.nc.u32 w0, [in+8];",
                           "ld.global.nc.L1::no_allocate.L2::128B.u32 w0, [in+8];",
                           "ld.global.L1::evict_last.u32 w0, [in+8];",
                           "ld.global.L1::no_allocate.L2::cache_hint.u32 w0, [in+8], policy;",
                           "ld.global.L2::256B.b32 w0, [in+8];",
                           "ld.volatile.global.u32 w0, [in+8];",
                           "ld.weak.global.u32 w0, [in+8];",
                           "ld.relaxed.gpu.global.u32 w0, [in+8];",
                           "ld.relaxed.cta.u32 w0, [in+8];",
                           "ld.acquire.sys.global.u32 w0, [in+8];",
                           "ld.acquire.gpu.u32 w0, [in+8];",
                           "ld.mmio.relaxed.sys.global.u32 w0, [in+8];",
                           "ldu.global.u32 w0, [in+8];",
                           "ld.relaxed.cluster.global.u32 w0, [in+8];"}) {
    CAPTURE(load);
    CHECK(run(std::string(load) + " st.global.u32 [out], w0;")[0] == 3);
  }
}

TEST_CASE("Stores of every cache operator, order and hint write the same word") {
  for (const char* store :
       {"st.global.wb.u32 [out+4], w0;", "st.global.cg.u32 [out+4], w0;", "st.global.cs.u32 [out+4], w0;",
        "st.global.wt.u32 [out+4], w0;", "st.global.L1::no_allocate.u32 [out+4], w0;",
        "st.global.L2::cache_hint.u32 [out+4], w0, policy;", "st.volatile.global.u32 [out+4], w0;",
        "st.relaxed.gpu.global.u32 [out+4], w0;", "st.release.sys.global.u32 [out+4], w0;",
        "st.release.gpu.u32 [out+4], w0;", "st.weak.global.u32 [out+4], w0;",
        "st.mmio.relaxed.sys.global.u32 [out+4], w0;"}) {
    CAPTURE(store);
    CHECK(run(std::string("mov.u32 w0, 77; ") + store)[1] == 77);
  }
}

TEST_CASE("Braces around a single register are no vector") {
  const std::string store = " st.global.b32 [out], {w0};";
  CHECK(run("ld.global.b32 {w0}, [in+8];" + store)[0] == 3);
  CHECK(run("ld.global.nc.b32 {w0}, [in+8];" + store)[0] == 3);
  CHECK(run("ld.global.f32 {f0}, [in+8]; st.global.f32 [out], {f0};")[0] == 3);
  CHECK(run("ld.global.b32 {w0}, [in+8]; st.shared.b32 [buf], {w0}; ld.shared.b32 {w1}, [buf]; st.global.b32 "
            "[out], {w1};")[0] == 3);
  CHECK(run("ld.global.b16 {h0}, [in+8]; st.global.b16 [out], {h0};")[0] == 3);
  CHECK(run("ld.global.b8 {h0}, [in+8]; st.global.b8 [out], {h0};")[0] == 3);
  CHECK(run("ld.param.u64 {x0}, [pa]; ld.global.b64 {x1}, [x0]; st.global.b64 [out], {x1};")[1] == 2);
  CHECK(run("ld.volatile.global.b32 {w0}, [in+8]; st.release.gpu.global.b32 [out], {w0};")[0] == 3);
  CHECK(run("ldu.global.b32 {w0}, [in+8];" + store)[0] == 3);
  CHECK(run("mov.u32 w0, 3; @p ld.global.b32 {w0}, [in];" + store)[0] == 3);
}

TEST_CASE("Vectors of all widths move together") {
  const std::vector<U32> eight{1, 2, 3, 4, 5, 6, 7, 8};
  CHECK(first(run("ld.global.v2.u32 {w0, w1}, [in]; st.global.v2.u32 [out], {w0, w1};"), 2) ==
        first(eight, 2));
  CHECK(first(run("ld.global.v4.f32 {f0, f1, f2, f3}, [in]; st.global.v4.f32 [out], {f0, f1, f2, f3};"), 4) ==
        first(eight, 4));
  CHECK(first(run("ld.global.v8.b32 {w0, w1, w2, w3, w4, w5, w6, w7}, [in];\n"
                  "st.global.v8.b32 [out], {w0, w1, w2, w3, w4, w5, w6, w7};"),
              8) == eight);
  CHECK(first(run("ld.global.v8.f32 {f0, f1, f2, f3, f4, f5, f6, f7}, [in];\n"
                  "st.global.v8.f32 [out], {f0, f1, f2, f3, f4, f5, f6, f7};"),
              8) == eight);
  CHECK(first(run("ld.global.nc.v4.u64 {x0, x1, x2, x3}, [in]; st.global.v4.u64 [out], {x0, x1, x2, x3};"),
              8) == eight);
  CHECK(first(run("ld.global.v4.u16 {h0, h1, h2, h3}, [in]; st.global.v4.u16 [out], {h0, h1, h2, h3};"), 2) ==
        first(eight, 2));
  CHECK(first(run("ld.global.b128 q0, [in]; st.shared.b128 [buf], q0; ld.shared.b128 q1, [buf]; "
                  "st.global.b128 [out], q1;"),
              4) == first(eight, 4));
  CHECK(first(run("ld.global.v2.b64 {x0, x1}, [in]; mov.b128 q0, {x0, x1}; mov.b128 {x2, x3}, q0;\n"
                  "st.global.v2.b64 [out], {x2, x3};"),
              4) == first(eight, 4));
  // _ leaves out an element.
  CHECK(first(run("ld.global.v4.u32 {w0, _, w2, _}, [in]; st.global.v2.u32 [out], {w0, w2};"), 2) ==
        std::vector<U32>{1, 3});
}

TEST_CASE("Hints and fences change nothing") {
  for (const char* hint : {"prefetch.global.L1 [in];",
                           "prefetch.global.L2 [in];",
                           "prefetch.L1 [in];",
                           "prefetchu.L1 [in];",
                           "prefetch.global.L2::evict_last [in];",
                           "applypriority.global.L2::evict_normal [in], 128;",
                           "nanosleep.u32 20;",
                           "griddepcontrol.launch_dependents;",
                           "griddepcontrol.wait;",
                           "membar.gl;",
                           "membar.cta;",
                           "membar.sys;",
                           "fence.sc.gpu;",
                           "fence.acq_rel.sys;",
                           "fence.acq_rel.cluster;",
                           "fence.acquire.gpu;",
                           "fence.release.gpu;",
                           "fence.proxy.async;",
                           "fence.proxy.async.global;",
                           "fence.proxy.async.shared::cta;",
                           "fence.proxy.alias;",
                           "fence.mbarrier_init.release.cluster;",
                           "setmaxnreg.inc.sync.aligned.u32 240;",
                           "setmaxnreg.dec.sync.aligned.u32 40;"}) {
    CAPTURE(hint);
    CHECK(run(std::string("mov.u32 w0, 5; ") + hint + " st.global.u32 [out], w0;")[0] == 5);
  }
}

TEST_CASE("Atomics of every order and scope add the same") {
  for (const char* atomic :
       {"atom.global.add.u32 w1, [out], w0;", "atom.add.u32 w1, [out], w0;",
        "atom.relaxed.gpu.global.add.u32 w1, [out], w0;", "atom.acquire.cta.global.add.u32 w1, [out], w0;",
        "atom.release.sys.global.add.u32 w1, [out], w0;",
        "atom.acq_rel.cluster.global.add.u32 w1, [out], w0;",
        "atom.acq_rel.gpu.global.add.L2::cache_hint.u32 w1, [out], w0, policy;",
        "red.global.add.u32 [out], w0;", "red.relaxed.gpu.global.add.u32 [out], w0;",
        "red.release.gpu.add.u32 [out], w0;", "red.global.add.L2::cache_hint.u32 [out], w0, policy;"}) {
    CAPTURE(atomic);
    CHECK(run(std::string("mov.u32 w0, 9; st.global.u32 [out], w0; mov.u32 w1, 9; ") + atomic +
              " st.global.u32 [out+4], w1;") ==
          run("mov.u32 w0, 18; st.global.u32 [out], w0; mov.u32 w0, 9; st.global.u32 [out+4], w0;"));
  }
}

TEST_CASE("Vector atomics add to each element and return what was there") {
  const std::string load =
      "ld.global.v4.f32 {f0, f1, f2, f3}, [in]; st.global.v4.f32 [out], {f0, f1, f2, f3};\n"
      "mov.f32 f4, 0f3F800000; mov.f32 f5, 0f40000000; mov.f32 f6, 0f40400000; mov.f32 f7, 0f40800000;\n";
  // The input's small integers are subnormal floats, which f32 adds in global memory flush.
  CHECK(first(run(load + "atom.global.add.v4.f32 {f0, f1, f2, f3}, [out], {f4, f5, f6, f7}; st.global.v4.f32 "
                         "[out+16], {f0, f1, f2, f3};"),
              8) == std::vector<U32>{0x3f800000, 0x40000000, 0x40400000, 0x40800000, 1, 2, 3, 4});
  CHECK(first(run("mov.f32 f4, 0f3F800000; mov.f32 f5, 0f40000000; red.global.add.v2.f32 [out+8], {f4, f5}; "
                  "red.global.add.v2.f32 [out+8], {f4, f4};"),
              4) == std::vector<U32>{0, 0, 0x40000000, 0x40400000});
  CHECK(first(run("mov.u32 w0, 0x3c004000; mov.u32 w1, 0x42004400; atom.global.add.noftz.v2.f16x2 {w2, w3}, "
                  "[out], {w0, w1};\n"
                  "atom.global.max.noftz.v2.f16x2 {w2, w3}, [out], {w1, w0}; st.global.v2.u32 [out+8], {w2, "
                  "w3};"),
              4) == std::vector<U32>{0x42004400, 0x42004400, 0x3c004000, 0x42004400});
  CHECK(first(run("mov.b16 h0, 0x3f80; mov.b16 h1, 0x4000; red.global.add.noftz.v4.bf16 [out], {h0, h1, h0, "
                  "h1};\n"
                  "red.global.min.noftz.v4.bf16 [out], {h0, h0, h1, h1};"),
              2) == std::vector<U32>{0x3f803f80, 0x40003f80});
  CHECK(first(run("mov.b16 h0, 0x3c00; red.global.add.noftz.v8.f16 [out], {h0, h0, h0, h0, h0, h0, h0, h0};"),
              5) == std::vector<U32>{0x3c003c00, 0x3c003c00, 0x3c003c00, 0x3c003c00, 0});
}

TEST_CASE("128 bits are exchanged and compared as one") {
  const std::string load = "ld.global.b128 q0, [in]; ld.global.b128 q1, [in+16]; st.global.b128 [out], q0;\n";
  CHECK(first(run(load + "atom.global.exch.b128 q2, [out], q1; st.global.b128 [out+16], q2;"), 8) ==
        std::vector<U32>{5, 6, 7, 8, 1, 2, 3, 4});
  CHECK(first(run(load + "atom.global.cas.b128 q2, [out], q0, q1; st.global.b128 [out+16], q2;"), 8) ==
        std::vector<U32>{5, 6, 7, 8, 1, 2, 3, 4});
  CHECK(first(run(load + "atom.global.cas.b128 q2, [out], q1, q1; st.global.b128 [out+16], q2;"), 8) ==
        std::vector<U32>{1, 2, 3, 4, 1, 2, 3, 4});
  CHECK(first(run("ld.global.b128 q0, [in]; ld.global.b128 q1, [in+16]; st.shared.b128 [buf], q0;\n"
                  "atom.shared.exch.b128 q2, [buf], q1; ld.shared.b128 q3, [buf]; st.global.b128 [out], q3;"),
              4) == std::vector<U32>{5, 6, 7, 8});
}

TEST_CASE("Additions of floats keep subnormals in shared memory and flush them in global memory") {
  const std::string add = "mov.u32 w0, 3; mov.b32 f0, w0; ";
  CHECK(run(add + "mov.u32 w1, 5; st.global.u32 [out], w1; red.global.add.f32 [out], f0;")[0] == 0);
  CHECK(run(add + "mov.u32 w1, 5; st.shared.u32 [buf], w1; red.shared.add.f32 [buf], f0; ld.shared.u32 w2, "
                  "[buf]; st.global.u32 [out], w2;")[0] == 8);
}

TEST_CASE("What lies outside the supported memory instructions is refused with its line") {
  for (const char* instruction :
       {"multimem.ld_reduce.relaxed.sys.global.add.f32 f0, [in];",
        "multimem.red.relaxed.sys.global.add.f32 [in], f0;",
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [in], w0, [in];",
        "red.async.relaxed.cluster.global.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [in], w0, "
        "[in];",
        "atom.global.min.f32 f0, [in], f0;", "atom.global.add.v2.u32 {w0, w1}, [in], {w0, w1};",
        "atom.shared.add.v2.f32 {f0, f1}, [in], {f0, f1};", "tex.1d.v4.f32.s32 {f0, f1, f2, f3}, [in, {w0}];",
        "wmma.load.a.sync.aligned.row.m16n16k16.f16 {w0, w0, w0, w0, w0, w0, w0, w0}, [in], 16;",
        "ld.global.v8.u64 {x0, x1, x2, x3, x0, x1, x2, x3}, [in];", "vadd.s32.s32.s32 w0, w0, w0;",
        "clusterlaunchcontrol.try_cancel.async.b128 [in], [in];",
        "tensormap.replace.tile.rank.global.b1024.b32 [in], 1;"}) {
    CAPTURE(instruction);
    CHECK_THROWS_WITH(
        require_modelled(kernel_text({"pa"},
                                     std::string(".reg .u64 in, x<4>; .reg .u32 w<2>; .reg .f32 f<4>;\n") +
                                         instruction + "\nret;",
                                     "", "sm_100"),
                         100),
        Catch::Matchers::Contains("PTX line 8"));
  }
}

}  // namespace kerncast::simulator::testing
