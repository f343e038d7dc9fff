#include <fmt/format.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/tools/commands/command_process.hpp"

namespace {

using Arguments = std::vector<std::string>;
using nlohmann::json;

const std::vector<std::pair<std::string, std::string>> no_compiler{{"KERNCAST_NVRTC", "none"}};

/// A directory with tiny.json, and the warm command for it.
struct Tiny {
  Tiny() { place.directory.write("tiny.json", tiny_dense_model()); }
  [[nodiscard]] Outcome warm(const Arguments& more,
                             const std::vector<std::pair<std::string, std::string>>& environment = {}) const {
    Arguments arguments = {"warm", "--model", "tiny.json", "--arch", "sm_90a"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return place.run(arguments, environment);
  }

  CommandPlace place;
};

TEST_CASE("check says what is missing, warm compiles it, and then nothing is") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny tiny;
  const Outcome before = tiny.warm({"--check", "--json"});
  CHECK(before.code == 1);
  CHECK_THAT(before.err, Catch::Contains("kernels are not in the cache"));
  const std::size_t kernels = before.json().at("kernels");
  CHECK(before.json().at("missing").size() == kernels);
  CHECK(tiny.place.run({"cache", "stat", "--json"}).json().at("entries") == 0);

  const json plan = tiny.warm({"--plan", "--json"}).json();
  CHECK(plan.at("missing") == kernels);
  CHECK(plan.at("estimated_seconds").get<double>() > 0);
  CHECK_THAT(plan.at("kernels").at(0).at("why").at(0).get<std::string>(), Catch::StartsWith("tiny: "));
  CHECK_THAT(tiny.warm({"--plan"}).out,
             Catch::Contains(fmt::format("{} kernels: 0 cached, {} to compile", kernels, kernels)));

  const Outcome warm = tiny.warm({});
  INFO(warm.err);
  CHECK(warm.code == 0);
  CHECK_THAT(warm.out, Catch::Contains("slowest to compile"));
  const Outcome after = tiny.warm({"--check"}, no_compiler);
  CHECK(after.code == 0);
  CHECK_THAT(after.out, Catch::Contains(fmt::format("{} kernels: {} cached, 0 missing", kernels, kernels)));
  const json counters = tiny.place.run({"cache", "stat", "--json"}).json().at("counters");
  CHECK(counters.at("compiles") == kernels);
}

TEST_CASE("check names the place that serves each kernel") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny layer;
  REQUIRE(layer.warm({"--ops", "rms_norm"}).code == 0);
  const std::string layer_path = layer.place.directory.file("cache");
  const Tiny tiny;
  REQUIRE(tiny.warm({"--ops", "fused_add_rms_norm"}).code == 0);
  const std::vector<std::pair<std::string, std::string>> layered{{"KERNCAST_CACHE_READONLY", layer_path}};
  // A check copies what a layer has into the own directory, so another machine prints the table.
  const Tiny other;
  const Outcome table = other.warm({"--check"}, layered);
  CHECK(table.code == 1);
  CHECK_THAT(table.out,
             Catch::Contains("served by") && Catch::Contains("missing") && Catch::Contains(layer_path));
  const Outcome outcome = tiny.warm({"--check", "--json"}, layered);
  INFO(outcome.err);
  CHECK(outcome.code == 1);
  const json report = outcome.json();
  CHECK(report.at("cached").size() + report.at("missing").size() == report.at("kernels").get<std::size_t>());
  CHECK(!report.at("missing").empty());
  std::set<std::string> ops;
  for (const json& kernel : report.at("cached")) {
    const std::string op = kernel.at("op");
    CHECK(kernel.at("found_in") == (op == "norm.rms_norm" ? layer_path : tiny.place.directory.file("cache")));
    ops.insert(op);
  }
  CHECK(ops == std::set<std::string>{"norm.rms_norm", "norm.fused_add_rms_norm"});
  for (const json& kernel : report.at("missing")) {
    CHECK_FALSE(kernel.contains("found_in"));
  }
}

