#include <signal.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/tools/commands/command_process.hpp"
#include "tests/tools/commands/refused_arguments.hpp"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const Arguments bench_norm = {"bench", "norm.rms_norm", "--set", "hidden=256"};
/// So few samples that the virtual GPU takes them quickly.
const Arguments quick = {"--rows", "2", "--time", "1ms"};

TEST_CASE("a measurement asked for wrongly is exit code 2 with the nearest that is valid") {
  const RefusedArguments cases[] = {
      {{"bench"}, "op is required"},
      {{"bench", "norm.rms_nrm"}, "did you mean norm.rms_norm?"},
      {{"bench", "norm.rms_norm"}, "hidden is required"},
      {with(bench_norm, {"--rows", "0"}), "the least is 1"},
      {with(bench_norm, {"--rows", "-1"}), "-1"},
      {with(bench_norm, {"--device", "h100"}), "did you mean sim:h100?"},
      {with(bench_norm, {"--device", "sim:h10"}), "did you mean sim:h100?"},
      {with(bench_norm, {"--device", "cuda:first"}), "did you mean cuda:0?"},
      {with(bench_norm, {"--tunables", "thread=32,rows_per_block=1"}), "did you mean threads?"},
      {with(bench_norm, {"--tunables", "threads=7,rows_per_block=1"}), "threads = 7 must be"},
      {with(bench_norm, {"--tunables", "threads=128"}), "rows_per_block is not given"},
      {with(bench_norm, {"--against", "defaut"}), "'defaut' is not a tunable"},
      {with(bench_norm, {"--l2", "cool"}), "did you mean cold?"},
      {with(bench_norm, {"--launch", "grahp"}), "did you mean graph?"},
      {with(bench_norm, {"--data", "unifrom"}), "did you mean uniform?"},
      {with(bench_norm, {"--data", "zipf:0"}), "above 0"},
      {with(bench_norm, {"--data", "zipf:1.1"}), "no data steer its time"},
      {with(bench_norm, {"--time", "0s"}), "the least is 1ms"},
      {with(bench_norm, {"--time", "soon"}), "write it as 500ms"},
      {with(bench_norm, {"--width", "0%"}), "the nearest is 0.01%"},
      {with(bench_norm, {"--width", "200%"}), "the nearest is 100%"},
      {with(bench_norm, {"--width", "2"}), "write it as 2%"},
      {with(bench_norm, {"--seed", "-1"}), "--seed"},
      {with(bench_norm, {"--best-effort"}), "--model only"},
      {{"bench", "moe.fused_gate", "--model", "llama-3-8b"}, "does not use moe.fused_gate"},
  };
  check_refused(cases);
}

TEST_CASE("a device that the driver does not have is an error") {
  const CommandPlace place;
  const Outcome outcome = place.run(with(bench_norm, {"--device", "cuda:0"}), {{"KERNCAST_DRIVER", ""}});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Catch::Contains("no usable driver") || Catch::Contains("device"));
}

TEST_CASE(
    "an op is measured at each row count, with its rate, and the virtual GPU's times are called what they "
    "are") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Outcome outcome = place.run(with(bench_norm, {"--rows", "4,1", "--time", "1ms", "--json"}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const json all = outcome.json();
  CHECK(all.at("op") == "norm.rms_norm");
  CHECK(all.at("estimate") == true);
  CHECK(all.at("data").is_null());
  CHECK(all.at("policy") == "graphs of 200 us and at most 64 programmatic launches, cold L2");
  const json& results = all.at("results");
  REQUIRE(results.size() == 2);
  CHECK(results.at(0).at("rows") == 1);
  CHECK(results.at(1).at("rows") == 4);
  for (const json& result : results) {
    CHECK(result.at("ok") == true);
    CHECK(result.at("copies").get<int>() >= 1);
    CHECK(result.at("disturbed").is_null());
    const json& times = result.at("times");
    REQUIRE(times.size() == 1);
    CHECK(times.at(0).at("median_us").get<double>() > 0);
    CHECK(times.at(0).at("samples") == times.at(0).at("samples_us").size());
    CHECK(times.at(0).at("low_us") <= times.at(0).at("median_us"));
    CHECK(times.at(0).at("median_us") <= times.at(0).at("high_us"));
    CHECK(times.at(0).at("key").get<std::string>().size() == 32);
  }
  const Outcome text = place.run(with(bench_norm, quick));
  REQUIRE(text.code == 0);
  CHECK_THAT(text.out, Catch::Contains("estimate µs") && Catch::Contains("an estimate of no device") &&
                           Catch::Contains("wider than 2 %"));
}

TEST_CASE("--device sim:NAME estimates that device on its architecture") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Outcome outcome = place.run(with(with(bench_norm, quick), {"--device", "sim:a100", "--json"}));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.json().at("arch") == "sm_80");
  CHECK(outcome.json().at("estimate") == true);
  CHECK(outcome.json().at("peak_gb_per_s") == 2039);
  const Outcome text = place.run(with(with(bench_norm, quick), {"--device", "sim:a100"}));
  CHECK_THAT(text.out, Catch::Contains("the cost model of a100"));
}

