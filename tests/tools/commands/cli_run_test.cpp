#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;

const std::vector<std::string> run_tiny = {"run", "--model", "tiny.json", "--rows", "1,5", "--json"};

TEST_CASE("a model runs, is verified, and is cached the second time") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_model());
  const Outcome first = place.run(run_tiny);
  INFO(first.err);
  REQUIRE(first.code == 0);
  const json rows = first.json();
  std::set<std::string> ops;
  std::size_t compiled = 0;
  for (const json& row : rows) {
    INFO(row.dump());
    ops.insert(row.at("op"));
    CHECK(row.at("ok") == true);
    CHECK(row.at("checked") == true);
    CHECK(row.at("max_error").is_number());
    CHECK(row.at("dispatch_ns").get<double>() > 0);
    CHECK_THAT(row.at("arch").get<std::string>(), Catch::StartsWith("sm_"));
    CHECK(row.at("key").get<std::string>().size() == 32);
    CHECK_FALSE(row.at("device").get<std::string>().empty());
    CHECK((row.at("rows") == 1 || row.at("rows") == 5));
    if (row.at("cached") == false) {
      ++compiled;
      CHECK(row.at("compile_ms").get<double>() > 0);
      CHECK(row.at("load_us").get<double>() > 0);
    }
  }
  for (const char* op : {"moe.align_block_size", "moe.fused_gate", "moe.permute", "norm.fused_add_rms_norm",
                         "norm.rms_norm", "quant.per_token_group"}) {
    INFO(op);
    CHECK(ops.contains(op));
  }
  CHECK(compiled > 0);

  const Outcome second = place.run(run_tiny);
  REQUIRE(second.code == 0);
  const json again = second.json();
  REQUIRE(again.size() == rows.size());
  for (std::size_t i = 0; i < again.size(); ++i) {
    CHECK(again.at(i).at("cached") == true);
    CHECK(again.at(i).at("compile_ms") == 0);
    CHECK(again.at(i).at("key") == rows.at(i).at("key"));
    CHECK(again.at(i).at("max_error") == rows.at(i).at("max_error"));
  }

  // With a warm cache, no compiler is needed.
  const Outcome without = place.run(run_tiny, {{"KERNCAST_NVRTC", "none"}});
  INFO(without.err);
  CHECK(without.code == 0);
  for (const json& row : without.json()) {
    CHECK(row.at("ok") == true);
    CHECK(row.at("cached") == true);
  }

  const Outcome table = place.run({"run", "--model", "tiny.json", "--rows", "1"});
  CHECK(table.code == 0);
  CHECK_THAT(table.out, Catch::StartsWith("op ") && Catch::Contains("specialisation") &&
                            Catch::Contains("compile ms  load µs  dispatch ns  max error ulp") &&
                            Catch::Contains("runs right, 0 kernels compiled, ") && Catch::Contains("cached"));
  CHECK(table.out.find('\033') == std::string::npos);
  CHECK(table.err.empty());

  const json listed = place.run({"cache", "ls", "--json"}).json();
  CHECK(listed.size() == compiled);
  const json statistics = place.run({"cache", "stat", "--json"}).json();
  CHECK(statistics.at("entries") == compiled);
  const std::string key = listed.at(0).at("key");
  const std::string file =
      place.directory.file("cache/v1/" + key.substr(0, 2) + "/" + key.substr(2) + ".kce");
  const Outcome entry = place.run({"inspect", file, "--json"});
  CHECK(entry.code == 0);
  CHECK(entry.json().at("key") == key);
  CHECK_THAT(entry.json().at("ptx").get<std::string>(), Catch::Contains(".entry"));
  const Outcome cleared = place.run({"cache", "clear"});
  CHECK(cleared.code == 0);
  CHECK_THAT(cleared.out, Catch::StartsWith("removed " + std::to_string(compiled) + " entries"));
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
}

TEST_CASE("a model that no op serves is an error and no empty success") {
  const CommandPlace place;
  place.directory.write("odd.json", R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 100003, "intermediate_size": 100003, "num_attention_heads": 1, "torch_dtype": "bfloat16"})");
  const Outcome outcome = place.run({"run", "--model", "odd.json", "--json"});
  CHECK(outcome.code == 1);
  CHECK(outcome.json().empty());
  CHECK_THAT(outcome.err, Catch::Contains("kerncast: error: nothing was run"));
}

TEST_CASE("a corrupt entry is compiled again") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  REQUIRE(place.run(run_tiny).code == 0);
  for (const auto& item : std::filesystem::recursive_directory_iterator(place.directory.file("cache/v1"))) {
    if (item.path().extension() == ".kce") {
      std::filesystem::resize_file(item.path(), 100);
    }
  }
  const Outcome after = place.run(run_tiny);
  CHECK(after.code == 0);
  for (const json& row : after.json()) {
    CHECK(row.at("ok") == true);
  }
  CHECK(after.json().at(0).at("cached") == false);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("quarantined").get<int>() > 0);
}

TEST_CASE("without a compiler and a cached kernel the message says what to do") {
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_model());
  const Outcome cold = place.run(run_tiny, {{"KERNCAST_NVRTC", "none"}});
  CHECK(cold.code == 1);
  CHECK_THAT(cold.err, Catch::Contains("NVRTC"));
  CHECK(cold.count_in_err("kerncast: error: ") == 1);  // one cause, not one for each kernel
  for (const json& row : cold.json()) {
    CHECK(row.at("ok") == false);
    CHECK_FALSE(row.at("error").get<std::string>().empty());
    CHECK(row.at("dispatch_ns").is_null());
  }
}

