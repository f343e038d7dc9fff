#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

using namespace kerncast::simulator;           // NOLINT(google-build-using-namespace)
using namespace kerncast::simulator::testing;  // NOLINT(google-build-using-namespace)
using Catch::Matchers::Contains;

namespace {

/// The decoder's message for `body` in a kernel with parameter px, that for the kernel if the module is taken
/// without it, or "" when it decodes.
std::string refusal(const std::string& body, const std::string& before = "",
                    const std::string& target = "sm_90", int sm = 90) {
  Memory memory;
  try {
    const auto module = Module::decode(
        kernel_text(
            {"px"},
            ".reg .b16 h<4>; .reg .b32 r<10>; .reg .b64 l<4>; .reg .f32 f<4>; .reg .pred p<4>;\n" + body,
            before, target),
        sm, memory, 0);
    return module->kernels()[static_cast<std::size_t>(module->find_kernel("k"))].refusal;
  } catch (const DecodeError& error) {
    CHECK(error.line > 0);
    return error.what();
  }
}

/// Decoding must end in a module or a DecodeError.
bool decodes(const std::string& text) {
  Memory memory;
  try {
    Module::decode(text, 90, memory, 0);
    return true;
  } catch (const DecodeError&) {
    return false;
  }
}

}  // namespace

TEST_CASE("kernel information") {
  Memory memory;
  const auto module = Module::decode(
      ".version 8.0\n.target sm_80\n.address_size 64\n"
      ".visible .entry first(.param .u64 .ptr .global .align 16 a, .param .b8 b, .param .align 16 .b8 c[20], "
      ".param .f32 d)\n"
      ".maxntid 128, 2, 1\n.minnctapersm 2\n{ .reg .b32 %r<5>; .local .align 8 .b8 l[24]; .shared .align 16 "
      ".b8 s[100]; ret; }\n"
      ".entry second() { ret; }",
      90, memory, 0);
  REQUIRE(module->kernels().size() == 2);
  const KernelInfo& first = module->kernels()[0];
  CHECK(first.name == "first");
  REQUIRE(first.parameters.size() == 4);
  CHECK(first.parameters[1].offset == 8);
  CHECK(first.parameters[2].offset == 16);
  CHECK(first.parameters[2].size == 20);
  CHECK(first.parameters[3].offset == 36);
  CHECK(first.parameter_bytes == 40);
  CHECK(first.max_threads_per_block == 256);
  CHECK(first.static_shared_bytes == 100);
  CHECK(first.local_bytes >= 24);
  CHECK(first.virtual_registers >= 5);
  CHECK(module->find_kernel("second") == 1);
  CHECK(module->find_kernel("third") == -1);
}

