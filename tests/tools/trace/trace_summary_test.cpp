#include "tools/trace/trace_summary.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "kerncast/error.hpp"

using namespace kerncast;
using namespace kerncast::tools;

namespace {

std::string event(const std::string& category, const std::string& spec, double begin_us, double length_us,
                  const std::string& more = "") {
  return R"({"name":"norm.rms_norm","cat":")" + category + R"(","ph":"X","ts":)" + std::to_string(begin_us) +
         R"(,"dur":)" + std::to_string(length_us) + R"(,"pid":1,"tid":2,"args":{"spec":")" + spec +
         R"(","arch":"sm_90a")" + more + "}},\n";
}

const std::string begin =
    "[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"kerncast\"}},\n";

}  // namespace

TEST_CASE("events are summed by kernel, the longest compile first") {
  const std::string text = begin + event("launch", "hidden=64", 100, 2, R"(,"rows":3,"stream":"0x0")") +
                           event("launch", "hidden=64", 200, 4, R"(,"rows":9,"stream":"0x8")") +
                           event("miss", "hidden=128", 300, 0) + event("compile", "hidden=128", 300, 5000) +
                           event("compile", "hidden=128", 6000, 1000, R"(,"error":"no")") +
                           event("load", "hidden=128", 7000, 50) + event("replaced", "hidden=128", 7000, 0) +
                           "]\n";
  const TraceSummary summary = summarise_trace(text, "trace.json");
  REQUIRE(summary.kernels.size() == 2);
  CHECK(summary.events == 7);
  CHECK(summary.bad_lines == 0);
  CHECK(summary.seconds == Approx(6950e-6));
  const TracedKernel& compiled = summary.kernels[0];
  CHECK(compiled.spec == "hidden=128");
  CHECK(compiled.compiles == 1);
  CHECK(compiled.failed_compiles == 1);
  CHECK(compiled.compile_ms == Approx(6));
  CHECK(compiled.misses == 1);
  CHECK(compiled.loads == 1);
  CHECK(compiled.load_us == Approx(50));
  CHECK(compiled.replaced == 1);
  const TracedKernel& launched = summary.kernels[1];
  CHECK(launched.launches == 2);
  CHECK(launched.launch_us == Approx(6));
  CHECK(launched.streams.size() == 2);
  CHECK(launched.rows == std::set<std::int64_t>{3, 9});
}

TEST_CASE("the trace of a killed process is read up to its last whole line") {
  const std::string whole = begin + event("miss", "hidden=64", 1, 0);
  const TraceSummary summary =
      summarise_trace(whole + event("load", "hidden=64", 2, 1).substr(0, 40), "trace.json");
  CHECK(summary.events == 1);
  CHECK(summary.bad_lines == 1);
}

TEST_CASE("a file without an event is an error that names it") {
  for (const std::string& text : {std::string(), std::string("text\n"), begin, std::string("{}\n[1]\n3\n")}) {
    CHECK_THROWS_WITH(summarise_trace(text, "some.json"), Catch::Contains("some.json"));
  }
}
