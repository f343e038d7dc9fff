// The events of kernels that listeners and the trace file hear.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/dispatch/observe/trace_file.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;
using Json = nlohmann::json;

namespace {

struct Heard {
  KernelEventKind kind;
  std::string op;
  std::string spec;
  std::string key;
  std::string error;
  int device;
  std::int64_t rows;
  std::array<unsigned, 3> block;
  void* stream;
  std::chrono::nanoseconds duration;
};

struct Fixture : RowsOfOnes {
  [[nodiscard]] RuntimeOptions listening(bool launches) {
    RuntimeOptions out = options(MissPolicy::compile);
    out.listener = [this](const KernelEvent& event) {
      heard.push_back({event.kind, std::string(event.op), std::string(event.spec), std::string(event.key),
                       std::string(event.error), event.device, event.rows, event.block, event.stream,
                       event.duration});
    };
    out.listen_to_launches = launches;
    out.warn = [this](std::string_view text) { warnings.emplace_back(text); };
    return out;
  }
  [[nodiscard]] std::vector<KernelEventKind> kinds() const {
    std::vector<KernelEventKind> out;
    out.reserve(heard.size());
    for (const Heard& event : heard) {
      out.push_back(event.kind);
    }
    return out;
  }

  std::vector<Heard> heard;
  std::vector<std::string> warnings;
};

KernelEvent a_launch() {
  KernelEvent event;
  event.kind = KernelEventKind::launch;
  event.op = "norm.rms_norm";
  event.spec = "hidden=\"64\"\n";
  event.arch = "sm_90a";
  event.device = 0;
  event.rows = 7;
  event.duration = std::chrono::microseconds(2);
  return event;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "a first launch is a miss, a compile, a load and a launch; the next is a launch") {
  Runtime listened(listening(true));
  launch(listened, arguments, nullptr);
  using Kind = KernelEventKind;
  REQUIRE(kinds() ==
          std::vector{Kind::miss, Kind::compile_begin, Kind::compile_end, Kind::load, Kind::launch});
  for (const Heard& event : heard) {
    CHECK(event.op == "norm.rms_norm");
    CHECK_THAT(event.spec, Catch::Contains("hidden=256"));
    CHECK(event.error.empty());
  }
  CHECK(heard[1].key.size() == 32);
  CHECK(heard[2].key == heard[1].key);
  CHECK(heard[3].key == heard[1].key);
  CHECK(heard[2].duration > std::chrono::milliseconds(1));
  CHECK(heard[1].device == -1);
  CHECK(heard[3].device == 0);
  CHECK(heard[4].rows == rows);
  CHECK(heard[4].block[0] >= 32);

  heard.clear();
  const driver::StreamHandle stream(context.api(), driver::CU_STREAM_NON_BLOCKING);
  launch(listened, arguments, stream.get());
  const PreparedLaunch prepared = prepare(listened, arguments);
  prepared.launch(nullptr);
  context.synchronize();
  REQUIRE(kinds() == std::vector{KernelEventKind::launch, KernelEventKind::launch});
  CHECK(heard[0].stream == stream.get());
  CHECK(heard[1].stream == nullptr);
}

TEST_CASE_METHOD(Fixture, "a kernel of the cache is a miss and a load; launches are told on request alone") {
  launch(runtime, arguments, nullptr);
  Runtime listened(listening(false));
  launch(listened, arguments, nullptr);
  launch(listened, arguments, nullptr);
  context.synchronize();
  CHECK(kinds() == std::vector{KernelEventKind::miss, KernelEventKind::load});
}

TEST_CASE_METHOD(Fixture, "a compile that fails ends with its error") {
  OpDefinition broken = OpRegistry::instance().require("norm.rms_norm");
  broken.name = "test.broken";
  broken.sources = {{"broken.cuh", "this is no CUDA"}};
  broken.include = "broken.cuh";
  Runtime listened(listening(false));
  CHECK_THROWS_AS(listened.compile(broken, specialise(broken, {{"hidden", "64"}}), "sm_90a", 1), Error);
  REQUIRE(kinds() == std::vector{KernelEventKind::compile_begin, KernelEventKind::compile_end});
  CHECK_THAT(heard[1].error, Catch::Contains("test.broken"));
}

TEST_CASE_METHOD(Fixture, "an exception of a listener fails no launch and gives one warning") {
  RuntimeOptions throwing = listening(true);
  throwing.listener = [](const KernelEvent&) { throw std::runtime_error("listener"); };
  Runtime listened(throwing);
  launch(listened, arguments, nullptr);
  context.synchronize();
  CHECK(result() == std::vector<float>(RowsOfOnes::rows * RowsOfOnes::hidden, 1.0F));
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("listener"));
}

TEST_CASE_METHOD(Fixture, "the trace of a runtime is an array of events with their kernels and times") {
  const std::string path = folder.file("trace-%p.json");
  {
    RuntimeOptions traced = options(MissPolicy::compile);
    traced.trace = path;
    Runtime host(traced);
    launch(host, arguments, nullptr);
    context.synchronize();
  }
  const Json events = Json::parse(folder.read("trace-" + std::to_string(::getpid()) + ".json"));
  std::vector<std::string> categories;
  for (const Json& event : events) {
    if (event.at("ph") == "M") {
      continue;
    }
    categories.push_back(event.at("cat").get<std::string>());
    CHECK(event.at("name") == "norm.rms_norm");
    CHECK(event.at("pid") == ::getpid());
    CHECK_THAT(event.at("args").at("spec").get<std::string>(), Catch::Contains("hidden=256"));
  }
  CHECK(categories == std::vector<std::string>{"miss", "compile", "load", "launch"});
  const Json& launched = events.at(events.size() - 2);
  CHECK(launched.at("args").at("rows") == rows);
  CHECK(launched.at("args").at("block").at(0) >= 32);
  CHECK(launched.at("dur") > 0);
}

TEST_CASE_METHOD(Fixture, "a trace that cannot be written, or is full, gives one warning") {
  const auto warn = [this](std::string_view text) { warnings.emplace_back(text); };
  SECTION("a folder") {
    TraceFile file(folder.path(), warn);
    file.write(a_launch());
    file.write(a_launch());
    CHECK(warnings.size() == 1);
  }
  SECTION("a full disk") {
    TraceFile file("/dev/full", warn);
    file.write(a_launch());
    file.finish();
    CHECK(warnings.size() == 1);
  }
  SECTION("the limit") {
    TraceFile file(folder.file("small"), warn, 1000);
    for (int i = 0; i < 1000; ++i) {
      file.write(a_launch());
    }
    file.finish();
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], Catch::Contains("limit"));
    CHECK(folder.read("small").size() <= 1000);
  }
}

TEST_CASE_METHOD(Fixture, "texts are quoted, nothing makes no file, and a forked child writes nothing") {
  const auto warn = [this](std::string_view text) { warnings.emplace_back(text); };
  {
    const TraceFile unused(folder.file("unused"), warn);
  }
  CHECK_FALSE(std::filesystem::exists(folder.file("unused")));
  {
    TraceFile file(folder.file("trace"), warn);
    file.write(a_launch());
    CHECK(run_child([&] {
            file.write(a_launch());
            file.finish();
            return 0;
          }) == 0);
  }
  const Json events = Json::parse(folder.read("trace"));
  REQUIRE(events.size() == 3);
  CHECK(events.at(1).at("args").at("spec") == "hidden=\"64\"\n");
  CHECK(warnings.empty());
}