TEST_CASE("module variables are placed and initialised, and go with the module") {
  Memory memory;
  {
    const auto module = Module::decode(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .const .align 4 .f32 c[3] = {0f3F800000, "
        "2.5, -1.0};\n"
        ".visible .global .align 8 .u64 g[3] = {5, c, generic(c)+4};\n.global .align 1 .b8 bytes[8] = {1, 2, "
        "0xff};\n.global .s32 minus = -3;",
        90, memory, 0);
    const GlobalVariable* c = module->find_variable("c");
    REQUIRE(c != nullptr);
    CHECK(c->size == 12);
    CHECK(Runner::download(reinterpret_cast<const float*>(c->address), 3) ==
          std::vector<float>{1.0F, 2.5F, -1.0F});
    const auto g =
        Runner::download(reinterpret_cast<const std::uint64_t*>(module->find_variable("g")->address), 3);
    CHECK(g[0] == 5);
    CHECK(g[2] == reinterpret_cast<std::uint64_t>(c->address) + 4);
    CHECK(*reinterpret_cast<const std::int32_t*>(module->find_variable("minus")->address) == -3);
    CHECK(module->find_variable("absent") == nullptr);
    CHECK(memory.bytes_in_use(0) > 0);
  }
  CHECK(memory.bytes_in_use(0) == 0);
}

TEST_CASE("arrays of open extent are as long as their initial values") {
  Memory memory;
  const auto module = Module::decode(
      ".version 8.0\n.target sm_80\n.address_size 64\n.visible .global .b16 flat[] = {1, 2, 3};\n"
      ".visible .const .b32 rows[][2] = {{1, 2}, {3}};",
      90, memory, 0);
  const GlobalVariable* flat = module->find_variable("flat");
  REQUIRE(flat != nullptr);
  REQUIRE(flat->size == 6);
  CHECK(Runner::download(reinterpret_cast<const std::uint16_t*>(flat->address), 3) ==
        std::vector<std::uint16_t>{1, 2, 3});
  const GlobalVariable* rows = module->find_variable("rows");
  REQUIRE(rows != nullptr);
  REQUIRE(rows->size == 16);
  CHECK(Runner::download(reinterpret_cast<const std::uint32_t*>(rows->address), 4) ==
        std::vector<std::uint32_t>{1, 2, 3, 0});
  CHECK_THAT(refusal("ret;", ".global .b32 x[];"), Contains("known size"));
  CHECK_THAT(refusal("ret;", ".global .b32 x[2][] = {1};"), Contains("an array extent"));
}

TEST_CASE("the unsupported and the malformed are refused by name and line") {
  CHECK(refusal("add.u32 r0, r1, r2;") == "");
  CHECK_THAT(refusal("frobnicate.u32 r0, r1;"), Contains("frobnicate") && Contains("PTX line 8"));
  CHECK_THAT(refusal("add.quickly.u32 r0, r1, r2;"), Contains(".quickly"));
  CHECK_THAT(refusal("tcgen05.wait::ld.sync.aligned;"), Contains("tcgen05") && Contains("PTX line 8"));
  CHECK_THAT(refusal("add.u32 r0, r1;"), Contains("2 operands, needs 3"));
  CHECK_THAT(refusal("add.u32 r0, r1, l0;"), Contains("'l0' has 64 bits"));
  CHECK_THAT(refusal("add.u32 r0, r1, nowhere;"), Contains("'nowhere'"));
  CHECK_THAT(refusal("add.u32 r10, r1, r2;"), Contains("'r10'"));
  CHECK_THAT(refusal("add.f32 f0, f1, 3;"), Contains("float"));
  CHECK_THAT(refusal("bra NOWHERE;"), Contains("'NOWHERE'"));
  CHECK_THAT(refusal("@r1 bra L; L: ret;"), Contains("not a predicate"));
  CHECK_THAT(refusal("ld.param.u64 l0, [px+4];"), Contains("offset 4"));
  CHECK_THAT(refusal("ld.param.u64 l0, [px+8];"), Contains("has 8"));
  CHECK_THAT(refusal("mov.u32 r0, %pm0;"), Contains("%pm0"));
  CHECK_THAT(refusal("call.uni absent;"), Contains("'absent' is not declared"));
  CHECK_THAT(refusal("call.uni body;", ".func body();"), Contains("no body") && Contains("PTX line 8"));
  CHECK_THAT(refusal("ret;", "", "sm_100"), Contains("sm_100"));
  CHECK_THAT(refusal("ret;", "", "sm_80a"), Contains("sm_80a"));
  CHECK_THAT(refusal("ret;", ".extern .global .u32 elsewhere;"), Contains("elsewhere"));
  CHECK_THAT(refusal("add.u32 r0, r1, 0xffffffffffffffffff;"), Contains("64 bits"));
  CHECK_THAT(refusal("vabsdiff.u32.u32.u32 r0, r1, r2, r3;"), Contains("vabsdiff"));
  CHECK_THAT(refusal("multimem.red.relaxed.gpu.global.add.f32 [l0], f0;"), Contains("multimem"));
  CHECK_FALSE(decodes(""));
  CHECK_FALSE(decodes("nonsense"));
  CHECK_FALSE(decodes(".version 8.0\n.target sm_80\n.address_size 32\n"));
}

TEST_CASE("what is not modelled refuses the function that holds it, and not its neighbours") {
  struct Case {
    const char* instruction;
    const char* what;
  };
  const std::vector<Case> cases{
      {"cp.async.bulk.tensor.3d.shared::cta.global.im2col.mbarrier::complete_tx::bytes [s], [m, {a, a, a}], "
       "[s], {h};",
       "tensor maps of images are not modelled"},
      {"cp.async.bulk.prefetch.tensor.3d.L2.global.im2col [m, {a, a, a}], {h};",
       "tensor maps of images are not modelled"},
      {"cp.reduce.async.bulk.tensor.1d.global.shared::cta.add.tile.bulk_group [m, {a}], [s];",
       "reducing copies are not modelled"},
      {"tensormap.replace.tile.rank.global.b1024.b32 [m], 2;", "changes of tensor maps are not modelled"},
      {"wmma.load.a.sync.aligned.row.m16n16k16.f16 {a, a, a, a, a, a, a, a}, [m], 16;",
       "wmma is not modelled"},
      {"wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 {f, f, f, f}, m, m, a, 0, 1, 1, 1, 0, 0;",
       "sparse matrices are not modelled"},
      {"wgmma.mma_async.sync.aligned.m64n8k256.s32.b1.b1.and.popc {a, a, a, a}, m, m, 1;",
       "wgmma of one bit is not modelled"},
      {"tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [s], 32;", "tcgen05 is not modelled"},
      {"multimem.red.relaxed.gpu.global.add.f32 [m], f;", "multimem is not modelled"},
      {"mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {f, f, f, f}, {a, a}, {a, a}, {f, f, f, f}, a, "
       "0x0;",
       "sparse matrices are not modelled"},
      {"mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {d, d}, {d}, {d}, {d, d};", "is not modelled"},
      {"clusterlaunchcontrol.try_cancel.async.shared::cta.mbarrier::complete_tx::bytes.b128 [s], [s];",
       "clusters of blocks are not modelled"},
      {"st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [s], a, [s];", "asynchronous stores"},
      {"red.async.relaxed.cluster.global.add.u32 [m], a;", "asynchronous reductions"},
      {"tex.1d.v4.f32.s32 {f, f, f, f}, [m, {a}];", "textures are not modelled"},
      {"vadd.u32.u32.u32 a, a, a;", "video instructions are not modelled"},
  };
  for (const Case& given : cases) {
    CAPTURE(given.instruction);
    const std::string registers = ".reg .b16 h; .reg .b32 a, s; .reg .b64 m; .reg .f32 f; .reg .f64 d;\n";
    Runner runner(kernel_text({"po"}, ".reg .b64 o; ld.param.u64 o, [po]; st.global.u32 [o], 5; ret;",
                              ".func helper() { " + registers + "{ .reg .b32 t; L: " + given.instruction +
                                  "\nbra L; } mov.u32 a, nowhere; ret; }\n"
                                  ".visible .entry direct() { " +
                                  registers + given.instruction +
                                  " ret; }\n.visible .entry indirect() { call.uni helper; ret; }\n",
                              "sm_90a"));
    const auto refusal_of = [&](const char* name) {
      return runner.module().kernels()[static_cast<std::size_t>(runner.module().find_kernel(name))].refusal;
    };
    CHECK_THAT(refusal_of("direct"), Contains(given.what) && Contains("PTX line 8"));
    CHECK_THAT(refusal_of("indirect"), Contains("it calls 'helper': PTX line 5") && Contains(given.what));
    CHECK(refusal_of("k") == "");
    auto* out = runner.zeros<std::uint32_t>(1);
    CHECK(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, out).message == "");
    CHECK(*out == 5);
    const Fault fault = runner.run("direct", {1, 1, 1}, {1, 1, 1}, 0);
    CHECK(fault.kind == FaultKind::illegal_instruction);
    CHECK_THAT(fault.message, Contains("kernel 'direct'") && Contains(given.what));
  }
  // A malformed instruction still refuses the module, wherever it stands.
  CHECK_FALSE(decodes(kernel_text({}, "tcgen05.wait::ld.sync.aligned; add.u32 {;")));
  CHECK_FALSE(decodes(kernel_text({}, "frobnicate.tensor; ret;")));
}