TEST_CASE("given tunables are compared with the default over the same rounds, under every policy") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Arguments compared =
      with(with(bench_norm, quick), {"--tunables", "threads=64,rows_per_block=1", "--against", "default",
                                     "--seed", "5", "--width", "0.5%"});
  for (const Arguments& policy : {Arguments{"--l2", "warm"}, {"--l2", "cold"}, {"--launch", "stream"}}) {
    const Outcome outcome = place.run(with(with(compared, policy), {"--json"}));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const json times = outcome.json().at("results").at(0).at("times");
    REQUIRE(times.size() == 2);
    CHECK(times.at(1).at("tunables") == "threads=64 rows_per_block=1");
    CHECK(times.at(0).at("samples") == times.at(1).at("samples"));
    CHECK(times.at(1).at("gain").at("pairs") == times.at(0).at("samples"));
    CHECK_THAT(outcome.json().at("policy").get<std::string>(), Catch::Contains(policy[1]));
  }
  const Outcome given =
      place.run(with(with(bench_norm, quick), {"--against", "threads=64,rows_per_block=1"}));
  REQUIRE(given.code == 0);
  CHECK_THAT(given.out, Catch::Contains("gain over the first"));
}

TEST_CASE("a model gives the shapes, and data that steer the time are part of the report") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("config.json", tiny_model());
  const Outcome outcome = place.run({"bench", "moe.permute", "--model", "config.json", "--rows", "2",
                                     "--time", "1ms", "--data", "zipf:1.1", "--json"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.json().at("data") == "zipf 1.1");
  CHECK_FALSE(outcome.json().at("results").at(0).at("label").get<std::string>().empty());
}

TEST_CASE("clocks that change during a measurement mark it as disturbed") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  fs::create_symlink(KERNCAST_FAKE_NVML, place.directory.file("libnvidia-ml.so.1"));
  const std::vector<std::pair<std::string, std::string>> environment = {
      {"LD_LIBRARY_PATH", place.directory.path()},
      {"FAKE_NVML_LOOKS", "1980 2619 60 500000 0;990 2619 88 400000 32"}};
  const Outcome outcome = place.run(with(with(bench_norm, quick), {"--json"}), environment);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const json result = outcome.json().at("results").at(0);
  CHECK(result.at("before").at("sm_mhz") == 1980);
  CHECK(result.at("after").at("celsius") == 88);
  CHECK(result.at("after").at("throttled").size() == 1);
  CHECK_THAT(result.at("disturbed").get<std::string>(), Catch::Contains("from 1980 to 990 MHz"));
  CHECK_THAT(place.run(with(bench_norm, quick), environment).out, Catch::Contains("disturbed: "));
}

TEST_CASE("a shape in which the device faults ends with its error, and the others are measured") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  fs::copy(KERNCAST_TEMPLATES, place.directory.file("templates"), fs::copy_options::recursive);
  const std::string path = place.directory.file("templates/norm/rms_norm/kernel.cuh");
  std::string kernel = place.directory.read("templates/norm/rms_norm/kernel.cuh");
  const std::string body = "rms_norm_kernel(const RmsNormKernelArgs args) {\n";
  const std::size_t place_of_body = kernel.find(body);
  REQUIRE(place_of_body != std::string::npos);
  kernel.insert(place_of_body + body.size(), "  if (args.rows == 3) { asm volatile(\"trap;\"); }\n");
  std::ofstream(path) << kernel;
  const Outcome outcome = place.run(with(bench_norm, {"--rows", "2,3,4", "--time", "1ms", "--json"}),
                                    {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}});
  INFO(outcome.err);
  CHECK(outcome.code == 1);
  const json results = outcome.json().at("results");
  REQUIRE(results.size() == 3);
  CHECK(results.at(0).at("ok") == true);
  CHECK(results.at(1).at("ok") == false);
  CHECK_THAT(results.at(1).at("error").get<std::string>(), Catch::Contains("trap"));
  CHECK(results.at(2).at("ok") == true);
  CHECK_THAT(outcome.err, Catch::Contains("with 3 rows: "));
}

/// True once the cache directory holds a kernel.
bool has_entry(const CommandPlace& place) {
  std::error_code error;
  for (fs::recursive_directory_iterator file(place.directory.file("cache"), error), end;
       !error && file != end; file.increment(error)) {
    if (file->path().extension() == ".kce") {
      return true;
    }
  }
  return false;
}

TEST_CASE("Ctrl-C ends a measurement, and what was measured is printed") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  // 200 rounds of this shape take the virtual GPU far longer than the test waits.
  const pid_t child = place.start({"bench", "norm.rms_norm", "--set", "hidden=4096", "--rows", "2048,4096",
                                   "--time", "2h", "--width", "0.01%", "--json"});
  const auto has_ended = [&] {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
  };
  while (!has_entry(place) && !has_ended()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(child, SIGINT);
  const Outcome outcome = place.wait(child);
  INFO(outcome.err);
  CHECK(outcome.code == 130);
  CHECK_THAT(outcome.err, Catch::Contains("stopped after 1 of 2 shapes"));
  CHECK(outcome.json().at("results").at(0).at("ended_by") == "interrupted");
}

TEST_CASE("every allocation is freed") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Outcome outcome =
      place.run(with(bench_norm, {"--rows", "1,2", "--time", "1ms", "--against", "default"}),
                {{"KERNCAST_SIM_LEAKS", "1"}});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.err, !Catch::Contains("never freed"));
}

}  // namespace
