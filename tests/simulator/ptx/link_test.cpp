#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

namespace kerncast::simulator::testing {

namespace {

using Catch::Matchers::Contains;

std::string module_text(const std::string& body, const std::string& version = "8.0",
                        const std::string& target = "sm_80") {
  return "// a module\n.version " + version + "\n.target " + target + "\n.address_size 64\n" + body;
}

/// The value that kernel k of the linked modules writes to its buffer.
std::uint32_t run(const std::vector<std::string>& texts) {
  Runner runner(link_ptx(texts));
  auto* out = runner.zeros<std::uint32_t>(1);
  const Fault fault = runner.run("k", {1, 1, 1}, {1, 1, 1}, 0, out);
  CHECK(fault.message == "");
  return *out;
}

std::string refusal(const std::vector<std::string>& texts) {
  try {
    const Runner runner(link_ptx(texts));
  } catch (const DecodeError& error) {
    return error.what();
  }
  return "";
}

/// A kernel that writes twice(21) + shift, both of them elsewhere.
const std::string kernel =
    ".extern .func (.param .b32 r) twice (.param .b32 x);\n.extern .global .b32 shift;\n.global .b32 own = "
    "100;\n"
    ".visible .entry k(.param .u64 po) { .reg .b64 o; .reg .b32 v, w; ld.param.u64 o, [po];\n"
    "{ .param .b32 a; .param .b32 b; st.param.b32 [a], 21; call.uni (b), twice, (a); ld.param.b32 v, [b]; }\n"
    "ld.global.u32 w, [shift]; add.u32 v, v, w; ld.global.u32 w, [own]; add.u32 v, v, w; st.global.u32 [o], "
    "v; ret; "
    "}\n";
const std::string library =
    ".visible .global .b32 shift = 7;\n.global .b32 own = 2;\n"
    ".visible .func (.param .b32 r) twice (.param .b32 x) { .reg .b32 v, w; ld.param.b32 v, [x];\n"
    "ld.global.u32 w, [own]; mul.lo.u32 v, v, w; st.param.b32 [r], v; ret; }\n";

}  // namespace

TEST_CASE("modules that need each other are linked, in any order") {
  CHECK(run({module_text(kernel), module_text(library)}) == 42 + 7 + 100);
  CHECK(run({module_text(library), module_text(kernel)}) == 42 + 7 + 100);
  CHECK(run({module_text(kernel), module_text(library), module_text("")}) == 149);
}

TEST_CASE("what a module has for itself stays apart") {
  // Both have a function helper and a variable own; each uses its own.
  const auto with_helper = [](const std::string& name, int value) {
    return ".global .b32 own = " + std::to_string(value) +
           ";\n.func (.param .b32 r) helper () { .reg .b32 own_value; ld.global.u32 own_value, [own]; "
           "st.param.b32 [r], own_value; ret; }\n.visible .func (.param .b32 r) " +
           name +
           " () { .reg .b32 v; { .param .b32 b; call.uni (b), helper, (); ld.param.b32 v, [b]; } "
           "st.param.b32 [r], "
           "v; ret; }\n";
  };
  const std::string user =
      ".extern .func (.param .b32 r) first ();\n.extern .func (.param .b32 r) second ();\n"
      ".visible .entry k(.param .u64 po) { .reg .b64 o; .reg .b32 v, w; ld.param.u64 o, [po];\n"
      "{ .param .b32 b; call.uni (b), first, (); ld.param.b32 v, [b]; }\n"
      "{ .param .b32 b; call.uni (b), second, (); ld.param.b32 w, [b]; }\n"
      "mad.lo.u32 v, v, 1000, w; st.global.u32 [o], v; ret; }\n";
  CHECK(run({module_text(user), module_text(with_helper("first", 11)),
             module_text(with_helper("second", 22))}) == 11022);
}

TEST_CASE("one of several weak definitions is enough, and a strong one wins") {
  const auto weak = [](int value, const std::string& linkage) {
    return linkage + " .func (.param .b32 r) twice (.param .b32 x) { .reg .b32 v; mov.u32 v, " +
           std::to_string(value) + "; st.param.b32 [r], v; ret; }\n";
  };
  const std::string shift = ".visible .global .b32 shift = 0;\n";
  CHECK(run({module_text(kernel), module_text(shift + weak(1, ".weak")), module_text(weak(1, ".weak"))}) ==
        101);
  CHECK(run({module_text(kernel), module_text(shift + weak(1, ".weak")), module_text(weak(5, ".visible"))}) ==
        105);
  CHECK_THAT(refusal({module_text(weak(1, ".visible")), module_text(weak(1, ".visible"))}),
             Contains("'twice' is defined in two of the linked modules"));
}

TEST_CASE("the newest version and target of the modules hold for all") {
  const std::string text = link_ptx({module_text(kernel), module_text(library, "8.6", "sm_90a, debug")});
  CHECK_THAT(text, Catch::Matchers::StartsWith(".version 8.6\n.target sm_90a\n"));
}

TEST_CASE("shared memory, debug information and functions of the machine's own are linked") {
  const std::string shared = ".extern .shared .align 16 .b8 dynamic[];\n";
  const std::string debug = ".file 1 \"a.cu\"\n.section .debug_str { .b8 1, 2 { } }\n";
  const std::string prints =
      ".extern .func (.param .b32 status) vprintf (.param .b64 format, .param .b64 values);\n";
  CHECK(run({module_text(debug + shared + prints + kernel),
             module_text(shared + prints + debug + library)}) == 149);
}

TEST_CASE("what no module defines, and what is no PTX, is refused") {
  CHECK_THAT(refusal({module_text(kernel), module_text(".visible .global .b32 shift = 7;")}),
             Contains("'twice', which has no body here"));
  CHECK_THAT(refusal({module_text(kernel),
                      module_text(".visible .func (.param .b32 r) twice (.param .b32 x) { ret; }")}),
             Contains("'shift' is defined in another module"));
  CHECK_THAT(refusal({module_text(kernel), "nonsense"}), Contains("'.version'"));
  CHECK_THAT(refusal({module_text(kernel), module_text(".visible .func f() {")}),
             Contains("the end of a directive"));
}

}  // namespace kerncast::simulator::testing