TEST_CASE("scopes redeclare registers and labels") {
  Runner runner(kernel_text({"py"},
                            ".reg .u64 y; .reg .b32 r, t; mov.u32 t, 1; mov.u32 r, 5;\n"
                            "{ .reg .b32 t; mov.u32 t, 7; bra L; add.u32 r, r, 100; L: add.u32 r, r, t; }\n"
                            "{ .reg .b32 t; mov.u32 t, 20; bra L; add.u32 r, r, 100; L: add.u32 r, r, t; }\n"
                            "add.u32 r, r, t; ld.param.u64 y, [py]; st.global.u32 [y], r;"));
  std::uint32_t* out = runner.zeros<std::uint32_t>(1);
  REQUIRE(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, out).message.empty());
  CHECK(*out == 33);
}

TEST_CASE("register values survive renamed moves and loops") {
  // y takes x's old value on every turn, so the move between them must not be dropped.
  Runner runner(
      kernel_text({"py"},
                  ".reg .u64 a; .reg .b32 x, y, i; .reg .pred p; mov.u32 x, 1; mov.u32 y, 0; mov.u32 i, 0;\n"
                  "L: mov.b32 y, x; add.u32 x, x, y; add.u32 i, i, 1; setp.lt.u32 p, i, 5; @p bra L;\n"
                  "ld.param.u64 a, [py]; st.global.u32 [a], x; st.global.u32 [a+4], y;"));
  std::uint32_t* out = runner.zeros<std::uint32_t>(2);
  REQUIRE(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, out).message.empty());
  CHECK(out[0] == 32);
  CHECK(out[1] == 16);
}

