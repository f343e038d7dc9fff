// Machines that warm the same plan and take its kernels from a queue on a Redis. Processes with a directory
// of their own stand for machines.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "cache/remote/server/remote_server.hpp"
#include "tests/cache/remote/redis_process.hpp"
#include "tests/cache/remote/scripted_server.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using Arguments = std::vector<std::string>;
using Environment = std::vector<std::pair<std::string, std::string>>;
using nlohmann::json;

/// A machine that warms the kernels of a small model. Its times are far longer than what a loaded machine
/// needs.
class Machine {
 public:
  explicit Machine(int port) : remote_("redis://127.0.0.1:" + std::to_string(port)) {
    place_.directory.write("tiny.json", tiny_dense_model());
  }
  /// The options of the command for the whole plan.
  [[nodiscard]] static Arguments arguments(const Arguments& more) {
    Arguments out = {"warm", "--model", "tiny.json", "--arch", "sm_90a"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  void start(const std::string& wait_ms = "240000", Arguments plan = arguments({})) {
    plan.insert(plan.end(), {"--shard", "auto", "--json", "--jobs", "1"});
    child_ = place_.start(plan, environment(wait_ms));
  }
  Outcome wait() { return place_.wait(child_); }
  void signal(int number) const { ::kill(child_, number); }
  [[nodiscard]] Outcome run(const Arguments& more, bool with_server = true) const {
    return place_.run(arguments(more), with_server ? environment("240000") : Environment());
  }
  /// Waits until this machine has compiled something.
  void await_entry() const {
    namespace fs = std::filesystem;
    const fs::path root = place_.directory.file("cache");
    for (int i = 0; i < 6000; ++i) {
      std::error_code error;
      for (fs::recursive_directory_iterator file(root, error), end; !error && file != end;
           file.increment(error)) {
        if (file->path().extension() == ".kce") {
          return;
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL("nothing was compiled");
  }
  /// Checks that the next process of this machine has all kernels, whatever becomes of the server.
  void check_warm() const { CHECK(run({"--check"}, false).code == 0); }

 private:
  [[nodiscard]] Environment environment(const std::string& wait_ms) const {
    return {{"KERNCAST_CACHE_REMOTE", remote_},
            {"KERNCAST_CACHE_REMOTE_TIMEOUT_MS", "60000"},
            {"KERNCAST_CACHE_REMOTE_LEASES", "0"},  // The queue alone has to keep machines apart.
            {"KERNCAST_CACHE_WAIT_MS", wait_ms}};
  }
  std::string remote_;
  CommandPlace place_;
  pid_t child_ = -1;
};

bool can_run() {
  return Redis::installed() && has_nvrtc();
}

/// The counts at the end of a run that warmed everything.
json end_of(const Outcome& outcome) {
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  const json end = outcome.events("end").at(0);
  CHECK(end.at("failed") == 0);
  CHECK(end.at("compiled").get<int>() + end.at("others").get<int>() + end.at("cached").get<int>() ==
        end.at("kernels").get<int>());
  return end;
}

TEST_CASE("three machines compile each kernel of a plan once") {
  if (!can_run()) {
    return;
  }
  const Redis redis;
  Machine machines[] = {Machine(redis.port()), Machine(redis.port()), Machine(redis.port())};
  for (Machine& machine : machines) {
    machine.start();
  }
  int compiled = 0;
  int kernels = 0;
  for (Machine& machine : machines) {
    const json end = end_of(machine.wait());
    compiled += end.at("compiled").get<int>();
    kernels = end.at("kernels");
    machine.check_warm();
  }
  CHECK(kernels > 2);
  CHECK(compiled == kernels);
  const Outcome table = Machine(redis.port()).run({"--shard", "auto"});
  CHECK(table.code == 0);
  CHECK_THAT(table.out, Catch::Contains("0 compiled here, 0 by other machines meanwhile"));
}

TEST_CASE("a machine that joins late takes a share, and has what was compiled before") {
  if (!can_run()) {
    return;
  }
  const Redis redis;
  Machine first(redis.port());
  Machine late(redis.port());
  first.start();
  first.await_entry();
  late.start();
  const json first_end = end_of(first.wait());
  const json late_end = end_of(late.wait());
  CHECK(first_end.at("compiled").get<int>() + late_end.at("compiled").get<int>() ==
        first_end.at("kernels").get<int>());
  CHECK(late_end.at("compiled") < late_end.at("kernels"));
  late.check_warm();
}

TEST_CASE("a machine that is killed leaves its kernels to the others") {
  if (!can_run()) {
    return;
  }
  const Redis redis;
  Machine killed(redis.port());
  Machine other(redis.port());
  const std::string wait_ms = "8000";  // Terms end after 8 s.
  killed.start(wait_ms);
  killed.await_entry();
  other.start(wait_ms);
  killed.signal(SIGKILL);
  CHECK(killed.wait().code == 128 + SIGKILL);
  static_cast<void>(end_of(other.wait()));
  other.check_warm();
}

TEST_CASE("a machine that is stopped gives back what it has not compiled") {
  if (!can_run()) {
    return;
  }
  const Redis redis;
  Machine machine(redis.port());
  machine.start("240000", {"warm", "--model", "llama-3-8b", "--arch", "sm_90a"});
  machine.await_entry();
  machine.signal(SIGINT);
  CHECK(machine.wait().code == 130);
  kerncast::cache::RemoteOptions options;
  options.address = kerncast::cache::RemoteAddress("redis://127.0.0.1:" + std::to_string(redis.port()));
  options.timeout = std::chrono::seconds(60);
  std::string defect;
  const auto server = kerncast::cache::remote_server(options, defect);
  REQUIRE(server != nullptr);
  const kerncast::cache::RemoteAnswer held = server->evaluate(
      "local queue = redis.call('KEYS', 'kerncast:queue:*')[1] "
      "return string.format('%d of %d', redis.call('ZCOUNT', queue, '(0', '(+inf'), "
      "redis.call('ZCOUNT', queue, 0, '(+inf'))",
      "none", {}, kerncast::cache::Deadline::after(std::chrono::seconds(60)));
  INFO(held.failure);
  CHECK_THAT(held.bytes, Catch::StartsWith("0 of ") && !Catch::Equals("0 of 0"));
}

TEST_CASE("a machine whose Redis dies goes on by itself with one warning") {
  if (!can_run()) {
    return;
  }
  Redis redis;
  Machine machine(redis.port());
  machine.start();
  machine.await_entry();
  redis.process().stop();
  const Outcome outcome = machine.wait();
  static_cast<void>(end_of(outcome));
  INFO(outcome.err);
  CHECK(outcome.count_in_err("warning: ") == 1);
  machine.check_warm();
}

TEST_CASE("kernels that a machine has by itself reach the others") {
  if (!can_run()) {
    return;
  }
  const Redis redis;
  const Machine first(redis.port());
  CHECK(first.run({"--ops", "rms_norm"}, false).code == 0);
  CHECK(end_of(first.run({"--shard", "auto", "--json"})).at("compiled") > 0);
  const Machine second(redis.port());
  const json end = end_of(second.run({"--shard", "auto", "--json"}));
  CHECK(end.at("cached") == end.at("kernels"));
}

TEST_CASE("check names the server that serves a kernel") {
  if (!can_run()) {
    return;
  }
  const Redis redis;
  const Machine first(redis.port());
  CHECK(first.run({"--ops", "rms_norm"}).code == 0);
  const Machine second(redis.port());
  const Outcome outcome = second.run({"--check", "--json"});
  CHECK(outcome.code == 1);
  const json report = outcome.json();
  CHECK(!report.at("cached").empty());
  CHECK(!report.at("missing").empty());
  for (const json& kernel : report.at("cached")) {
    CHECK(kernel.at("found_in") == "redis://127.0.0.1:" + std::to_string(redis.port()));
  }
}

TEST_CASE("machines that take leases compile a plan in orders of their own") {
  if (!can_run()) {
    return;
  }
  const Redis redis;
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  const auto warm = [&](const Arguments& more, const Environment& environment) {
    Arguments arguments = {"warm", "--model", "tiny.json", "--arch", "sm_80,sm_90a,sm_100a", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return place.run(arguments, environment);
  };
  const json plan = warm({"--plan"}, {}).json().at("kernels");
  std::vector<std::string> planned;
  for (const json& kernel : plan) {
    planned.push_back(kernel.at("key"));
  }
  const Outcome outcome =
      warm({"--jobs", "1"}, {{"KERNCAST_CACHE_REMOTE", "redis://127.0.0.1:" + std::to_string(redis.port())},
                             {"KERNCAST_CACHE_REMOTE_TIMEOUT_MS", "60000"}});
  CHECK(outcome.code == 0);
  // Two threads that compile in the order of the plan end two kernels apart at most.
  std::size_t far = 0;
  const json compiled = outcome.events("kernel");
  REQUIRE(compiled.size() == planned.size());
  for (std::size_t i = 0; i < compiled.size(); ++i) {
    const auto in_plan =
        std::find(planned.begin(), planned.end(), compiled.at(i).at("key").get<std::string>());
    const auto place_in_plan = static_cast<std::size_t>(in_plan - planned.begin());
    far += place_in_plan > i + 2 || place_in_plan + 2 < i ? 1 : 0;
  }
  REQUIRE(planned.size() > 8);
  CHECK(far > 0);
}

TEST_CASE("a server that is no Redis is left with one warning") {
  if (!has_nvrtc()) {
    return;
  }
  const ScriptedServer server("HTTP/1.0 400 Bad Request\r\n\r\n", "");
  const Machine machine(server.port());
  const Outcome outcome = machine.run({"--shard", "auto", "--json", "--ops", "rms_norm"});
  const json end = end_of(outcome);
  CHECK(end.at("compiled") == end.at("kernels"));
  INFO(outcome.err);
  CHECK(outcome.count_in_err("warning: ") == 1);
}

TEST_CASE("a queue without a server that can have one is an error of usage") {
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  struct Case {
    Environment environment;
    const char* cause;
  };
  const Case cases[] = {
      {{}, "set KERNCAST_CACHE_REMOTE=redis://HOST"},
      {{{"KERNCAST_CACHE_REMOTE", "http://127.0.0.1:1/x"}}, "http://127.0.0.1:1/x is none"},
      {{{"KERNCAST_CACHE_REMOTE", "s3://bucket/x"}}, "s3://bucket/x is none"},
      {{{"KERNCAST_CACHE_REMOTE", "redis://"}}, "cannot be used"},
      {{{"KERNCAST_CACHE_REMOTE", "redis://127.0.0.1:1"}, {"KERNCAST_CACHE_REMOTE_READONLY", "1"}},
       "KERNCAST_CACHE_REMOTE_READONLY is set"}};
  for (const Case& bad : cases) {
    const Outcome outcome = place.run(Machine::arguments({"--shard", "auto"}), bad.environment);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Catch::Contains("--shard auto") && Catch::Contains(bad.cause));
  }
}

}  // namespace
