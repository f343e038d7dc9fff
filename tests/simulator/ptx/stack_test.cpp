#include <catch2/catch.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

namespace kerncast::simulator::testing {

using Catch::Matchers::Contains;

TEST_CASE("alloca gives every thread aligned memory of its own") {
  // Each thread takes 4 * (tid + 1) bytes, then 64 aligned to 64, fills both and sums them.
  const std::string body =
      ".reg .u64 out, size, first, second, saved, again, at, addr; .reg .u32 t, n, i, sum, v; .reg .pred p;\n"
      "ld.param.u64 out, [pd]; mov.u32 t, %tid.x; add.u32 n, t, 1; mul.wide.u32 size, n, 4;\n"
      "alloca.u64 first, size; stacksave.u64 saved; alloca.u64 second, 64, 64;\n"
      "mov.u32 i, 0; fill: mul.wide.u32 at, i, 4; add.u64 addr, first, at; mad.lo.u32 v, t, 100, i;\n"
      "st.local.u32 [addr], v; add.u32 i, i, 1; setp.lt.u32 p, i, n; @p bra fill;\n"
      "st.local.u32 [second], 7; st.local.u32 [second+60], 9;\n"
      "cvta.local.u64 first, first; mov.u32 sum, 0; mov.u32 i, 0;\n"
      "add: mul.wide.u32 at, i, 4; add.u64 addr, first, at; ld.u32 v, [addr]; add.u32 sum, sum, v;\n"
      "add.u32 i, i, 1; setp.lt.u32 p, i, n; @p bra add;\n"
      "ld.local.u32 v, [second]; add.u32 sum, sum, v; ld.local.u32 v, [second+60]; add.u32 sum, sum, v;\n"
      // After restoring, the same place is given out again.
      "stackrestore.u64 saved; alloca.u64 again, 64, 64; setp.ne.u64 p, again, second; @p mov.u32 sum, 0;\n"
      "and.b64 at, second, 63; setp.ne.u64 p, at, 0; @p mov.u32 sum, 1;\n"
      "mad.wide.u32 out, t, 4, out; st.global.u32 [out], sum; ret;";
  Runner runner(kernel_text({"pd"}, body));
  auto* d = runner.zeros<std::uint32_t>(48);
  REQUIRE(runner.run("k", {1, 1, 1}, {48, 1, 1}, 0, d).message == "");
  const auto sums = Runner::download(d, 48);
  for (std::uint32_t t = 0; t < 48; ++t) {
    CHECK(sums[t] == (t + 1) * t * 100 + t * (t + 1) / 2 + 16);
  }
}

TEST_CASE("the stack pointer is saved and restored where nothing is allocated") {
  Runner runner(kernel_text({"pd"},
                            ".reg .u64 out, saved, again; .reg .pred p; ld.param.u64 out, [pd];\n"
                            "stacksave.u64 saved; stackrestore.u64 saved; stacksave.u64 again;\n"
                            "setp.eq.u64 p, saved, again; @p st.global.u32 [out], 5; ret;"));
  auto* d = runner.zeros<std::uint32_t>(1);
  REQUIRE(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, d).message == "");
  CHECK(Runner::download(d, 1)[0] == 5);
  // One that was never saved may be anything, and still nothing is allocated.
  Runner other(kernel_text({}, ".reg .u64 x; mov.u64 x, 64; stackrestore.u64 x; ret;"));
  CHECK(other.run("k", {1, 1, 1}, {1, 1, 1}, 0).message == "");
}

TEST_CASE("alloca beyond its area ends the launch") {
  const std::string body = ".reg .u64 at; alloca.u64 at, 4000; alloca.u64 at, 97; ret;";
  Runner runner(kernel_text({}, body));
  const Fault fault = runner.run("k", {1, 1, 1}, {1, 1, 1}, 0);
  CHECK(fault.kind == FaultKind::illegal_instruction);
  CHECK_THAT(fault.message, Contains("alloca"));
}

namespace {

const std::string functions =
    ".func (.param .b32 r) twice (.param .b32 x) { .reg .u32 v; ld.param.u32 v, [x]; add.u32 v, v, v; "
    "st.param.b32 [r], v; ret; }\n"
    ".func (.param .b64 r) wide (.param .b64 x) { .reg .u64 v; ld.param.u64 v, [x]; st.param.b64 [r], v; "
    "ret; }\n"
    ".global .u64 table[2] = {twice, wide};\n";

std::string call_through(const std::string& pointer) {
  return ".reg .u64 out, f; .reg .u32 v;\n" + pointer +
         "{ .param .b32 a; .param .b32 b; mov.u32 v, 21; st.param.b32 [a], v;\n"
         "proto: .callprototype (.param .b32 _) _ (.param .b32 _); call (b), f, (a), proto; ld.param.b32 v, "
         "[b]; }\n"
         "ld.param.u64 out, [pd]; st.global.u32 [out], v; ret;";
}

}  // namespace

TEST_CASE("Calls go through function pointers from tables and from code") {
  for (const char* pointer : {"ld.global.u64 f, [table];\n", "mov.u64 f, twice;\n"}) {
    Runner runner(kernel_text({"pd"}, call_through(pointer), functions));
    auto* d = runner.zeros<std::uint32_t>(1);
    CHECK(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, d).message == "");
    CHECK(Runner::download(d, 1)[0] == 42);
  }
}

TEST_CASE("Calls through wrong pointers end the launch") {
  const auto message = [](const std::string& pointer) {
    Runner runner(kernel_text({"pd"}, call_through(pointer), functions));
    const Fault fault = runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, runner.zeros<std::uint32_t>(1));
    CHECK(fault.kind == FaultKind::illegal_instruction);
    return fault.message;
  };
  CHECK_THAT(message("mov.u64 f, 0;\n"), Contains("names no function"));
  CHECK_THAT(message("ld.global.u64 f, [table]; add.u64 f, f, 1000;\n"), Contains("names no function"));
  CHECK_THAT(message("ld.global.u64 f, [table+8];\n"), Contains("does not fit"));
}

}  // namespace kerncast::simulator::testing