TEST_CASE("a pack of a plan holds it all, and fills a machine without a compiler") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny from;
  // Other kernels in the cache are left out.
  REQUIRE(from.place.run({"warm", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_80"}).code == 0);
  const std::string pack = from.place.directory.file("tiny.pack");
  const Outcome warm = from.warm({"--out", pack, "--json"});
  INFO(warm.err);
  REQUIRE(warm.code == 0);
  const json verified = from.place.run({"cache", "verify", pack, "--json"}).json();
  CHECK(verified.at("entries") == warm.events("end").at(0).at("kernels"));

  const Tiny to;
  CHECK(to.warm({"--check"}, no_compiler).code == 1);
  CHECK(to.warm({"--check", "--from-pack", pack}, no_compiler).code == 0);
  const Outcome filled = to.warm({"--from-pack", pack, "--json"}, no_compiler);
  INFO(filled.err);
  CHECK(filled.code == 0);
  CHECK(filled.events("end").at(0).at("compiled") == 0);
}

TEST_CASE("shards of a plan fill one cache together") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny tiny;
  const Arguments few = {"--tokens", "1:64", "--json"};
  std::set<std::string> keys;
  for (const char* shard : {"1/2", "2/2"}) {
    Arguments arguments = few;
    arguments.insert(arguments.end(), {"--shard", shard});
    const Outcome outcome = tiny.warm(arguments);
    CHECK(outcome.code == 0);
    CHECK(outcome.events("end").at(0).at("cached") == 0);
    for (const json& kernel : outcome.events("kernel")) {
      CHECK(keys.insert(kernel.at("key")).second);
    }
  }
  const Outcome whole = tiny.warm({"--tokens", "1:64", "--check", "--json"});
  CHECK(whole.code == 0);
  CHECK(whole.json().at("kernels") == keys.size());
}

TEST_CASE("a kernel that fails fails alone, and the exit code tells") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny tiny;
  const std::string templates = tiny.place.directory.file("templates");
  std::filesystem::copy(KERNCAST_TEMPLATES, templates, std::filesystem::copy_options::recursive);
  std::ofstream(templates + "/norm/rms_norm/kernel.cuh", std::ios::app) << "this is no C++;\n";
  const Outcome outcome =
      tiny.warm({"--ops", "rms_norm,fused_add_rms_norm", "--rows", "1", "--json", "--out", "never.pack"},
                {{"KERNCAST_TEMPLATE_DIR", templates}});
  CHECK(outcome.code == 1);
  const json end = outcome.events("end").at(0);
  CHECK(end.at("compiled") == 1);
  CHECK(end.at("failed") == 1);
  CHECK_THAT(end.at("error").get<std::string>(), Catch::Contains("this is no C++"));
  CHECK_THAT(outcome.err, Catch::Contains("norm.rms_norm") && Catch::Contains("1 of 2 kernels") &&
                              Catch::Contains("never.pack is not written"));
  CHECK_FALSE(std::ifstream(tiny.place.directory.file("never.pack")).good());
}

TEST_CASE("an architecture that the compiler does not know is refused before anything is planned") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny tiny;
  for (const char* arch : {"sm_91", "sm_999", "sm_80a", "sm_90f", "sm_90a,sm_70"}) {
    for (const char* how : {"--plan", "--check", "--json"}) {
      const Outcome outcome =
          tiny.place.run({"warm", "--model", "tiny.json", "--arch", arch, how, "--rows", "1"});
      INFO(arch << ' ' << how << ": " << outcome.err);
      CHECK(outcome.code == 2);
      CHECK_THAT(outcome.err, Catch::Contains("does not compile for sm_") && Catch::Contains("it knows sm_"));
    }
  }
}

TEST_CASE("kernels that nobody after this process can read are failures with one cause") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny tiny;
  tiny.place.directory.write("file", "");
  const std::string open = tiny.place.directory.file("open");
  std::filesystem::create_directory(open);
  std::filesystem::permissions(open, std::filesystem::perms::all);
  struct Case {
    std::vector<std::pair<std::string, std::string>> environment;
    const char* cause;
  };
  const Case cases[] = {
      {{{"KERNCAST_CACHE_DIR", tiny.place.directory.file("file/cache")}},
       "cannot write to the cache directory"},
      {{{"KERNCAST_CACHE_DIR", open}}, "others may write to it"},
      {{{"KERNCAST_CACHE_DIR", ""}, {"HOME", ""}, {"XDG_CACHE_HOME", ""}}, "no cache directory"},
      {{{"KERNCAST_CACHE_MAX_BYTES", "1K"}}, "KERNCAST_CACHE_MAX_BYTES"}};
  const Arguments some = {"--ops", "rms_norm,quant.mxfp8", "--quant", "all", "--rows", "1"};
  const auto with = [&](const char* flag) {
    Arguments arguments = some;
    arguments.emplace_back(flag);
    return arguments;
  };
  for (const Case& bad : cases) {
    const Outcome outcome = tiny.warm(with("--json"), bad.environment);
    INFO(bad.cause << ": " << outcome.err);
    CHECK(outcome.code == 1);
    const json end = outcome.events("end").at(0);
    CHECK(end.at("failed") == end.at("kernels"));
    CHECK_THAT(end.at("error").get<std::string>(), Catch::Contains(bad.cause));
    CHECK(outcome.count_in_err("kerncast: error: ") == 2);
    CHECK(outcome.count_in_err("kernels are not in the cache") == 1);
    CHECK(outcome.count_in_err("database  ") == 0);
    CHECK(tiny.warm(with("--check"), bad.environment).code == 1);
  }
}

