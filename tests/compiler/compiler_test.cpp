#include "runtime/compiler/compiler.hpp"

#include <catch2/catch.hpp>

#include "kerncast/error.hpp"

using namespace kerncast;
using namespace kerncast::compiler;

namespace {

CompileRequest request(std::string source) {
  CompileRequest out;
  out.what = "test.kernel [n=1] for sm_90a";
  out.source = std::move(source);
  out.kernels = {"kernel<Config>"};
  out.options = {"--gpu-architecture=sm_90a", "--std=c++17", "-default-device", "--ptxas-options=-v"};
  return out;
}

constexpr const char* good =
    "#include \"a.cuh\"\nstruct Config { static constexpr int n = 3; };\ntemplate __global__ void "
    "kernel<Config>(int*);\n";

}  // namespace

TEST_CASE("a ptxas log gives the resources of the named kernel only") {
  const std::string log =
      "ptxas info    : 4 bytes gmem\n"
      "ptxas info    : Compiling entry function 'other' for 'sm_90a'\n"
      "ptxas         .     8 bytes stack frame, 9 bytes spill stores, 10 bytes spill loads\n"
      "ptxas info    : Used 99 registers, used 0 barriers, 400 bytes cmem[0]\n"
      "ptxas info    : Compiling entry function 'ours' for 'sm_90a'\n"
      "ptxas info    : Function properties for ours\n"
      "ptxas         .     16 bytes stack frame, 24 bytes spill stores, 32 bytes spill loads\n"
      "ptxas info    : Used 40 registers, used 1 barriers, 16 bytes cumulative stack size, 128 bytes smem, "
      "384 bytes "
      "cmem[0]\n";
  const Resources ours = parse_ptxas_log(log, "ours");
  CHECK(ours.registers == 40);
  CHECK(ours.stack_bytes == 16);
  CHECK(ours.spill_store_bytes == 24);
  CHECK(ours.spill_load_bytes == 32);
  CHECK(ours.shared_bytes == 128);
  CHECK(ours.constant_bytes == 384);
  CHECK(parse_ptxas_log(log, "other").registers == 99);
  CHECK(parse_ptxas_log(log, "absent").registers == 0);
}

TEST_CASE("an excerpt numbers the lines around an error") {
  const std::string source = "one\ntwo\nthree\nfour\nfive\n";
  CHECK(numbered_excerpt(source, 3, 1) == "     2 | two\n>    3 | three\n     4 | four\n");
  CHECK(numbered_excerpt(source, 1, 1) == ">    1 | one\n     2 | two\n");
  CHECK(numbered_excerpt("", 1, 1).empty());
}

TEST_CASE("a unit with an include compiles to cubin and PTX") {
  const NvrtcSearch search = load_nvrtc();
  if (search.nvrtc == nullptr) {
    WARN("no NVRTC on this machine: " << search.remedy);
    return;
  }
  CompileRequest unit = request(good);
  unit.headers = {{"a.cuh", "template <class C> __global__ void kernel(int* out) { *out = C::n; }\n"}};
  const CompileResult result = compile(*search.nvrtc, unit);
  CHECK(result.ptx.find(".entry " + result.lowered_names.at(0)) != std::string::npos);
  CHECK(result.ptx.find(".target sm_90a") != std::string::npos);
  CHECK(result.cubin.substr(1, 3) == "ELF");
  CHECK(result.resources.registers > 0);
  CHECK(result.milliseconds > 0);
}

TEST_CASE("a template that does not compile is shown, numbered, with options and log") {
  const NvrtcSearch search = load_nvrtc();
  if (search.nvrtc == nullptr) {
    WARN("no NVRTC on this machine: " << search.remedy);
    return;
  }
  CompileRequest unit = request(good);
  unit.headers = {
      {"a.cuh", "template <class C>\n__global__ void kernel(int* out) {\n  *out = C::absent;\n}\n"}};
  try {
    static_cast<void>(compile(*search.nvrtc, unit));
    FAIL("compiled");
  } catch (const Error& error) {
    const std::string what = error.what();
    CHECK(error.code() == ErrorCode::compile_failed);
    CHECK(what.find("test.kernel [n=1]") != std::string::npos);
    CHECK(what.find("a.cuh:") != std::string::npos);
    CHECK(what.find(">    3 |   *out = C::absent;") != std::string::npos);
    CHECK(what.find("--gpu-architecture=sm_90a") != std::string::npos);
    CHECK(what.find("absent") != std::string::npos);
  }
}

TEST_CASE("an architecture that the compiler does not support is an error that says so") {
  const NvrtcSearch search = load_nvrtc();
  if (search.nvrtc == nullptr) {
    WARN("no NVRTC on this machine: " << search.remedy);
    return;
  }
  CompileRequest unit = request(good);
  unit.options[0] = "--gpu-architecture=sm_12";
  unit.headers = {{"a.cuh", "template <class C> __global__ void kernel(int* out) { *out = C::n; }\n"}};
  try {
    static_cast<void>(compile(*search.nvrtc, unit));
    FAIL("compiled");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(std::string(error.what()).find("sm_12") != std::string::npos);
  }
}
