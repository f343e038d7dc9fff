#include "tools/warm/request_record.hpp"

#include <catch2/catch.hpp>

#include "kerncast/error.hpp"
#include "tests/temporary_directory.hpp"

namespace kerncast::tools {
namespace {

constexpr const char* norm_17 =
    R"({"op": "norm.rms_norm", "set": "x_dtype=f16 hidden=64", "arch": "sm_90a", "sms": 132, "rows": 17})"
    "\n";
constexpr const char* norm_32 =
    R"({"op": "norm.rms_norm", "set": "x_dtype=f16 hidden=64", "arch": "sm_90a", "sms": 132, "rows": 32})"
    "\n";
constexpr const char* norm_33 =
    R"({"op": "norm.rms_norm", "set": "x_dtype=f16 hidden=64", "arch": "sm_90a", "sms": 132, "rows": 33})"
    "\n";
constexpr const char* gate =
    R"({"op": "moe.fused_gate", "set": "experts=8", "arch": "sm_80", "sms": 108, "rows": 1})"
    "\n";

TEST_CASE("a record says op, settings, architecture, multiprocessors and rows") {
  const TemporaryDirectory directory;
  Console console;
  const std::vector<KernelRequest> records = read_records(directory.write("record", norm_17), console);
  REQUIRE(records.size() == 1);
  CHECK(records[0].op == "norm.rms_norm");
  CHECK(setting_texts(records[0]) == std::vector<std::string>{"x_dtype=f16", "hidden=64"});
  CHECK(records[0].arch == "sm_90a");
  CHECK(records[0].sm_count == 132);
  CHECK(records[0].rows == 17);
}

TEST_CASE("lines that are no records are left out, whatever is in them") {
  const TemporaryDirectory directory;
  Console console;
  const std::string text = std::string(norm_17) + "{\"op\": \"norm.rms_n\nnonsense\n[]\n{}\n\n" +
                           R"({"op": 3, "set": "", "arch": "sm_90a", "sms": 132, "rows": 1})"
                           "\n" +
                           R"({"op": "a", "set": "", "arch": "../etc", "sms": 132, "rows": 1})"
                           "\n\xff\xfe\n" +
                           gate;
  const std::vector<KernelRequest> records = read_records(directory.write("record", text), console);
  REQUIRE(records.size() == 2);
  CHECK(records[1].op == "moe.fused_gate");
  CHECK_THROWS_AS(read_records(directory.file("none"), console), Error);
}

TEST_CASE("merging keeps each kernel once, in one order") {
  const TemporaryDirectory directory;
  Console console;
  const std::string a = directory.write("a", std::string(norm_32) + norm_33 + gate);
  const std::string b = directory.write("b", std::string(gate) + norm_17 + norm_17);
  const std::string merged = merge_records({a, b}, console);
  CHECK(merged == std::string(gate) + norm_17 + norm_33);
  CHECK(merge_records({b, a}, console) == merged);
  CHECK(merge_records({directory.write("merged", merged)}, console) == merged);
  CHECK(merge_records({directory.write("empty", "")}, console).empty());
}

}  // namespace
}  // namespace kerncast::tools