TEST_CASE("a disk that fills up fails the kernels that it has no room for, and only those") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny tiny;
  const Arguments some = {"--ops", "rms_norm", "--json"};
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit small = before;
  small.rlim_cur = 8192;  // smaller than any entry
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Outcome full = tiny.warm(some);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  INFO(full.err);
  CHECK(full.code == 1);
  const json end = full.events("end").at(0);
  CHECK(end.at("failed") == end.at("kernels"));
  for (const json& kernel : full.events("kernel")) {
    CHECK(kernel.at("ok") == false);
  }
  CHECK(full.count_in_err("kerncast: error: ") == 2);
  CHECK(tiny.warm({"--ops", "rms_norm", "--check"}).code == 1);
  CHECK(tiny.warm(some).code == 0);
  CHECK(tiny.warm({"--ops", "rms_norm", "--check"}).code == 0);
}

TEST_CASE("kernels of a pack that cannot be copied into the cache are failures") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny from;
  const std::string pack = from.place.directory.file("tiny.pack");
  REQUIRE(from.warm({"--ops", "rms_norm", "--out", pack}).code == 0);
  const Tiny to;
  to.place.directory.write("file", "");
  const std::string nowhere = to.place.directory.file("file/cache");
  CHECK(to.warm({"--ops", "rms_norm", "--from-pack", pack}, {{"KERNCAST_CACHE_DIR", nowhere}}).code == 1);
  // A layer that every process reads is as good as the directory.
  const Outcome layer =
      to.warm({"--ops", "rms_norm"}, {{"KERNCAST_CACHE_DIR", nowhere}, {"KERNCAST_CACHE_READONLY", pack}});
  INFO(layer.err);
  CHECK(layer.code == 0);
}

TEST_CASE("unknown names, empty selections and files that are none are errors of a gate") {
  const Tiny tiny;
  tiny.place.directory.write("garbage", "not a pack\nnor a record\n");
  tiny.place.directory.write("empty", "");
  struct Case {
    Arguments arguments;
    int code;
    const char* message;
  };
  const Arguments model = {"warm", "--model", "tiny.json", "--arch", "sm_90a"};
  const Case cases[] = {{{"--ops", "nosuch"}, 2, "--ops nosuch matches no op"},
                        {{"--ops", "norm.rms_nrm"}, 2, "did you mean norm.rms_norm?"},
                        {{"--ops", "norm.*,moe.fused_gate"}, 2, "--ops moe.fused_gate selects no kernel"},
                        {{"--from-pack", "missing"}, 1, "--from-pack missing: not a usable pack"},
                        {{"--from-pack", "garbage"}, 1, "--from-pack garbage: not a usable pack"},
                        {{"--from-record", "missing"}, 1, "missing"},
                        {{"--from-record", "garbage"}, 1, "garbage is not a file of KERNCAST_RECORD"}};
  for (const Case& bad : cases) {
    for (const char* how : {"--check", "--plan", "--json"}) {
      Arguments arguments = model;
      arguments.insert(arguments.end(), bad.arguments.begin(), bad.arguments.end());
      arguments.emplace_back(how);
      const Outcome outcome = tiny.place.run(arguments);
      INFO(outcome.err << " should say: " << bad.message);
      CHECK(outcome.code == bad.code);
      // Whoever reads events line by line can read the error too.
      CHECK(outcome.out.find('\n') ==
            (arguments.back() == "--json" ? outcome.out.size() - 1 : std::string::npos));
      CHECK_THAT(outcome.err, Catch::Contains(bad.message));
    }
  }
  const Outcome empty = tiny.place.run({"warm", "--from-record", "empty"});
  CHECK(empty.code == 2);
  CHECK_THAT(empty.err, Catch::Contains("the plan is empty: empty holds no kernel"));
  CHECK(tiny.place.run({"record", "merge", "out", "garbage"}).code == 1);
  CHECK(tiny.place.run({"record", "merge", "out", "empty"}).code == 1);
  CHECK_FALSE(std::ifstream(tiny.place.directory.file("out")).good());
}

