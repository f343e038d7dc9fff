#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulator/ptx/module/requirements.hpp"
#include "tests/simulator/kernel_runner.hpp"

// Checks what each form needs of its module's .target and .version, against ptxas of CUDA 13.0.
namespace kerncast::simulator {

namespace {

using Catch::Matchers::Contains;

/// Targets without a suffix, and what .version each needs.
struct Target {
  int sm;
  int version;
};
constexpr std::array<Target, 21> targets{{{30, 30},  {32, 40},  {35, 31}, {50, 40}, {52, 41},  {53, 42},
                                          {60, 50},  {61, 50},  {70, 60}, {72, 61}, {75, 63},  {80, 70},
                                          {86, 71},  {87, 74},  {89, 78}, {90, 78}, {100, 86}, {103, 88},
                                          {110, 90}, {120, 87}, {121, 88}}};
constexpr std::array versions{30, 31, 32, 40, 41, 42, 43, 50, 60, 61, 62, 63, 64, 65, 70, 71, 72,
                              73, 74, 75, 76, 77, 78, 80, 81, 82, 83, 84, 85, 86, 87, 88, 90};

Target below(int sm) {
  Target found{20, 20};
  for (const Target& target : targets) {
    if (target.sm < sm) {
      found = target;
    }
  }
  return found;
}

int version_below(int version) {
  int found = 20;
  for (const int known : versions) {
    found = known < version ? known : found;
  }
  return found;
}

int own_version(int sm) {
  for (const Target& target : targets) {
    if (target.sm == sm) {
      return target.version;
    }
  }
  return 0;
}

std::string dotted(int version) {
  return fmt::format("{}.{}", version / 10, version % 10);
}

/// The decoder's message for `body` in a module of `target` and `version`, or "" when it decodes.
std::string refusal(const std::string& body, const std::string& target, int version,
                    const std::string& directives = "") {
  const std::string text = fmt::format(
      ".version {}\n.target {}\n.address_size 64\n.visible .entry k(.param .u64 px) {}\n{{\n.reg .b8 e<2>; "
      ".reg "
      ".b16 h<4>; .reg .b32 r<10>; .reg .b64 l<9>; .reg .f32 f<9>; .reg .f64 g<4>; .reg .pred "
      "p<4>;\n{}\n}}\n",
      dotted(version), target, directives, body);
  Memory memory;
  try {
    Module::decode(text, 121, memory, 0);
  } catch (const DecodeError& error) {
    return error.what();
  }
  return "";
}

/// The word that a message must name: the opcode, or for a block the type of register that it begins with.
std::string subject_of(const std::string& body) {
  return body.starts_with("{ .reg") ? "b128" : body.substr(0, body.find_first_of(" ;"));
}

struct Form {
  const char* text;
  int sm;       ///< the first .target that has it
  int version;  ///< the first .version
};

const std::vector<Form> all_forms{
    // Arithmetic.
    {"add.f16 h0, h1, h2;", 53, 42},
    {"fma.rn.f16x2 r0, r1, r2, r3;", 53, 42},
    {"add.bf16 h0, h1, h2;", 90, 78},
    {"mul.bf16x2 r0, r1, r2;", 90, 78},
    {"fma.rn.bf16 h0, h1, h2, h3;", 80, 70},
    {"fma.rn.relu.f16 h0, h1, h2, h3;", 80, 70},
    {"mul.rn.f32x2 l0, l1, l2;", 100, 86},
    {"add.f32.f16 f0, h0, f1;", 100, 86},
    {"fma.rn.f32.bf16 f0, h0, h1, f1;", 100, 86},
    {"add.u16x2 r0, r1, r2;", 90, 80},
    {"min.s16x2 r0, r1, r2;", 90, 80},
    {"max.relu.s32 r0, r1, r2;", 90, 80},
    {"min.f16 h0, h1, h2;", 80, 70},
    {"max.bf16x2 r0, r1, r2;", 80, 70},
    {"min.NaN.f32 f0, f1, f2;", 80, 70},
    {"min.xorsign.abs.f32 f0, f1, f2;", 86, 72},
    {"max.f32 f0, f1, f2, f3;", 100, 88},
    {"abs.f16 h0, h1;", 53, 65},
    {"neg.f16x2 r0, r1;", 53, 60},
    {"neg.bf16 h0, h1;", 80, 70},
    {"add.cc.u64 l0, l1, l2;", 30, 43},
    {"rsqrt.approx.ftz.f64 g0, g1;", 30, 40},
    {"ex2.approx.f16 h0, h1;", 75, 70},
    {"ex2.approx.ftz.bf16 h0, h1;", 90, 78},
    {"tanh.approx.f32 f0, f1;", 75, 70},
    {"tanh.approx.bf16x2 r0, r1;", 90, 78},
    {"dp4a.u32.u32 r0, r1, r2, r3;", 61, 50},
    // Bits.
    {"bmsk.clamp.b32 r0, r1, r2;", 70, 76},
    {"szext.wrap.s32 r0, r1, r2;", 70, 76},
    {"shf.l.wrap.b32 r0, r1, r2, r3;", 32, 31},
    {"lop3.b32 r0, r1, r2, r3, 7;", 50, 43},
    {"lop3.or.b32 r0|p0, r1, r2, r3, 7, p1;", 70, 82},
    {"fns.b32 r0, r1, r2, r3;", 30, 60},
    // Comparisons.
    {"setp.lt.f16 p0, h0, h1;", 53, 42},
    {"set.eq.f16.u32 h0, r0, r1;", 53, 42},
    {"set.eq.u32.f16 r0, h0, h1;", 53, 65},
    {"setp.lt.bf16 p0, h0, h1;", 90, 78},
    {"set.eq.bf16x2.bf16x2 r0, r1, r2;", 90, 78},
    // Conversions.
    {"cvt.rn.relu.f16.f32 h0, f0;", 80, 70},
    {"cvt.rn.bf16.f32 h0, f0;", 80, 70},
    {"cvt.rn.f16x2.f32 r0, f0, f1;", 80, 70},
    {"cvt.f32.bf16 f0, h0;", 80, 71},
    {"cvt.ftz.f32.bf16 f0, h0;", 90, 78},
    {"cvt.rn.bf16.u32 h0, r0;", 90, 78},
    {"cvt.rzi.s32.bf16 r0, h0;", 90, 78},
    {"cvt.rna.tf32.f32 r0, f0;", 80, 70},
    {"cvt.rn.tf32.f32 r0, f0;", 90, 78},
    {"cvt.rn.satfinite.tf32.f32 r0, f0;", 100, 86},
    {"cvt.rn.satfinite.f16.f32 h0, f0;", 70, 81},
    {"cvt.rn.satfinite.e4m3x2.f32 h0, f0, f1;", 89, 81},
    {"cvt.rn.f16x2.e5m2x2 r0, h0;", 89, 81},
    {"cvt.pack.sat.u16.s32 r0, r1, r2;", 72, 65},
    {"cvta.to.param.u64 l0, l1;", 70, 77},
    {"isspacep.const p0, l0;", 30, 31},
    // Memory.
    {"ld.shared::cluster.u32 r0, [l0];", 90, 78},
    {"ld.shared::cta.u32 r0, [l0];", 30, 78},
    {"ld.param::entry.u64 l0, [px];", 30, 83},
    {"ld.relaxed.cluster.global.u32 r0, [l0];", 90, 78},
    {"ld.relaxed.gpu.global.u32 r0, [l0];", 70, 60},
    {"st.weak.global.u32 [l0], r0;", 70, 60},
    {"ld.mmio.relaxed.sys.global.u32 r0, [l0];", 70, 82},
    {"st.global.L2::cache_hint.u32 [l0], r0, l1;", 80, 74},
    {"ld.global.L2::128B.u32 r0, [l0];", 75, 74},
    {"ld.global.L2::256B.u32 r0, [l0];", 80, 74},
    {"ld.global.L1::no_allocate.u32 r0, [l0];", 70, 74},
    {"ld.global.v8.f32 {f0, f1, f2, f3, f4, f5, f6, f7}, [l0];", 100, 88},
    {"st.global.v4.b64 [l0], {l1, l2, l3, l4};", 100, 88},
    {"{ .reg .b128 q; ld.global.b128 q, [l0]; }", 70, 83},
    {"{ .reg .b128 q; ld.relaxed.sys.global.b128 q, [l0]; }", 70, 84},
    {"ld.global.nc.u32 r0, [l0];", 32, 31},
    {"atom.gpu.global.add.u32 r0, [l0], r1;", 60, 50},
    {"red.global.add.f64 [l0], g0;", 60, 50},
    {"atom.global.max.u64 l1, [l0], l2;", 32, 31},
    {"red.global.add.noftz.f16x2 [l0], r0;", 60, 62},
    {"atom.global.add.noftz.f16 h0, [l0], h1;", 70, 63},
    {"atom.global.add.noftz.bf16x2 r0, [l0], r1;", 90, 78},
    {"red.global.add.v2.f32 [l0], {f0, f1};", 90, 81},
    {"atom.global.cas.b16 h0, [l0], h1, h2;", 70, 63},
    {"prefetch.global.L2::evict_last [l0];", 80, 74},
    {"discard.global.L2 [l0], 128;", 80, 74},
    {"createpolicy.fractional.L2::evict_last.b64 l0, 0.5;", 80, 74},
    {"alloca.u64 l0, l1;", 52, 73},
    // Asynchronous copies and their barriers.
    {"cp.async.ca.shared.global [l0], [l1], 4;", 80, 70},
    {"cp.async.ca.shared.global [l0], [l1], 4, p0;", 80, 75},
    {"cp.async.wait_all;", 80, 70},
    {"cp.async.mbarrier.arrive.shared::cta.b64 [l0];", 80, 78},
    {"cp.async.bulk.commit_group;", 90, 80},
    {"cp.async.bulk.global.shared::cta.bulk_group [l0], [l1], 16;", 90, 80},
    {"cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [l0], [l1], 16, [l2];", 90, 86},
    {"mbarrier.init.shared.b64 [l0], 1;", 80, 70},
    {"mbarrier.test_wait.parity.shared.b64 p0, [l0], 0;", 80, 71},
    {"mbarrier.try_wait.shared.b64 p0, [l0], l1;", 90, 78},
    {"mbarrier.arrive.shared.b64 l1, [l0], 2;", 90, 78},
    {"mbarrier.arrive.shared.b64 _, [l0];", 80, 71},
    {"mbarrier.arrive.noComplete.shared.b64 _, [l0], 2;", 80, 71},
    {"mbarrier.arrive.shared::cluster.b64 _, [l0];", 90, 80},
    {"mbarrier.arrive.expect_tx.shared.b64 l1, [l0], 16;", 90, 80},
    {"mbarrier.arrive.release.cta.shared.b64 l1, [l0];", 80, 80},
    {"mbarrier.arrive.relaxed.cta.shared.b64 l1, [l0];", 90, 86},
    // Control.
    {"shfl.sync.up.b32 r0, r1, 1, 0, -1;", 30, 60},
    {"vote.sync.all.pred p0, p1, -1;", 30, 60},
    {"barrier.sync 0;", 30, 60},
    {"bar.warp.sync -1;", 30, 60},
    {"bar.cta.sync 0;", 30, 78},
    {"match.any.sync.b32 r0, r1, -1;", 70, 60},
    {"activemask.b32 r0;", 30, 62},
    {"redux.sync.add.u32 r0, r1, -1;", 80, 70},
    {"elect.sync _|p0, -1;", 90, 80},
    {"nanosleep.u32 20;", 70, 62},
    {"griddepcontrol.wait;", 90, 78},
    {"mov.u32 r0, %clusterid.x;", 90, 78},
    {"mov.u32 r0, %aggr_smem_size;", 90, 81},
    {"mov.u32 r0, %total_smem_size;", 30, 41},
    {"mov.u32 r0, %clock_hi;", 30, 50},
    {"mov.u64 l0, %globaltimer;", 30, 31},
    // Fences.
    {"fence.acq_rel.gpu;", 70, 60},
    {"fence.proxy.alias;", 70, 75},
    {"membar.proxy.alias;", 60, 75},
    {"fence.proxy.async;", 90, 80},
    {"fence.mbarrier_init.release.cluster;", 90, 80},
    {"fence.acquire.sync_restrict::shared::cluster.cluster;", 90, 86},
    // Matrices.
    {"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {r0}, [l0];", 75, 65},
    {"stmatrix.sync.aligned.m8n8.x1.shared.b16 [l0], {r0};", 90, 78},
    {"movmatrix.sync.aligned.m8n8.trans.b16 r0, r1;", 75, 78},
    {"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {f0, f1, f2, f3}, {r0, r1}, {r2}, {f4, f5, f6, f7};",
     75, 65},
    {"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {f0, f1, f2, f3}, {r0, r1}, {r2}, {f4, f5, f6, f7};",
     80, 70},
    {"mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {r0, r1, r2, r3}, {r4, r5}, {r6}, {r0, r1, r2, r3};",
     80, 70},
    {"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {f0, f1, f2, f3}, {r0, r1, r2, r3}, {r4, r5}, {f4, "
     "f5, f6, "
     "f7};",
     89, 84},
    {"mma.sync.aligned.m16n8k16.row.col.f32.e5m2.e4m3.f32 {f0, f1, f2, f3}, {r0, r1}, {r4}, {f4, f5, f6, "
     "f7};",
     89, 87},
};

}  // namespace

TEST_CASE("a form is taken from its .target on and refused just below, with what it needs") {
  for (const Form& form : all_forms) {
    INFO(form.text);
    const int version = std::max(form.version, own_version(form.sm));
    CHECK(refusal(form.text, fmt::format("sm_{}", form.sm), version) == "");
    CHECK(refusal(form.text, "sm_121", 90) == "");
    if (form.sm > 30) {
      const Target lower = below(form.sm);
      CHECK_THAT(refusal(form.text, fmt::format("sm_{}", lower.sm), 90),
                 Contains("PTX line 7") &&
                     Contains(fmt::format("needs .target sm_{} or higher, and the module's is sm_{}", form.sm,
                                          lower.sm)));
    }
  }
}

TEST_CASE("a form is refused just below its .version, with what it needs") {
  std::size_t checked = 0;
  for (const Form& form : all_forms) {
    if (form.version <= own_version(form.sm)) {
      continue;
    }
    INFO(form.text);
    const int lower = version_below(form.version);
    CHECK_THAT(refusal(form.text, fmt::format("sm_{}", form.sm), lower),
               Contains(subject_of(form.text)) && Contains("PTX line 7") &&
                   Contains(fmt::format("needs .version {} or later, and the module's is {}",
                                        dotted(form.version), dotted(lower))));
    ++checked;
  }
  CHECK(checked > 50);
}

TEST_CASE("neighbours of a form that needs a newer target are taken by older ones") {
  const std::vector<Form> forms{
      {"min.f32 f0, f1, f2;", 30, 30},
      {"min.s32 r0, r1, r2;", 30, 30},
      {"max.f16 h0, h1, h2;", 80, 70},
      {"add.u32 r0, r1, r2;", 30, 30},
      {"addc.u64 l0, l1, l2;", 30, 30},
      {"set.eq.f16.f16 h0, h1, h2;", 53, 42},
      {"cvt.rn.f16.f32 h0, f0;", 30, 30},
      {"cvt.rn.ftz.bf16.f32 h0, f0;", 80, 70},
      {"ld.global.v4.b32 {r0, r1, r2, r3}, [l0];", 30, 30},
      {"ld.volatile.global.u32 r0, [l0];", 30, 30},
      {"atom.global.add.u64 l1, [l0], l2;", 30, 30},
      {"atom.global.cas.b32 r0, [l0], r1, r2;", 30, 30},
      {"cp.async.ca.shared::cta.global [l0], [l1], 4;", 80, 70},
      {"cp.async.ca.shared.global [l0], [l1], 4, r0;", 80, 70},
      {"mbarrier.arrive.noComplete.shared.b64 l1, [l0], 2;", 80, 70},
      {"mbarrier.arrive_drop.shared.b64 _, [l0];", 80, 70},
      {"mbarrier.test_wait.shared.b64 p0, [l0], l1;", 80, 70},
      {"cvt.rn.satfinite.e4m3x2.f32 h0, f0, f1;", 90, 78},
      {"bar.sync 0;", 30, 30},
      {"membar.gl;", 30, 30},
      {"mov.u32 r0, %tid.x;", 30, 30},
      {"prefetch.global.L2 [l0];", 30, 30},
  };
  for (const Form& form : forms) {
    INFO(form.text);
    CHECK(refusal(form.text, fmt::format("sm_{}", form.sm), form.version) == "");
  }
}

TEST_CASE("forms of one architecture or family need its target") {
  const auto on = [](const char* body, const std::string& target, int version = 90) {
    Memory memory;
    const int sm = std::stoi(target.substr(3));
    const std::string text = fmt::format(
        ".version {}\n.target {}\n.address_size 64\n.visible .entry k()\n{{\n.reg .b8 e<2>; .reg .b16 h<4>; "
        ".reg .b32 "
        "r<10>; .reg .f32 f<9>;\n{}\n}}\n",
        dotted(version), target, body);
    try {
      Module::decode(text, sm, memory, 0);
    } catch (const DecodeError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const char* const narrow = "cvt.rn.satfinite.e2m1x2.f32 e0, f0, f1;";
  const char* const powers = "cvt.rz.ue8m0x2.f32 h0, f0, f1;";
  const char* const reduction = "redux.sync.min.f32 f0, f1, -1;";
  const char* const registers = "setmaxnreg.inc.sync.aligned.u32 64;";
  const char* const matrix =
      "mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e4m3.f32 {f0, f1, f2, f3}, {r0, r1, r2, r3}, "
      "{r4, r5}, "
      "{f4, f5, f6, f7};";
  for (const char* const specific : {narrow, powers, matrix}) {
    INFO(specific);
    for (const char* const target : {"sm_100a", "sm_100f", "sm_103a", "sm_110f", "sm_120a", "sm_121f"}) {
      CHECK(on(specific, target) == "");
    }
    for (const std::string target : {"sm_90a", "sm_100", "sm_103", "sm_120"}) {
      CHECK_THAT(on(specific, target), Contains("PTX line 7") &&
                                           Contains("needs a .target such as sm_100a") &&
                                           Contains("the module's is " + target));
    }
    CHECK(on(specific, "sm_100a", 86) == "");
  }
  for (const char* const target : {"sm_90a", "sm_100a", "sm_120f"}) {
    CHECK(on(registers, target) == "");
  }
  CHECK_THAT(on(registers, "sm_90"), Contains("needs a .target such as sm_90a"));
  CHECK_THAT(on(registers, "sm_120"), Contains("needs a .target such as sm_90a"));
  for (const char* const target : {"sm_100a", "sm_100f", "sm_103a", "sm_103f"}) {
    CHECK(on(reduction, target) == "");
  }
  for (const char* const target : {"sm_90a", "sm_100", "sm_110a", "sm_120a"}) {
    CHECK_THAT(on(reduction, target), Contains("sm_100f or another of their family"));
  }
}

TEST_CASE("targets, registers and directives need their .version too") {
  CHECK(refusal("ret;", "sm_90", 78) == "");
  CHECK_THAT(refusal("ret;", "sm_90", 77),
             Contains("PTX line 2") && Contains("sm_90 needs .version 7.8 or later"));
  CHECK_THAT(refusal("ret;", "sm_121f", 87), Contains("needs .version 8.8"));
  CHECK_THAT(refusal("ret;", "sm_80f", 90), Contains("unknown .target 'sm_80f'"));
  CHECK(version_of_target(100, 'f') == 88);
  CHECK(version_of_target(90, 'f') == std::nullopt);
  CHECK(version_of_target(999, 0) == 0);
  CHECK(refusal("ret;", "sm_90", 99) == "");
  CHECK(refusal(".reg .b128 q;", "sm_70", 83) == "");
  CHECK_THAT(refusal(".reg .b128 q;", "sm_62", 83), Contains("a register of .b128 needs .target sm_70"));
  CHECK_THAT(refusal(".reg .b128 q;", "sm_70", 82), Contains("needs .version 8.3"));
  CHECK(refusal(".reg .f16x2 x;", "sm_53", 42) == "");
  CHECK_THAT(refusal(".reg .f16x2 x;", "sm_52", 42), Contains("needs .target sm_53"));
  CHECK(refusal("ret;", "sm_90", 78, ".maxclusterrank 4") == "");
  CHECK_THAT(refusal("ret;", "sm_89", 78, ".maxclusterrank 4"),
             Contains(".maxclusterrank needs .target sm_90"));
  CHECK_THAT(refusal("ret;", "sm_90", 88, ".blocksareclusters"),
             Contains(".blocksareclusters needs .version 9.0"));
}

}  // namespace kerncast::simulator
