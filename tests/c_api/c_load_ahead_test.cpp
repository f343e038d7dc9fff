#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/c_api/c_host.hpp"

using namespace kerncast::test;

TEST_CASE("a capture takes a kernel that was loaded before, and refuses one that was not") {
  CHost host;
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", matrix(host.memory(matrix_bytes, 1)))
      .tensor("y", matrix(host.memory(matrix_bytes, 2)));
  void* stream = nullptr;
  REQUIRE(host.symbol<int(void**, unsigned)>("cuStreamCreate")(&stream, 1) == 0);
  const auto begin = [&] { return host.symbol<int(void*, int)>("cuStreamBeginCapture")(stream, 2); };
  const auto end = [&] {
    void* graph = nullptr;
    REQUIRE(host.symbol<int(void*, void**)>("cuStreamEndCapture")(stream, &graph) == 0);
    REQUIRE(host.symbol<int(void*)>("cuGraphDestroy")(graph) == 0);
  };
  REQUIRE(begin() == 0);
  const Outcome miss = outcome([&](auto** e) { return kerncast_run(host.c, arguments.handle, stream, e); });
  CHECK(miss.status == KERNCAST_CAPTURE_MISS);
  CHECK_THAT(miss.message, Catch::Contains("kerncast warm norm.rms_norm"));
  end();
  kerncast_report* report = nullptr;
  require_ok([&](auto** e) { return kerncast_ensure(host.c, arguments.handle, nullptr, &report, e); });
  CHECK(kerncast_report_text(report, "origin") == std::string("compiled"));
  CHECK(kerncast_report_text(report, "op") == std::string("norm.rms_norm"));
  CHECK(kerncast_report_text(report, "nothing") == nullptr);
  CHECK(kerncast_report_number(report, "compile_ms") > 0);
  kerncast_report_free(report);
  REQUIRE(begin() == 0);
  require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, stream, e); });
  end();
  CHECK(host.symbol<int(void*)>("cuStreamDestroy")(stream) == 0);
}

TEST_CASE("kernels are compiled and found ahead of time by text") {
  CHost host;
  const kerncast_op* op = nullptr;
  require_ok([&](auto** e) { return kerncast_op_find("norm.l2_norm", &op, e); });
  const char* settings = "x_dtype=bf16 y_dtype=bf16 hidden=256";
  kerncast_report* report = nullptr;
  require_ok(
      [&](auto** e) { return kerncast_cache_find(host.c, op, settings, "sm_90a", 3, nullptr, &report, e); });
  CHECK(report == nullptr);
  require_ok(
      [&](auto** e) { return kerncast_compile(host.c, op, settings, "sm_90a", 3, nullptr, nullptr, e); });
  require_ok(
      [&](auto** e) { return kerncast_cache_find(host.c, op, settings, "sm_90a", 3, nullptr, &report, e); });
  REQUIRE(report != nullptr);
  CHECK(std::string(kerncast_report_text(report, "key")).size() == 32);
  kerncast_report_free(report);
  char* lines = nullptr;
  require_ok([&](auto** e) { return kerncast_tunables(host.c, op, settings, "sm_90a", 3, 0, &lines, e); });
  CHECK_THAT(lines, Catch::Contains("threads="));
  kerncast_text_free(lines);
  const Outcome wrong = outcome(
      [&](auto** e) { return kerncast_compile(host.c, op, "hidden", "sm_90a", 3, nullptr, nullptr, e); });
  CHECK(wrong.status == KERNCAST_INVALID_ARGUMENT);
  CHECK_THAT(wrong.message, Catch::Contains("'hidden' is not of the form NAME=VALUE"));
}

TEST_CASE("a record is loaded ahead, a sealed runtime compiles nothing, and a listener hears of it") {
  CHost host;
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", matrix(host.memory(matrix_bytes, 1)))
      .tensor("y", matrix(host.memory(matrix_bytes, 2)));
  const std::string record = host.folder.file("record");
  kerncast_options* options = nullptr;
  kerncast_runtime* runtime = nullptr;
  std::vector<std::string> heard;
  const auto listener = [](void* user, const kerncast_event* event) {
    static_cast<std::vector<std::string>*>(user)->push_back(std::to_string(event->kind) + " " + event->op);
  };
  require_ok([&](auto** e) { return kerncast_options_create(&options, e); });
  require_ok([&](auto** e) {
    return kerncast_options_set(options, "cache_directory", host.folder.file("cache").c_str(), e);
  });
  require_ok([&](auto** e) { return kerncast_options_set(options, "record", record.c_str(), e); });
  require_ok([&](auto** e) { return kerncast_options_set_listener(options, listener, &heard, 1, e); });
  require_ok([&](auto** e) { return kerncast_runtime_create(options, &runtime, e); });
  require_ok([&](auto** e) { return kerncast_run(runtime, arguments.handle, nullptr, e); });
  kerncast_runtime_free(runtime);
  kerncast_options_free(options);
  CHECK(heard == std::vector<std::string>{"0 norm.rms_norm", "1 norm.rms_norm", "2 norm.rms_norm",
                                          "3 norm.rms_norm", "5 norm.rms_norm"});

  kerncast_load_report report{};
  char* failures = nullptr;
  require_ok([&](auto** e) { return kerncast_load_all(host.c, record.c_str(), 0, &report, &failures, e); });
  CHECK(report.compiled == 1);
  CHECK(report.failed == 0);
  CHECK(std::string(failures).empty());
  kerncast_text_free(failures);
  const Outcome none =
      outcome([&](auto** e) { return kerncast_load_all(host.c, "/nonexistent", 0, nullptr, nullptr, e); });
  CHECK(none.status == KERNCAST_IO_ERROR);

  require_ok([&](auto** e) { return kerncast_seal(host.c, e); });
  require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
  Arguments other("norm.l2_norm");
  other.tensor("x", matrix(host.memory(matrix_bytes, 1))).tensor("y", matrix(host.memory(matrix_bytes, 2)));
  const Outcome miss = outcome([&](auto** e) { return kerncast_run(host.c, other.handle, nullptr, e); });
  CHECK(miss.status == KERNCAST_CACHE_MISS);
}