TEST_CASE("a record that this version cannot compile fails the run, and one of a host's own op is named") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny tiny;
  const auto record = [](const char* op, const char* set) {
    return fmt::format(R"({{"op": "{}", "set": "{}", "arch": "sm_90a", "sms": 132, "rows": 1}})", op, set) +
           "\n";
  };
  const std::string good = record("norm.rms_norm", "hidden=64");
  tiny.place.directory.write("old", good + record("norm.rms_norm", "width=64"));
  tiny.place.directory.write("own", good + record("own.op", "width=64"));
  const Outcome old = tiny.place.run({"warm", "--from-record", "old", "--json"});
  CHECK(old.code == 1);
  CHECK(old.events("end").at(0).at("left_out").at(0).at("failed") == true);
  CHECK_THAT(old.err, Catch::Contains("norm.rms_norm is left out of the plan"));
  for (const char* how : {"--plan", "--check"}) {
    const Outcome gate = tiny.place.run({"warm", "--from-record", "old", how});
    CHECK(gate.code == 1);
    CHECK_THAT(gate.err, Catch::Contains("kerncast: error: 1 that were asked for are left out of the plan"));
  }
  const Outcome own = tiny.place.run({"warm", "--from-record", "own", "--json"});
  CHECK(own.code == 0);
  CHECK(own.events("end").at(0).at("left_out").at(0).at("op") == "own.op");
  CHECK_THAT(own.err, Catch::Contains("own.op is left out of the plan"));
}

TEST_CASE("what a process asked for is recorded, warmed elsewhere and served there in strict mode") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny serving;
  const Arguments run = {"run", "--model", "tiny.json", "--rows", "1,5", "--json"};
  const std::string record = serving.place.directory.file("record");
  for (int process = 0; process < 2; ++process) {
    REQUIRE(serving.place.run(run, {{"KERNCAST_RECORD", record}}).code == 0);
  }
  const std::string merged = serving.place.directory.file("merged");
  const json counted = serving.place.run({"record", "merge", merged, record, "--json"}).json();

  const Tiny fleet;
  const Outcome strict = fleet.place.run(run, {{"KERNCAST_STRICT", "1"}});
  CHECK(strict.code == 1);
  CHECK_THAT(strict.err, Catch::Contains("kerncast warm ") && Catch::Contains("KERNCAST_STRICT"));
  const Outcome warm = fleet.place.run({"warm", "--from-record", merged, "--json"});
  INFO(warm.err);
  REQUIRE(warm.code == 0);
  CHECK(warm.events("end").at(0).at("kernels") <= counted.at("kernels"));
  const Outcome served = fleet.place.run(run, {{"KERNCAST_STRICT", "1"}, {"KERNCAST_NVRTC", "none"}});
  INFO(served.err);
  CHECK(served.code == 0);
  for (const json& row : served.json()) {
    CHECK(row.at("cached") == true);
    CHECK(row.at("ok") == true);
  }
}

TEST_CASE("Ctrl-C keeps what is compiled, and the same command continues from there") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const Arguments warm = {"warm", "--model", "glm-4.5", "--arch", "sm_90a", "--json"};
  const pid_t child = place.start(warm);
  const auto entries = [&] { return place.run({"cache", "stat", "--json"}).json().at("entries").get<int>(); };
  while (entries() < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  REQUIRE(kill(child, SIGINT) == 0);
  const Outcome stopped = place.wait(child);
  CHECK(stopped.code == 130);
  const json end = stopped.events("end").at(0);
  CHECK(end.at("compiled") >= 2);
  CHECK(end.at("left") > 0);
  CHECK(end.at("failed") == 0);
  CHECK_THAT(stopped.err, Catch::Contains("the same command continues"));

  const Outcome resumed = place.run(warm);
  INFO(resumed.err);
  CHECK(resumed.code == 0);
  CHECK(resumed.events("end").at(0).at("cached") >= end.at("compiled"));
  CHECK(resumed.events("end").at(0).at("left") == 0);
}