TEST_CASE("operands of the wrong shape are refused") {
  CHECK_THAT(refusal("add.u32 {r0, r1}, r1, r2;"), Contains("operand 1 cannot be a vector"));
  CHECK_THAT(refusal("add.u32 r0, [l0], r2;"), Contains("operand 2 cannot be an address"));
  CHECK_THAT(refusal("mov.u32 r0, [l0];"), Contains("operand 2 cannot be an address"));
  CHECK_THAT(refusal("add.u32 r0|p0, r1, r2;"), Contains("operand 1 cannot be a pair"));
  CHECK_THAT(refusal("setp.eq.u32 p0, r1|p1, r2;"), Contains("operand 2 cannot be a pair"));
  CHECK_THAT(refusal("ld.global.u32 r0, r1;"), Contains("address operand in brackets"));
  CHECK_THAT(refusal("atom.global.add.u32 {r0}, [l0], r1;"), Contains("operand 1 cannot be a vector"));
  CHECK_THAT(refusal("atom.global.add.u32 r0, [l0], {r1};"), Contains("operand 3 cannot be a vector"));
  CHECK_THAT(refusal("red.global.add.u32 [l0], {r1};"), Contains("operand 2 cannot be a vector"));
  CHECK_THAT(refusal("cp.async.ca.shared.global [l0], [l1], 4, {r0};"),
             Contains("operand 4 cannot be a vector"));
  CHECK_THAT(refusal("cp.async.bulk.global.shared::cta.bulk_group [l0], [l1], {r0};"),
             Contains("operand 3 cannot be a vector"));
  for (const char* taken :
       {"mbarrier.arrive.shared.b64 l0, [r0], {r1};", "mbarrier.arrive.shared.b64 _, [r0], {3};",
        "mbarrier.arrive.noComplete.shared.b64 l0, [r0], {r1};",
        "mbarrier.arrive_drop.b64 l0, [l1], {r1};"}) {
    CHECK(refusal(taken) == "");
  }
  for (const char* refused : {"mbarrier.arrive.expect_tx.shared.b64 l0, [r0], {r1};",
                              "mbarrier.arrive.shared.b64 l0, [r0], {r1, r2};",
                              "mbarrier.test_wait.parity.shared.b64 p0, [r0], {r1};"}) {
    CHECK_THAT(refusal(refused), Contains("operand 3 cannot be a vector"));
  }
  CHECK_THAT(refusal("mbarrier.init.shared.b64 [r0], {r1};"), Contains("operand 2 cannot be a vector"));
  CHECK_THAT(refusal("mbarrier.arrive.shared.b64 l0, [r0], {l1};"), Contains("64 bits"));
  CHECK_THAT(refusal("mov.pred {p0}, p1;"), Contains("predicates do not take braces"));
  CHECK_THAT(refusal("mov.pred p0, {p1};"), Contains("predicates do not take braces"));
  CHECK_THAT(refusal("ld.global.v2.u32 {r0}, [l0];"), Contains("does not fit"));
  CHECK_THAT(refusal("ld.global.u32 {r0, r1}, [l0];"), Contains("does not fit"));
  CHECK_THAT(refusal("prefetch.global.L1 {l0};"), Contains("operand 1 cannot be a vector"));
  CHECK_THAT(refusal("mov.b64 l0, {r0, r1, r2, r3, r4, r5, r6, r7, r8};"), Contains("at most 8 elements"));
}

