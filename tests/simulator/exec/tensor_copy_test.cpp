#include <catch2/catch.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/simulator/machine/tensor_map.hpp"
#include "tests/simulator/kernel_runner.hpp"

// The mistakes that copies by tensor maps report. tests/simulator/driver/tensor_map_test.cpp has what they
// copy.
namespace kerncast::simulator::testing {

namespace {

using Catch::Matchers::Contains;

constexpr std::uint64_t elements = std::uint64_t{64} * 64;

/// A map of a matrix of 64 rows of 64 16-bit elements, and its boxes of 8 rows of 32.
TensorMap map_of(const std::uint16_t* at, std::uint8_t span = 4) {
  TensorMap map;
  map.marked = TensorMap::mark;
  map.address = reinterpret_cast<std::uint64_t>(at);
  map.stride[0] = 2;
  map.stride[1] = 128;
  map.last[0] = map.last[1] = 63;
  map.box[0] = 32;
  map.box[1] = 8;
  map.step[0] = map.step[1] = 1;
  map.rank = 2;
  map.element_bytes = 2;
  map.span = span;
  return map;
}

struct Copy {
  std::string body;
  std::uint8_t span = 4;
  unsigned threads = 1;
  bool checks = true;
  std::uint64_t mark = TensorMap::mark;
};

/// Runs `body` after the first thread has made the mbarrier b for one arrival. The box is at s.
Fault run(const Copy& copy) {
  const std::string text =
      ".shared .align 8 .b64 bar; .reg .u64 m, x, y, in; .reg .u32 t, s, b, v; .reg .pred p, q;\n"
      "ld.param.u64 in, [pm]; mov.u64 m, in; mov.u32 t, %tid.x; mov.u32 s, buf; mov.u32 b, bar;\n"
      "setp.eq.u32 q, t, 0; @q mbarrier.init.shared::cta.b64 [b], 1; bar.sync 0;\n" +
      copy.body + "\nret;";
  Runner runner(kernel_text({"pm"}, text, ".extern .shared .align 1024 .b8 buf[];", "sm_90a"));
  runner.checks = copy.checks;
  TensorMap map = map_of(runner.zeros<std::uint16_t>(elements), copy.span);
  map.marked = copy.mark;
  return runner.run("k", {1, 1, 1}, {copy.threads, 1, 1}, 8192, runner.upload(std::vector<TensorMap>{map}));
}

const std::string expect = "@q mbarrier.arrive.expect_tx.shared::cta.b64 _, [b], 512;\n";
const std::string load =
    "@q cp.async.bulk.tensor.2d.shared::cta.global.tile.mbarrier::complete_tx::bytes [s], [m, {8, 8}], "
    "[b];\n";
const std::string wait =
    "wait: mbarrier.try_wait.parity.shared::cta.b64 p, [b], 0; @!p bra wait;\n"
    "ld.shared.u32 v, [s+508];\n";

void check_fault(const Copy& copy, FaultKind kind, const std::string& what) {
  const Fault fault = run(copy);
  CHECK(fault.kind == kind);
  CHECK_THAT(fault.message, Contains(what) && Contains("PTX line"));
}

}  // namespace

TEST_CASE("a copy by a tensor map completes the bytes of its box") {
  CHECK(run({expect + load + wait}).message.empty());
  CHECK(run({expect + load + wait, 1}).message.empty());
  // Elements beyond the tensor are zeros and count.
  CHECK(run({expect +
             "@q cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [s], [m, {60, "
             "-4}], "
             "[b];\n" +
             wait})
            .message.empty());
}

TEST_CASE("a phase to which more bytes come than expected is reported") {
  const std::string few = "@q mbarrier.arrive.expect_tx.shared::cta.b64 _, [b], 256;\n";
  check_fault({few + load}, FaultKind::violation, "256 bytes more than expected");
  check_fault({load + "@q mbarrier.arrive.shared::cta.b64 _, [b];\n"}, FaultKind::violation,
              "512 bytes more than expected");
  Copy unchecked{few + load};
  unchecked.checks = false;
  CHECK(run(unchecked).message.empty());
}

TEST_CASE("a phase for which too few bytes come is reported where all threads wait for it") {
  Copy many{"@q mbarrier.arrive.expect_tx.shared::cta.b64 _, [b], 768;\n" + load + wait};
  many.threads = 64;
  check_fault(many, FaultKind::deadlock, "waits for an mbarrier that lacks 0 arrivals and 256 bytes");
  Copy absent{load + wait};
  check_fault(absent, FaultKind::deadlock, "lacks 1 arrivals and -512 bytes");
  // A wait of some while is none: the second warp arrives late.
  Copy late{
      "setp.ge.u32 q, t, 32; @!q bra wait; mov.u32 v, 0; spin: add.u32 v, v, 1; setp.lt.u32 p, v, 300000;\n"
      "@p bra spin; setp.eq.u32 q, t, 32; @q mbarrier.arrive.expect_tx.shared::cta.b64 _, [b], 512;\n" +
      load + "\n" + wait};
  late.threads = 64;
  CHECK(run(late).message.empty());
}

TEST_CASE("a copy needs a tensor map of its dimensions, and places for the box and the barrier") {
  Copy foreign{expect + load};
  foreign.mark = 1;
  check_fault(foreign, FaultKind::illegal_instruction,
              "a tensor map that cuTensorMapEncodeTiled has not made");
  check_fault({expect +
               "cp.async.bulk.tensor.1d.shared::cta.global.mbarrier::complete_tx::bytes [s], [m, {8}], [b];"},
              FaultKind::illegal_instruction, "another number of dimensions");
  check_fault({"add.u64 m, m, 16;\n" + expect + load}, FaultKind::misaligned_address, "tensor map read");
  check_fault({"mov.u64 m, 0;\n" + expect + load}, FaultKind::illegal_address, "tensor map read");
  check_fault({"add.u32 s, s, 16;\n" + expect + load}, FaultKind::misaligned_address,
              "cp.async.bulk.tensor write");
  check_fault({"add.u32 s, s, 8192;\n" + expect + load}, FaultKind::illegal_address,
              "cp.async.bulk.tensor write");
  check_fault({expect + "add.u32 b, b, 4;\n" + load}, FaultKind::misaligned_address, "mbarrier access");
  check_fault({"@q mbarrier.inval.shared::cta.b64 [b];\n" + load}, FaultKind::illegal_instruction,
              "an mbarrier that is not initialised");
}

TEST_CASE("the accesses of a copy by a tensor map are checked like others") {
  // Thread 0 reads what thread 32 copies without waiting for it.
  Copy racing{"setp.eq.u32 q, t, 32;\n" + expect + load +
              "setp.eq.u32 p, t, 0; @p ld.shared.u32 v, [s]; @p st.shared.u32 [s+4096], v;"};
  racing.threads = 64;
  check_fault(racing, FaultKind::violation, "in a race");
  const std::string write = "@q st.shared.u32 [s], t;\n";
  const std::string proxy = "fence.proxy.async.shared::cta;\n";
  const std::string store = "@q cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [m, {0, 0}], [s];";
  check_fault({write + store}, FaultKind::violation, "no fence.proxy.async comes after the write");
  check_fault({write + proxy + store}, FaultKind::violation, "never written");
}

TEST_CASE("a wgmma must read with the swizzle that a copy wrote with") {
  // Two boxes of 8 columns each for B; A is in registers. Only the descriptor's swizzle differs.
  const auto body = [](const std::string& descriptor) {
    return ".reg .f32 d<4>; .reg .b32 a; mov.b32 a, 0; mov.f32 d0, 0f00000000; mov.f32 d1, d0; mov.f32 d2, "
           "d0;\n"
           "mov.f32 d3, d0; shr.u32 v, s, 4; cvt.u64.u32 x, v; or.b64 x, x, " +
           descriptor + ";\n" + expect + load + wait +
           "bar.sync 0; wgmma.fence.sync.aligned;\n"
           "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {d0, d1, d2, d3}, {a, a, a, a}, x, 1, 1, 1, "
           "0;\n"
           "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;";
  };
  // Stride 512 bytes; mode 2 is the swizzle of 64 bytes, 1 that of 128.
  Copy copy{body("0x8000002000000000")};
  copy.threads = 128;
  CHECK(run(copy).message.empty());
  copy.body = body("0x4000004000000000");
  check_fault(copy, FaultKind::violation,
              "by a descriptor with a swizzle of 128 bytes, but it was written with a swizzle of 64 bytes");
  copy.body = body("0x0000002000080000");
  check_fault(copy, FaultKind::violation,
              "by a descriptor with no swizzle, but it was written with a swizzle of 64");
}

TEST_CASE("copies by tensor maps are refused where PTX has no such form") {
  const auto error_of = [](const std::string& body) -> std::string {
    try {
      require_modelled(
          kernel_text({"pm"}, ".reg .u64 m; .reg .u32 s, b; .reg .u16 h; .reg .f32 f;\n" + body + "\nret;",
                      "", "sm_90a"));
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  };
  const std::string to_shared =
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes ";
  CHECK(error_of(to_shared + "[s], [m, {s, b}], [b];").empty());
  CHECK(error_of("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group.L2::cache_hint [m, {s, 3}], [s], m;")
            .empty());
  CHECK(error_of("prefetch.param.tensormap [m]; prefetch.const.tensormap [m]; prefetch.tensormap [m];")
            .empty());
  CHECK(
      error_of(
          "fence.proxy.tensormap::generic.acquire.sys [m], 128; fence.proxy.tensormap::generic.release.cta;")
          .empty());
  const auto refused = [&](const std::string& body, const std::string& what) {
    INFO(body);
    CHECK_THAT(error_of(body), Contains(what));
  };
  refused(to_shared + "[s], [m, {s}], [b];", "a tensor map and 2 coordinates");
  refused(to_shared + "[s], [m], [b];", "a tensor map and 2 coordinates");
  refused(to_shared + "[s], [m, {s, f}], [b];", "needs .s32");
  refused(to_shared + "[s], [m, {s, h}], [b];", "coordinate 2");
  refused(to_shared + "[s], [m, {s, b}];", "needs 3");
  refused("cp.async.bulk.tensor.6d.global.shared::cta.bulk_group [m, {s, 3}], [s];", ".1d to .5d");
  refused("cp.async.bulk.tensor.2d.shared::cluster.global.bulk_group [m, {s, 3}], [s];",
          "copies from .global");
  refused("ld.global.u32 s, [m, {s}];", "coordinates");
  refused("fence.proxy.tensormap::generic.acquire.gpu [m], 64;", "128");
  refused("fence.proxy.tensormap::generic.acquire [m], 128;", "a scope");
  refused(
      "cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [s], [m, {s, s, "
      "s}], "
      "[b], {h};",
      "not modelled");
  refused("cp.reduce.async.bulk.tensor.1d.global.shared::cta.add.tile.bulk_group [m, {s}], [s];",
          "not modelled");
}

}  // namespace kerncast::simulator::testing