TEST_CASE("a compile that takes too long fails, and its source is kept") {
  if (!has_nvrtc()) {
    return;
  }
  const Tiny tiny;
  // No compiler finishes this template, since each level doubles the work.
  const std::string templates = tiny.place.directory.file("templates");
  std::filesystem::copy(KERNCAST_TEMPLATES, templates, std::filesystem::copy_options::recursive);
  std::ofstream(templates + "/norm/rms_norm/kernel.cuh", std::ios::app)
      << "template <int Depth, long Which> struct Tree {\n"
         "  static constexpr long value = Tree<Depth - 1, 2 * Which>::value + Tree<Depth - 1, 2 * Which + "
         "1>::value;\n"
         "};\n"
         "template <long Which> struct Tree<0, Which> { static constexpr long value = Which; };\n"
         "static_assert(Tree<40, 1>::value != 0, \"\");\n";
  const Outcome outcome = tiny.place.run(
      {"warm", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_90a", "--rows", "1", "--timeout", "2"},
      {{"KERNCAST_TEMPLATE_DIR", templates}});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Catch::Contains("norm.rms_norm [hidden=64] for sm_90a") &&
                              Catch::Contains("no answer in 2 s") &&
                              Catch::Contains("its source is kept in "));
  const std::string kept = outcome.err.substr(outcome.err.find("kept in ") + 8);
  std::ifstream source(kept.substr(0, kept.find('\n')));
  std::string line;
  REQUIRE(std::getline(source, line));
  CHECK_THAT(line, Catch::Contains("norm.rms_norm"));
}

TEST_CASE("a worker by itself says what it is for") {
  const CommandPlace place;
  const Outcome outcome = place.run({"worker"});
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("kerncast warm"));
}

TEST_CASE("an unknown model is served by a guess only if that is asked for") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("config.json", R"({"architectures": ["NewForCausalLM"], "model_type": "new",
    "hidden_size": 256, "num_attention_heads": 4, "inner": {"hyper_connections": 4}, "vocab_size": 9})");
  const std::vector<std::string> warm = {"warm",  "--model",       "config.json", "--arch", "sm_90a",
                                         "--ops", "norm.rms_norm", "--tokens",    "1"};
  const auto with = [](std::vector<std::string> arguments, std::initializer_list<const char*> more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const std::vector<std::string> run = {"run", "--model", "config.json", "--rows", "1"};
  const std::vector<std::string> profile = {"profile",     "norm.rms_norm", "--model",
                                            "config.json", "--rows",        "1"};
  for (const auto& arguments : {warm, run, profile, with(warm, {"--plan"}), with(warm, {"--check"})}) {
    const Outcome refused = place.run(arguments);
    CHECK(refused.code == 1);
    CHECK_THAT(refused.err, Catch::Contains("NewForCausalLM") && Catch::Contains("inner.hyper_connections") &&
                                !Catch::Contains("vocab_size"));
  }
  for (const auto& arguments : {warm, run, profile, with(warm, {"--check"})}) {
    CHECK_THAT(place.run(arguments).err, Catch::Contains("--best-effort"));
  }
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
  CHECK(place.run(with(warm, {"--plan", "--best-effort"})).code == 0);
  CHECK(place.run(with(warm, {"--best-effort"})).code == 0);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 1);
  CHECK(place.run(with(warm, {"--check", "--best-effort"})).code == 0);
  const Outcome guessed = place.run(with(profile, {"--best-effort"}));
  CHECK(guessed.code == 0);
  CHECK_THAT(guessed.err, Catch::Contains("are guessed") && Catch::Contains("inner.hyper_connections"));
  CHECK(place.run({"profile", "norm.rms_norm", "--set", "hidden=256", "--best-effort"}).code == 2);
}

TEST_CASE("a plan says what was read of a model and what is not offered") {
  const CommandPlace place;
  place.directory.write("config.json",
                        R"({"model_type": "arcee", "hidden_size": 256, "num_attention_heads": 4})");
  const Outcome plan = place.run({"warm", "--model", "config.json", "--arch", "sm_90a", "--plan", "--json"});
  CHECK(plan.code == 0);
  const json model = plan.json().at("models").at(0);
  CHECK(model.at("family") == "arcee");
  CHECK(model.at("guessed") == false);
  CHECK(model.at("not_offered").size() == 1);
  const json hidden = {{"fact", "hidden"}, {"value", "256"}, {"source", "key hidden_size"}};
  const json& facts = model.at("facts");
  CHECK(std::find(facts.begin(), facts.end(), hidden) != facts.end());
  CHECK_THAT(plan.err, Catch::Contains("not offered: dense MLP: plain activation relu2 of 18432 elements"));
  const Outcome table = place.run({"warm", "--model", "config.json", "--arch", "sm_90a", "--plan"});
  CHECK_THAT(table.out, Catch::Contains("default of arcee") && Catch::Contains("not offered: "));
}

}  // namespace