TEST_CASE("forms that no architecture has are refused by name and line, and their neighbours taken") {
  struct Form {
    const char* wrong;
    const char* why;
    const char* right;
  };
  const std::vector<Form> forms{
      // Comparisons.
      {"setp.eq.bf16 p0|p1, h0, h1;", "one predicate for .bf16", "setp.eq.bf16 p0, h0, h1;"},
      {"setp.lt.and.ftz.f16 p0|p1, h0, h1, p2;", "one predicate for .f16",
       "setp.lt.ftz.f16x2 p0|p1, r0, r1;"},
      {"setp.lt.b32 p0, r0, r1;", "bits are compared by .eq and .ne", "setp.ne.b32 p0, r0, r1;"},
      {"setp.eq.ftz.u32 p0, r0, r1;", "'.ftz'", "setp.eq.ftz.f32 p0, f0, f1;"},
      {"setp.eq.f32x2 p0, l0, l1;", "not for .f32x2", "setp.eq.f16x2 p0|p1, r0, r1;"},
      {"set.eq.f32.bf16 r0, h0, h1;", "no .f32 for .bf16", "set.eq.f32.f32 r0, f0, f1;"},
      {"set.eq.f32.f16 r0, h0, h1;", "no .f32 for .f16", "set.eq.f16.f32 h0, f0, f1;"},
      {"set.eq.f16.bf16 h0, h1, h2;", "no .f16 for .bf16", "set.eq.bf16.f16 h0, h1, h2;"},
      {"set.eq.u16.u32 h0, r0, r1;", "no .u16 for .u32", "set.eq.u16.bf16 h0, h1, h2;"},
      {"set.eq.ftz.bf16.f16 h0, h1, h2;", "'.ftz'", "set.eq.ftz.f16.f16 h0, h1, h2;"},
      {"set.eq.f16x2.f16 r0, h0, h1;", "no .f16x2 for .f16", "set.eq.u32.f16x2 r0, r1, r2;"},
      // Conversions.
      {"cvt.rn.bf16.u8 h0, h1;", "8 bits", "cvt.rn.bf16.u16 h0, h1;"},
      {"cvt.rni.s8.bf16 h0, h1;", "8 bits", "cvt.rni.s8.f16 h0, h1;"},
      {"cvt.rni.sat.u16.bf16 h0, h1;", "from .bf16 to .u16", "cvt.rni.sat.u16.f16 h0, h1;"},
      {"cvt.rni.u16.bf16 r0, h1;", "writes 16", "cvt.rni.u16.f16 r0, h1;"},
      {"cvt.sat.u16.u8 h0, h1;", "from .u8 to .u16", "cvt.sat.u8.u16 h0, h1;"},
      {"cvt.sat.s32.u16 r0, h1;", "from .u16 to .s32", "cvt.sat.u16.s32 h1, r0;"},
      {"cvt.f32.s32 f0, r0;", "needs .rn, .rz, .rm or .rp", "cvt.rn.f32.s32 f0, r0;"},
      {"cvt.rn.f64.f32 l0, f0;", "rounding not allowed", "cvt.f64.f32 l0, f0;"},
      {"cvt.rni.f32.s32 f0, r0;", "rounds to integers", "cvt.rni.f32.f32 f0, f1;"},
      {"cvt.s32.f32 r0, f0;", ".rni, .rzi", "cvt.rzi.s32.f32 r0, f0;"},
      {"cvt.rzi.ftz.s32.f16 r0, h0;", "from .f16 to .s32", "cvt.rzi.ftz.s32.f32 r0, f0;"},
      {"cvt.rm.relu.bf16.f32 h0, f0;", "from .f32 to .bf16", "cvt.rz.relu.bf16.f32 h0, f0;"},
      {"cvt.rn.relu.f16.f64 h0, l0;", "from .f64 to .f16", "cvt.rn.sat.f16.f64 h0, l0;"},
      {"cvt.rn.e4m3x2.f32 h0, f0, f1;", "needs .rn and .satfinite",
       "cvt.rn.satfinite.e4m3x2.f32 h0, f0, f1;"},
      {"cvt.rn.bf16x2.e4m3x2 r0, h0;", "types not allowed", "cvt.rn.f16x2.e4m3x2 r0, h0;"},
      {"cvt.rm.f16x2.f32 r0, f0, f1;", "needs .rn or .rz", "cvt.rz.f16x2.f32 r0, f0, f1;"},
      {"cvt.rna.relu.tf32.f32 r0, f0;", ".relu needs", "cvt.rna.satfinite.tf32.f32 r0, f0;"},
      // Arithmetic.
      {"min.xorsign.abs.f32 f0, f1, f2, f3;", "'.xorsign'", "min.abs.f32 f0, f1, f2, f3;"},
      {"max.abs.f32 f0, f1, f2;", "'.abs'", "max.xorsign.abs.f32 f0, f1, f2;"},
      {"mad24.lo.sat.s32 r0, r1, r2, r3;", "'.sat'", "mad24.hi.sat.s32 r0, r1, r2, r3;"},
      {"bfe.u32 r0, r1, 256, 1;", "operand 3 must be a number from 0 to 255", "bfe.u32 r0, r1, 255, 1;"},
      {"bfe.s64 l0, l1, r1, -1;", "operand 4 must be", "bfe.s64 l0, l1, r1, 0;"},
      {"bfi.b32 r0, r1, r2, 3, 0x100;", "operand 5 must be", "bfi.b32 r0, r1, r2, 3, 0xff;"},
      {"bfi.b32 r0, r1, r2, -1, 3;", "operand 4 must be", "bfi.b32 r0, r1, r2, 0, 3;"},
      {"add.f16 h0, h1, 3;", "registers only", "add.u16 h0, h1, 3;"},
      {"and.b32 r0, r1, 1.5;", "a float constant", "and.b32 r0, r1, 0f3FC00000;"},
      {"add.u32 r0, r1, 0f3FC00000;", "a float constant", "add.f32 f0, f1, 0f3FC00000;"},
      {"add.u32 _, r1, r2;", "cannot be '_'", "setp.eq.u32 _|p0, r1, r2;"},
      {"add.u32 r0, r1, %tid.x;", "only be read by mov", "cvt.u64.u32 l0, %tid.x;"},
      {"mov.u64 l0, %tid.x;", "has 32 bits", "mov.u64 l0, %clock64;"},
      {"mov.s32 r0, {h0, h1};", "packs", "mov.b32 r0, {h0, h1};"},
      // Fences and hints.
      {"membar.proxy.async;", ".proxy.alias", "fence.proxy.async;"},
      {"membar.gpu;", ".gl", "membar.gl;"},
      {"fence.acq_rel;", "needs a scope", "fence.acq_rel.gpu;"},
      {"fence.mbarrier_init.acquire.cluster;", ".release", "fence.mbarrier_init.release.cluster;"},
      {"fence.acquire.sync_restrict::shared::cluster.gpu;", ".cluster",
       "fence.acquire.sync_restrict::shared::cluster.cluster;"},
      {"prefetch.shared.L1 [r0];", "global", "prefetch.global.L1 [l0];"},
      {"discard.global.L2 [l0], 64;", "must be", "discard.global.L2 [l0], 128;"},
      {"nanosleep.u64 l0;", ".u32", "nanosleep.u32 r0;"},
      {"setmaxnreg.inc.sync.aligned.u32 20;", "a multiple of 8 from 24 to 256",
       "setmaxnreg.inc.sync.aligned.u32 24;"},
      {"createpolicy.fractional.L2::evict_last.b64 l0, 1.5;", "fraction",
       "createpolicy.fractional.L2::evict_last.b64 l0, 0.5;"},
      {"griddepcontrol.launch;", ".wait or", "griddepcontrol.launch_dependents;"},
      // Memory.
      {"ld.relaxed.global.u32 r0, [l0];", "needs a scope", "ld.relaxed.gpu.global.u32 r0, [l0];"},
      {"ld.release.gpu.global.u32 r0, [l0];", "scope", "st.release.gpu.global.u32 [l0], r0;"},
      {"ld.weak.volatile.global.u32 r0, [l0];", "more than one", "ld.volatile.global.u32 r0, [l0];"},
      {"ld.volatile.local.u32 r0, [r1];", "global and shared", "ld.volatile.shared.u32 r0, [r1];"},
      {"ld.shared.nc.u32 r0, [r1];", ".nc needs", "ld.global.nc.u32 r0, [l0];"},
      {"ld.mmio.relaxed.sys.global.v2.u32 {r0, r1}, [l0];", ".mmio is not for vectors",
       "ld.mmio.relaxed.sys.global.u32 r0, [l0];"},
      {"ld.volatile.global.ca.u32 r0, [l0];", "cache operator", "ld.global.ca.u32 r0, [l0];"},
      {"ld.shared.L1::no_allocate.u32 r0, [r1];", "cache hints", "ld.global.L1::no_allocate.u32 r0, [l0];"},
      {"ld.global.L1::forget.u32 r0, [l0];", "L1::forget", "ld.global.L1::evict_first.u32 r0, [l0];"},
      {"ld.global.L2::evict_last.u32 r0, [l0];", "32 bytes",
       "ld.global.L2::evict_last.v4.b64 {l0, l1, l2, l3}, [l0];"},
      {"ld.shared.v4.b64 {l0, l1, l2, l3}, [r0];", "outside global", "ld.shared.v2.b64 {l0, l1}, [r0];"},
      {"ld.global.L2::cache_hint.u32 r0, [l0], r1;", "cache policy",
       "ld.global.L2::cache_hint.u32 r0, [l0], l1;"},
      {"ld.global.u32 r0, [16];", "constant address", "ld.local.u32 r0, [16];"},
      {"ld.global.u32 r0, [px];", "state space", "ld.param.u32 r0, [px];"},
      {"atom.global.add.b32 r0, [l0], r1;", "no operation .add on .b32", "atom.global.add.u32 r0, [l0], r1;"},
      {"atom.global.exch.u32 r0, [l0], r1;", "no operation .exch", "atom.global.exch.b32 r0, [l0], r1;"},
      {"red.global.and.u32 [l0], r1;", "no operation .and", "red.global.and.b32 [l0], r1;"},
      {"atom.global.inc.u64 l1, [l0], l2;", "no operation .inc", "atom.global.inc.u32 r0, [l0], r1;"},
      {"atom.global.add.f16x2 r0, [l0], r1;", "needs .noftz", "atom.global.add.noftz.f16x2 r0, [l0], r1;"},
      {"red.acquire.gpu.global.add.u32 [l0], r1;", ".release",
       "atom.acquire.gpu.global.add.u32 r0, [l0], r1;"},
      {"cp.async.bulk.shared::cta.shared::cta.mbarrier::complete_tx::bytes [r0], [r1], 16, [r2];",
       "copies from",
       "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [r0], [r1], 16, [r2];"},
      {"cp.async.wait_group r0;", "constant", "cp.async.wait_group 3;"},
      {"mbarrier.arrive.release.shared.b64 l0, [r0];", ".cta or .cluster",
       "mbarrier.arrive.release.cta.shared.b64 l0, [r0];"},
      {"mbarrier.arrive.shared::cluster.b64 l0, [r0];", "elsewhere",
       "mbarrier.arrive.shared::cluster.b64 _, [r0];"},
      {"mbarrier.test_wait.parity.shared.b64 p0, [r0], 2;", "from 0 to 1",
       "mbarrier.test_wait.parity.shared.b64 p0, [r0], 1;"},
      // Warps, barriers and matrices.
      {"match.any.sync.b32 r0|p0, r1, r2;", ".all only", "match.all.sync.b32 r0|p0, r1, r2;"},
      {"elect.sync r0, r1;", "needs a predicate", "elect.sync _|p0, r1;"},
      {"bar.sync 16;", "from 0 to 15", "bar.sync 15;"},
      {"bar.sync 1, 48;", "a multiple of 32", "bar.sync 1, 64;"},
      {"mma.sync.aligned.m16n8k8.col.row.f32.bf16.bf16.f32 {f0, f1, f2, f3}, {r0, r1}, {r2}, {f0, f1, f2, "
       "f3};",
       "needs .row.col",
       "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {f0, f1, f2, f3}, {r0, r1}, {r2}, {f0, f1, f2, "
       "f3};"},
      {"ldmatrix.sync.aligned.m8n8.x1.shared.b16 r0, [r1];", "in braces",
       "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {r0}, [r1];"}};
  for (const Form& form : forms) {
    INFO(form.wrong);
    const std::string wrong = form.wrong;
    CHECK_THAT(refusal(wrong, "", "sm_100a", 100), Contains(form.why) && Contains("PTX line 8") &&
                                                       Contains(wrong.substr(0, wrong.find_first_of(" ;"))));
    INFO(form.right);
    CHECK(refusal(form.right, "", "sm_100a", 100) == "");
  }
}