TEST_CASE("an unwritable cache directory costs one warning") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  place.directory.write("file", "");
  const Outcome outcome = place.run(run_tiny, {{"KERNCAST_CACHE_DIR", place.directory.file("file/cache")}});
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(outcome.count_in_err("warning") == 1);
  CHECK(outcome.json().at(0).at("ok") == true);
}

TEST_CASE("warming needs no device, and what it compiled is found by a run") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  const std::string arch = place.run({"doctor", "--json"}).json().at("devices").at(0).at("arch");
  const Outcome warm = place.run({"warm", "--model", "tiny.json", "--arch", arch + ",sm_80", "--json"},
                                 {{"KERNCAST_DRIVER", "/no/such/libcuda.so"}});
  INFO(warm.err);
  REQUIRE(warm.code == 0);
  std::set<std::string> keys;
  for (const json& kernel : warm.events("kernel")) {
    CHECK(kernel.at("ok") == true);
    CHECK(kernel.at("cached") == false);
    CHECK(kernel.at("registers").get<int>() > 0);
    CHECK(keys.insert(kernel.at("key")).second);
  }
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == keys.size());
  const Outcome run = place.run(run_tiny, {{"KERNCAST_NVRTC", "none"}});
  INFO(run.err);
  CHECK(run.code == 0);
  for (const json& row : run.json()) {
    CHECK(row.at("cached") == true);
    CHECK(keys.count(row.at("key")) == 1);
  }
  const Outcome again =
      place.run({"warm", "--model", "tiny.json,tiny.json", "--arch", arch, "--rows", "1", "--json"});
  CHECK(again.code == 0);
  const json end = again.events("end").at(0);
  CHECK(end.at("cached") == end.at("kernels"));
  CHECK(end.at("compiled") == 0);
  CHECK(end.at("failed") == 0);
  CHECK(again.err.empty());
  const Outcome refused =
      place.run({"warm", "--model", "tiny.json", "--arch", "sm_55", "--rows", "1", "--json"});
  CHECK(refused.code == 2);
}

TEST_CASE("the split of align_block_size follows the rows of a model's run") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_model());
  const Outcome outcome = place.run({"run", "--model", "tiny.json", "--rows", "1025", "--json"});
  INFO(outcome.err);
  CHECK(outcome.code == 0);
}

TEST_CASE("Ctrl-C of a run keeps the rows that are done") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const pid_t child = place.start({"run", "--model", "deepseek-v3", "--json"});
  const auto entries = [&] { return place.run({"cache", "stat", "--json"}).json().at("entries").get<int>(); };
  while (entries() < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  REQUIRE(kill(child, SIGINT) == 0);
  const Outcome stopped = place.wait(child);
  CHECK(stopped.code == 130);
  CHECK_FALSE(stopped.json().empty());
  CHECK_THAT(stopped.err, Catch::Contains("runs left"));
}

TEST_CASE("a template that does not compile fails its rows and says where") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  std::filesystem::copy(KERNCAST_TEMPLATES, place.directory.file("templates"),
                        std::filesystem::copy_options::recursive);
  std::ofstream(place.directory.file("templates/norm/rms_norm/kernel.cuh"), std::ios::app)
      << "\nthis is no C++;\n";
  const Outcome outcome = place.run(run_tiny, {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Catch::Contains("| this is no C++;") &&
                              Catch::Contains("norm/rms_norm/kernel.cuh:") &&
                              Catch::Contains("--gpu-architecture=sm_") && Catch::Contains("log:") &&
                              Catch::Contains("norm.rms_norm [hidden=256]"));
  std::size_t good = 0;
  for (const json& row : outcome.json()) {
    CHECK(row.at("ok") == (row.at("op") != "norm.rms_norm"));
    good += row.at("ok") == true ? 1 : 0;
  }
  CHECK(good > 0);
}

TEST_CASE("a miss without a compiler names what to install") {
  const CommandPlace place;
  const std::vector<std::string> warm = {"warm",   "norm.rms_norm", "--set",  "hidden=64",
                                         "--arch", "sm_90a",        "--rows", "1"};
  for (const char* choice : {"/no/such/libnvrtc.so.13", "/proc"}) {
    const Outcome outcome = place.run(warm, {{"KERNCAST_NVRTC", choice}});
    INFO(outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains("norm.rms_norm [hidden=64] for sm_90a is not in the cache") &&
                                Catch::Contains(choice) && Catch::Contains("install NVRTC"));
  }
}

TEST_CASE("processes that ask for one kernel at once compile it once") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace shared;
  std::vector<Outcome> outcomes(4);
  std::vector<std::thread> threads;
  for (Outcome& outcome : outcomes) {
    threads.emplace_back([&] {
      const CommandPlace place;
      outcome = place.run(
          {"warm", "norm.rms_norm", "--set", "hidden=1024", "--arch", "sm_90a", "--rows", "1", "--json"},
          {{"KERNCAST_CACHE_DIR", shared.directory.file("cache")}});
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  int compiled = 0;
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    REQUIRE(outcome.events("kernel").size() == 1);
    compiled += outcome.events("kernel").at(0).at("cached") == false ? 1 : 0;
  }
  CHECK(compiled == 1);
  CHECK(shared.run({"cache", "stat", "--json"}).json().at("entries") == 1);
}

}  // namespace
