#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

// Checks which registers serve for which operands, against the rules of ptxas of CUDA 13.0.
namespace kerncast::simulator {

namespace {

using Catch::Matchers::Contains;

/// The decoder's message for `body` in a kernel with two registers of every type, or "" when it decodes.
std::string refusal(const std::string& body) {
  std::string registers;
  for (const char* type : {"b8", "u8", "b16", "u16", "s16", "f16", "b32", "u32", "s32", "f32", "f16x2", "b64",
                           "u64", "s64", "f64", "b128"}) {
    registers += std::string(".reg .") + type + " " + type + "_<4>; ";
  }
  Memory memory;
  try {
    Module::decode(testing::kernel_text({"px"}, registers + ".reg .pred p<2>;\n" + body, "", "sm_100a"), 100,
                   memory, 0);
  } catch (const DecodeError& error) {
    return error.what();
  }
  return "";
}

struct Pair {
  const char* wrong;
  const char* why;
  const char* right;
};

const std::vector<Pair> pairs{
    // Integers serve for integers, bits for everything of their size, floats for themselves.
    {"add.f32 u32_0, f32_1, f32_2;", "'u32_0' is declared .u32, the instruction needs .f32",
     "add.f32 b32_0, f32_1, f32_2;"},
    {"add.f32 f32_0, s32_1, f32_2;", "'s32_1' is declared .s32, the instruction needs .f32",
     "add.f32 f32_0, b32_1, f32_2;"},
    {"add.u32 s32_0, f32_1, u32_2;", "'f32_1' is declared .f32, the instruction needs .u32",
     "add.u32 s32_0, b32_1, u32_2;"},
    {"mul.lo.s64 s64_0, f64_0, s64_1;", "declared .f64, the instruction needs .s64",
     "mul.lo.s64 u64_0, b64_0, s64_1;"},
    {"fma.rn.f64 f64_0, f64_1, u64_2, f64_3;", "declared .u64, the instruction needs .f64",
     "fma.rn.f64 f64_0, f64_1, b64_2, f64_3;"},
    {"and.b32 u32_0, f32_0, f64_0;", "64 bits", "and.b32 u32_0, f32_0, f16x2_0;"},
    {"bmsk.clamp.b32 f32_0, u32_1, u32_2;", "declared .f32, the instruction needs .u32",
     "bmsk.clamp.b32 s32_0, u32_1, b32_2;"},
    {"shl.b32 f32_0, f32_1, f32_2;", "declared .f32, the instruction needs .u32",
     "shl.b32 f32_0, f32_1, s32_2;"},
    {"selp.f32 f32_0, f32_1, u32_0, p0;", "declared .u32, the instruction needs .f32",
     "selp.b32 f32_0, f32_1, u32_0, p0;"},
    {"setp.lt.f32 p0, f32_0, u32_0;", "declared .u32, the instruction needs .f32",
     "setp.eq.b32 p0, f32_0, u32_0;"},
    {"mov.u32 u32_0, f32_0;", "declared .f32, the instruction needs .u32", "mov.b32 u32_0, f32_0;"},
    {"mov.u32 f32_0, %tid.x;", "declared .f32, the instruction needs .u32", "mov.b32 f32_0, %tid.x;"},
    {"mov.f64 f64_0, s64_0;", "declared .s64, the instruction needs .f64", "mov.f64 f64_0, b64_0;"},
    // Eight bits serve for what has eight only.
    {"add.u16 u16_0, u8_1, u16_2;", "'u8_1' is declared .u8, the instruction needs .u16",
     "add.u16 u16_0, b16_1, s16_2;"},
    {"cvt.rn.satfinite.e2m1x2.f32 b16_0, f32_0, f32_1;", "declared .b16, the instruction needs .e2m1x2",
     "cvt.rn.satfinite.e2m1x2.f32 b8_0, f32_0, f32_1;"},
    // Halves.
    {"add.f16 u16_0, f16_1, f16_2;", "declared .u16, the instruction needs .f16",
     "add.f16 b16_0, f16_1, f16_2;"},
    {"add.bf16 f16_0, b16_1, b16_2;", "declared .f16, the instruction needs .bf16",
     "add.bf16 b16_0, b16_1, b16_2;"},
    {"add.f16x2 u32_0, f16x2_1, b32_2;", "declared .u32, the instruction needs .f16x2",
     "add.f16x2 b32_0, f16x2_1, b32_2;"},
    {"fma.rn.bf16x2 f16x2_0, b32_1, b32_2, b32_3;", "declared .f16x2, the instruction needs .bf16x2",
     "fma.rn.bf16x2 b32_0, b32_1, b32_2, b32_3;"},
    {"add.f32 f32_0, f16x2_0, f32_1;", "declared .f16x2, the instruction needs .f32",
     "add.s32 s32_0, f16x2_0, u32_1;"},
    {"add.rn.f32x2 u64_0, b64_1, b64_2;", "declared .u64, the instruction needs .f32x2",
     "add.rn.f32x2 b64_0, b64_1, b64_2;"},
    {"add.u16x2 u32_0, b32_1, b32_2;", "declared .u32, the instruction needs .u16x2",
     "add.u16x2 f16x2_0, b32_1, b32_2;"},
    {"set.eq.bf16.f32 f16_0, f32_0, f32_1;", "declared .f16, the instruction needs .u16",
     "set.eq.bf16.f32 s16_0, f32_0, f32_1;"},
    {"add.f32.bf16 f32_0, f16_0, f32_1;", "declared .f16, the instruction needs .u16",
     "add.f32.bf16 f32_0, u16_0, f32_1;"},
    // Conversions: integers may be wider, by integers or bits.
    {"cvt.rzi.s32.f32 f32_0, f32_1;", "declared .f32, the instruction needs .s32",
     "cvt.rzi.s32.f32 b64_0, f32_1;"},
    {"cvt.u64.u32 f64_0, u32_0;", "declared .f64, the instruction needs .u64", "cvt.u64.u32 s64_0, u32_0;"},
    {"cvt.u8.u32 f32_0, u32_1;", "declared .f32, the instruction needs .u8", "cvt.u8.u32 u64_0, u32_1;"},
    {"cvt.rn.f32.s32 f32_0, f32_1;", "declared .f32, the instruction needs .s32",
     "cvt.rn.f32.s32 f32_0, s64_1;"},
    {"cvt.rn.f16x2.f32 u32_0, f32_0, f32_1;", "declared .u32, the instruction needs .f16x2",
     "cvt.rn.f16x2.f32 f16x2_0, f32_0, f32_1;"},
    {"cvt.rna.tf32.f32 f32_0, f32_1;", "declared .f32, the instruction needs .tf32",
     "cvt.rna.tf32.f32 b32_0, f32_1;"},
    // Memory: wider registers go by the same rule, and bits in memory to every register.
    {"ld.global.u32 f32_0, [u64_0];", "declared .f32, the instruction needs .u32",
     "ld.global.b32 f32_0, [u64_0];"},
    {"ld.global.f32 u32_0, [u64_0];", "declared .u32, the instruction needs .f32",
     "ld.global.f32 b32_0, [u64_0];"},
    {"ld.global.f32 u64_1, [u64_0];", "declared .u64, the instruction needs .f32",
     "ld.global.f32 b64_1, [u64_0];"},
    {"ld.global.u8 f32_0, [u64_0];", "declared .f32, the instruction needs .u8",
     "ld.global.b8 f32_0, [u64_0];"},
    {"st.global.s16 [u64_0], f16_0;", "declared .f16, the instruction needs .s16",
     "st.global.s16 [u64_0], u64_1;"},
    {"ld.param.u64 f64_0, [px];", "declared .f64, the instruction needs .u64", "ld.param.f64 f64_0, [px];"},
    {"ld.global.u32 u32_0, [f64_0];", "'f64_0' is declared .f64, an address needs integers or bits",
     "ld.global.u32 u32_0, [b64_0];"},
    {"prefetch.global.L2 [f64_0];", "an address needs integers or bits", "prefetch.global.L2 [s64_0];"},
    {"atom.global.add.f32 f32_0, [u64_0], u32_0;", "declared .u32, the instruction needs .f32",
     "atom.global.add.f32 f32_0, [u64_0], b32_0;"},
    {"red.global.add.u32 [u64_0], f32_0;", "declared .f32, the instruction needs .u32",
     "red.global.add.u32 [u64_0], s32_0;"},
    {"st.global.L2::cache_hint.u32 [u64_0], u32_0, f64_0;", "declared .f64, the instruction needs .u64",
     "st.global.L2::cache_hint.u32 [u64_0], u32_0, b64_0;"},
    // Vectors: two types count as bits, and integers serve for floats.
    {"ld.global.v2.u32 {f32_0, f32_1}, [u64_0];", "declared .f32, the instruction needs .u32",
     "ld.global.v2.u32 {b32_0, f32_1}, [u64_0];"},
    {"ld.global.v2.f32 {f16x2_0, f16x2_1}, [u64_0];", "declared .f16x2, the instruction needs .f32",
     "ld.global.v2.f32 {u32_0, s32_1}, [u64_0];"},
    {"ld.global.v2.b32 {u32_0, f32_1}, [u64_0];", "'f32_1' is declared .f32, which does not go beside .u32",
     "ld.global.v2.b32 {f32_0, f32_1}, [u64_0];"},
    {"st.global.v4.u32 [u64_0], {b32_0, u32_1, f32_2, f32_3};",
     "'f32_2' is declared .f32, which does not go beside .u32",
     "st.global.v4.f32 [u64_0], {u32_0, b32_1, f32_2, f32_3};"},
    {"mov.b64 {u32_0, f32_1}, b64_0;", "does not go beside .u32", "mov.b64 {u32_0, s32_1}, f64_0;"},
    {"mov.b64 b128_0, {b32_0, b32_1};", "declared .b128, the instruction needs .b64",
     "mov.b64 f64_0, {f32_0, b32_1};"},
    {"red.global.add.noftz.v2.bf16 [u64_0], {f16_0, f16_1};", "declared .f16, the instruction needs .bf16",
     "red.global.add.noftz.v2.bf16 [u64_0], {b16_0, f16_1};"},
    // Warps, barriers and matrices.
    {"shfl.sync.up.b32 f32_0, f32_1, 1, 0, f32_2;", "declared .f32, the instruction needs .u32",
     "shfl.sync.up.b32 f32_0, f32_1, 1, 0, u32_2;"},
    {"redux.sync.or.b32 f32_0, u32_1, -1;", "declared .f32, the instruction needs .u32",
     "redux.sync.or.b32 b32_0, u32_1, -1;"},
    {"vote.sync.ballot.b32 u32_0, p0, f32_0;", "declared .f32, the instruction needs .u32",
     "vote.sync.ballot.b32 f32_0, p0, s32_0;"},
    {"mbarrier.test_wait.shared.b64 p0, [u32_0], f64_0;", "declared .f64, the instruction needs .u64",
     "mbarrier.test_wait.shared.b64 p0, [u32_0], b64_0;"},
    {"mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {u32_0, u32_1}, {b32_0, b32_1}, {b32_2}, {b32_0, "
     "b32_1};",
     "declared .u32, the instruction needs .f16x2",
     "mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {f16x2_0, f16x2_1}, {b32_0, b32_1}, {b32_2}, {b32_0, "
     "b32_1};"},
    {"mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {f32_0, f32_1}, {b32_0}, {b32_1}, {s32_0, s32_1};",
     "declared .f32, the instruction needs .s32",
     "mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {s32_0, s32_1}, {b32_0}, {b32_1}, {u32_0, u32_1};"},
};

}  // namespace

TEST_CASE(
    "registers whose type does not go with the instruction are refused by name, and their neighbours taken") {
  for (const Pair& pair : pairs) {
    INFO(pair.wrong);
    const std::string wrong = pair.wrong;
    CHECK_THAT(refusal(wrong),
               Contains(pair.why) && Contains("PTX line 8") && Contains(wrong.substr(0, wrong.find(' '))));
    INFO(pair.right);
    CHECK(refusal(pair.right) == "");
  }
}

TEST_CASE("registers are declared with types of their own only") {
  for (const char* type : {"bf16", "bf16x2", "f32x2", "u16x2", "e4m3x2", "tf32"}) {
    INFO(type);
    CHECK_THAT(refusal(std::string(".reg .") + type + " odd;"), Contains("unknown register type"));
  }
  for (const char* type : {"s8", "s16", "f16", "f16x2", "f64", "b128", "pred"}) {
    INFO(type);
    CHECK(refusal(std::string(".reg .") + type + " even;") == "");
  }
}

}  // namespace kerncast::simulator