TEST_CASE("absurd sizes are refused, not allocated") {
  CHECK_THAT(refusal(".reg .b32 many<4294967295>;"), Contains("register count of at most"));
  CHECK_THAT(refusal(".reg .b64 many<1048576>;"), Contains("more than 1048576 registers"));
  CHECK_THAT(refusal(".local .b8 big[1000000000];"), Contains("512 KiB of local memory"));
  CHECK_THAT(refusal(".shared .b8 big[1000000000];"), Contains("1 MiB of static shared memory"));
  CHECK_THAT(refusal(".shared .b64 big[4294967296][4294967296];"), Contains("at most 4 GiB"));
  CHECK_THAT(refusal("ret;", ".global .b8 big[99999999999];"), Contains("array extent of at most"));
  CHECK_THAT(refusal("ret;", ".global .align 3 .b8 odd[8];"), Contains("alignment 3"));
  CHECK_THAT(refusal("ret;", ".global .u32 none[0] = 7;"), Contains("without elements"));
  CHECK_THAT(refusal("ret;", ".global .u32 two[2] = {1, 2, 3};"), Contains("no more initial values"));
  CHECK_THAT(refusal("ret;", ".func f(.param .b8 a[2000000]) { ret; }"), Contains("at most 1 MiB"));
  CHECK_THAT(refusal("ld.param.u64 l0, [px+9223372036854775807];"), Contains("has 8"));
  CHECK_THAT(refusal("{ .param .b64 q; st.param.b64 [q+9223372036854775800], l0; }"), Contains("has 8"));
  CHECK_THAT(refusal(std::string("add") + std::string(5000, '.') + "u32 r0, r1, r2;"),
             Contains("more parts than any known instruction"));

  // 100000 64-bit registers that are all live at once: 25 MB for every warp.
  std::string body = ".reg .b64 w<100000>;\nld.param.u64 l0, [px];\n";
  for (int i = 0; i < 100000; ++i) {
    body += "ld.volatile.u64 w" + std::to_string(i) + ", [l0];\n";
  }
  for (int i = 0; i < 100000; ++i) {
    body += "st.volatile.u64 [l0], w" + std::to_string(i) + ";\n";
  }
  CHECK_THAT(refusal(body), Contains("bytes of registers per warp"));
}

TEST_CASE("deep nesting is refused or decoded, without exhausting the stack") {
  CHECK_THAT(refusal(std::string(100000, '{') + std::string(100000, '}')),
             Contains("blocks inside each other"));
  CHECK(refusal(std::string(200, '{') + std::string(200, '}')).empty());
  CHECK_THAT(refusal("ret;", ".global .u32 x[4] = " + std::string(100000, '{')), Contains("16 levels"));
  CHECK_FALSE(
      decodes(".version 8.0\n.target sm_80\n.address_size 64\n.section .debug {" + std::string(100000, '{')));

  // A chain of functions, each calling the one before it, or the one after it.
  const auto chain = [](int length, bool forward) {
    std::string declared;
    std::string defined;
    for (int i = 0; i < length; ++i) {
      const std::string name = ".func g" + std::to_string(i) + "()";
      declared += name + ";\n";
      const int next = forward ? i + 1 : i - 1;
      const bool last = next < 0 || next == length;
      defined += name + " { " + (last ? "" : "call.uni g" + std::to_string(next) + "; ") + "ret; }\n";
    }
    return declared + defined;
  };
  CHECK(refusal("call.uni g99;", chain(100, false)).empty());
  CHECK(refusal("call.uni g0;", chain(100, true)).empty());
  CHECK_THAT(refusal("call.uni g99999;", chain(100000, false)), Contains("bytes of registers per warp"));
  CHECK_THAT(refusal("call.uni g0;", chain(100000, true)), Contains("chain of more than"));
}

TEST_CASE("many labels, branches and moves decode in proportion to their number") {
  // Each of these took quadratic time in some decoder; the suite's time limit is the bound.
  std::string scopes;
  std::string moves = ".reg .b32 m<60001>;\nmov.u32 m0, %tid.x;\n";
  std::string circle = ".reg .b32 z<60001>;\nret;\n";
  for (int i = 0; i < 60000; ++i) {
    scopes += "{ L: setp.eq.u32 p0, r0, r1; @p0 bra L; @p1 bra END; }\n";
    const std::string from = std::to_string(i);
    const std::string to = std::to_string(i + 1);
    moves += "mov.b32 m" + to + ", m" + from + ";\n";
    circle += "mov.b32 z" + to + ", z" + from + ";\n";
  }
  CHECK(refusal(scopes + "END: ret;").empty());
  CHECK(refusal(moves + "add.u32 r0, m60000, m30000;").empty());
  CHECK(refusal(circle + "mov.b32 z0, z60000; add.u32 r0, z1, z30000;").empty());
  // Liveness of registers set before a ladder of backward jumps travels one rung per pass.
  std::string ladder = ".reg .b32 q<2000>;\n";
  for (int i = 0; i < 2000; ++i) {
    ladder += "R" + std::to_string(i) + ": add.u32 q" + std::to_string(i) + ", q" + std::to_string(1999 - i) +
              ", 1; @p0 bra R" + std::to_string(i / 2) + ";\n";
  }
  CHECK(refusal(ladder).empty());
}

TEST_CASE("a function keeps the signature it was first declared with") {
  const std::string call = "{ .param .b32 a; st.param.b32 [a], r0; call.uni f, (a); }";
  CHECK(refusal(call, ".func f(.param .b32 x);\n.func f(.param .b32 x) { ret; }").empty());
  CHECK_THAT(refusal(call, ".func f(.param .b32 x);\n.func f() { ret; }"), Contains("'f' differs"));
  CHECK_THAT(refusal(call, ".func f(.param .b32 x);\n.func f(.param .b64 x) { ret; }"),
             Contains("'f' differs"));
  CHECK_THAT(refusal(call, ".func f(.param .b32 x) { ret; }\n.func f(.param .b32 x, .param .b32 y);"),
             Contains("'f' differs"));
  CHECK_THAT(refusal("ret;", ".entry f() { ret; }\n.func f();"), Contains("'f' differs"));
  CHECK_THAT(refusal("ret;", ".func f() { ret; }\n.func f() { ret; }"), Contains("defined twice"));
}

TEST_CASE("every truncation of compiled PTX ends in a module or an error") {
  for (const char* file : {"kernels.ptx", "rms_norm.ptx"}) {
    const std::string text = read_ptx(file).substr(0, 9000);
    std::size_t good = 0;
    for (std::size_t length = 0; length < text.size(); ++length) {
      good += decodes(text.substr(0, length)) ? 1U : 0U;
    }
    INFO(file);
    // Whole functions are valid modules, most other prefixes are not.
    CHECK(good > 0);
    CHECK(good < text.size() / 4);
  }
}

TEST_CASE("random damage ends in a module or an error") {
  for (const char* file : {"kernels.ptx", "rms_norm.ptx"}) {
    const std::string text = read_ptx(file);
    std::uint32_t state = 1;
    const auto next = [&](std::size_t limit) {
      state = state * 1664525U + 1013904223U;
      return static_cast<std::size_t>(state >> 8) % limit;
    };
    std::size_t bad = 0;
    for (int round = 0; round < 1000; ++round) {
      std::string damaged = text;
      const std::size_t edits = 1 + next(6);
      for (std::size_t e = 0; e < edits; ++e) {
        const std::size_t at = next(damaged.size());
        switch (next(5)) {
          case 0:
            damaged[at] = static_cast<char>(next(256));
            break;
          case 1:
            damaged.erase(at, next(40));
            break;
          case 2:
            damaged.insert(at, text, next(text.size() - 60), next(60));
            break;
          case 3: {
            // A word in the place of another of the same kind gets further than noise does.
            const std::size_t dot = damaged.find('.', at);
            const std::size_t other = text.find('.', next(text.size()));
            if (dot != std::string::npos && other != std::string::npos) {
              const std::size_t end = damaged.find_first_of(" \t.;,\n", dot + 1);
              const std::size_t other_end = text.find_first_of(" \t.;,\n", other + 1);
              damaged.replace(dot, end - dot, text, other, other_end - other);
            }
            break;
          }
          default:
            damaged[at] = "0123456789{}()[];,.%@!<>|-+"[next(27)];
            break;
        }
      }
      bad += decodes(damaged) ? 0U : 1U;
    }
    INFO(file);
    CHECK(bad > 400);
  }
}
