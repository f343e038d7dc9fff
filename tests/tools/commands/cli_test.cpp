#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

#include "cache/directory/store.hpp"
#include "cache/entry.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using Arguments = std::vector<std::string>;
using nlohmann::json;

TEST_CASE("help and version are printed") {
  const CommandPlace place;
  const Outcome help = place.run({"--help"});
  CHECK(help.code == 0);
  for (const char* command :
       {"run", "ops", "inspect", "profile", "cache", "warm", "record", "doctor", "KERNCAST_CACHE_DIR"}) {
    CHECK_THAT(help.out, Catch::Contains(command));
  }
  CHECK(help.err.empty());
  const Outcome version = place.run({"--version"});
  CHECK(version.code == 0);
  CHECK_THAT(version.out, Catch::StartsWith("kerncast "));
  const Arguments commands[] = {{"run"},           {"ops"},         {"inspect"},        {"profile"},
                                {"cache", "stat"}, {"cache", "ls"}, {"cache", "path"},  {"cache", "clear"},
                                {"warm"},          {"doctor"},      {"record", "merge"}};
  for (Arguments command : commands) {
    command.emplace_back("--help");
    const Outcome sub = place.run(command);
    CHECK(sub.code == 0);
    CHECK_THAT(sub.out, Catch::Contains("Usage: kerncast") && Catch::Contains("--json"));
  }
}

TEST_CASE("help, completions and the manual page come from the commands as they are") {
  const CommandPlace place;
  CHECK(place.run({"help", "run"}).out == place.run({"run", "--help"}).out);
  CHECK(place.run({"help", "cache", "export"}).out == place.run({"cache", "export", "--help"}).out);
  CHECK(place.run({"help"}).out == place.run({"--help"}).out);
  CHECK(place.run({"-V"}).out == place.run({"--version"}).out);
  CHECK_THAT(place.run({"run", "--help"}).out, !Catch::Contains("Environment:"));
  CHECK_THAT(place.run({"--help"}).out,
             !Catch::Contains("\n  worker") && Catch::Contains("KERNCAST_SIM_TIMEOUT"));
  const std::string manual = place.run({"help", "--man"}).out;
  for (const char* part :
       {".TH KERNCAST 1", "kerncast cache export", "\\-\\-from\\-pack", "KERNCAST_RECORD", "EXIT STATUS"}) {
    CHECK_THAT(manual, Catch::Contains(part));
  }
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome script = place.run({"completion", shell});
    CHECK(script.code == 0);
    CHECK_THAT(script.out, Catch::Contains("norm.rms_norm") && Catch::Contains("from-pack") &&
                               !Catch::Contains("\" worker\"") && !Catch::Contains("-a worker"));
  }
  place.directory.write("kerncast.bash", place.run({"completion", "bash"}).out);
  const std::string line =
      "cd " + place.directory.path() +
      " && bash -c 'source ./kerncast.bash; COMP_WORDS=(kerncast cache expo); COMP_CWORD=2; _kerncast; "
      "test \"${COMPREPLY[*]}\" = export'";
  CHECK(std::system(line.c_str()) == 0);
}

TEST_CASE("ops have short names, families are listed, and colour is chosen") {
  const CommandPlace place;
  CHECK(place.run({"ops", "rms_norm", "--json"}).json().at("op") == "norm.rms_norm");
  const json family = place.run({"ops", "quant", "--json"}).json();
  CHECK(family.size() > 3);
  for (const json& op : family) {
    CHECK_THAT(op.at("op").get<std::string>(), Catch::StartsWith("quant."));
  }
  CHECK(place.run({"--json", "ops", "rms_norm"}).json().at("op") == "norm.rms_norm");
  CHECK_THAT(place.run({"run", "--color", "always"}).err, Catch::Contains("\033["));
  for (const std::vector<std::string>& plain : {Arguments{"run"}, Arguments{"--color=never", "run"}}) {
    CHECK_THAT(place.run(plain).err, !Catch::Contains("\033["));
  }
  const Outcome narrow = place.run({"ops"}, {{"COLUMNS", "60"}});
  std::istringstream lines(narrow.out);
  for (std::string text; std::getline(lines, text);) {
    CHECK(text.size() <= 60);
  }
}

TEST_CASE("the variables of the help are those of the documents") {
  const CommandPlace place;
  const std::string help = place.run({"--help"}).out;
  std::ifstream file(std::string(KERNCAST_TEMPLATES) + "/../tools/README.md");
  const std::string readme{std::istreambuf_iterator<char>(file), {}};
  const std::string table =
      readme.substr(readme.find("## Environment"), readme.find("## Scripts") - readme.find("## Environment"));
  const std::regex name("KERNCAST_[A-Z_]+");
  const auto names_in = [&](const std::string& text) {
    return std::set<std::string>(std::sregex_token_iterator(text.begin(), text.end(), name), {});
  };
  CHECK(names_in(help) == names_in(table));
}

TEST_CASE("bad usage is exit code 2 with a message that helps") {
  const CommandPlace place;
  struct Case {
    Arguments arguments;
    const char* message;
  };
  const Case cases[] = {
      {{}, "subcommand is required"},
      {{"rum"}, "unknown command 'rum' (did you mean run?)"},
      {{"run"}, "give either --model NAME or an op"},
      {{"run", "--model", "deepsek-v3"}, "did you mean deepseek-v3?"},
      {{"run", "--model", "llama-3-8b", "--rows", "x"}, "--rows"},
      {{"run", "--model", "llama-3-8b", "--rows", "-4"}, "must not be negative"},
      {{"run", "--model", "llama-3-8b", "--in", "x"}, "--in goes with an op only"},
      {{"run", "--model", "llama-3-8b", "norm.rms_norm"}, "give either"},
      {{"run", "--model", "llama-3-8b", "--device", "99"}, "99"},
      {{"run", "norm.rms_norm"}, "needs --in"},
      {{"run", "norm.rms_norm", "--in", "a", "--out", "b", "--rows", "1"}, "--rows goes with --model only"},
      {{"run", "norm.rms_nrm", "--in", "a", "--out", "b"}, "did you mean norm.rms_norm?"},
      {{"run", "norm.rms_nrm"}, "did you mean norm.rms_norm?"},
      {{"run", "norm.rms_norm", "--in", "a", "--out", "b", "--set", "esp=1"}, "did you mean eps?"},
      {{"run", "norm.rms_norm", "--in", "a", "--out", "b", "--set", "eps=x"}, "not a finite number"},
      {{"run", "--frobnicate"}, "--frobnicate"},
      {{"run", "--modle", "x"}, "did you mean --model?"},
      {{"cache", "export", "f", "--acrh", "sm_90a"}, "did you mean --arch?"},
      {{"ops", "rms_nrm"}, "did you mean norm.rms_norm?"},
      {{"help", "cache", "exprt"}, "did you mean export?"},
      {{"ops", "--color", "maybe"}, "--color maybe is none of"},
      {{"ops", "norm.rms_nrm"}, "did you mean norm.rms_norm?"},
      {{"inspect", "norm.rms_norm"}, "hidden is required"},
      {{"inspect", "norm.rms_norm", "--set", "hidden=99999999"}, "nearest valid"},
      {{"inspect", "norm.rms_norm", "--set", "hiden=64"}, "did you mean hidden?"},
      {{"inspect", "norm.rms_norm", "--set", "hidden=64", "--arch", "h100"}, "not an architecture"},
      {{"inspect", "norm.rms_norm", "--set", "hidden=64", "--rows", "0"},
       "--rows: 0 is not a positive number"},
      {{"inspect", "norm.rms_norm", "--set", "hidden=64", "--rows", "-3"}, "-3 is not a positive number"},
      {{"warm", "--model", "llama-3-8b"}, "--arch is required"},
      {{"warm", "--arch", "sm_90a"}, "give either --model NAME, --from-record FILE or an op"},
      {{"warm", "--model", "llama-3-8b", "--arch", "sm_90a", "--shard", "5/4"}, "--shard 5/4 is not I/N"},
      {{"warm", "--model", "llama-3-8b", "--arch", "sm_90a", "--quant", "fp8block"},
       "did you mean fp8-block?"},
      {{"warm", "--model", "llama-3-8b", "--arch", "sm_90a", "--tokens", "0:8"}, "--tokens 0:8"},
      {{"warm", "--model", "llama-3-8b", "--arch", "sm_90a", "--tp", "3"}, "--tp 3 does not divide the 32"},
      {{"warm", "--model", "llama-3-8b", "--arch", "sm_90a", "--plan", "--check"}, "--plan or --check"},
      {{"warm", "--model", "llama-3-8b", "--arch", "sm_90a", "--jobs", "0"}, "--jobs"},
      {{"warm", "--model", "llama-3-8b", "--arch", "sm_90a", "--memory", "much"}, "--memory"},
      {{"record"}, "subcommand is required"},
      {{"record", "merge", "out"}, "files"},
      {{"warm", "norm.rms_norm", "--model", "llama-3-8b", "--arch", "sm_90a"}, "give either"},
      {{"warm", "--model", "llama-3-8b", "--set", "hidden=64", "--arch", "sm_90a"},
       "--set is valid with an op"},
      {{"warm", "norm.rms_nrm", "--arch", "sm_90a"}, "did you mean norm.rms_norm?"},
      {{"warm", "norm.rms_norm", "--arch", "sm_90a"}, "hidden is required"},
      {{"warm", "norm.rms_norm", "--set", "hidden=70000", "--arch", "sm_90a"}, "nearest valid: 65536"},
      {{"warm", "--model", "llama-3-8b", "--arch", "90"}, "not an architecture"},
      {{"warm", "--model", "nonsense-9000", "--arch", "sm_90a"}, "unknown model 'nonsense-9000'"},
      {{"cache"}, "subcommand is required"},
      {{"cache", "cleer"}, "unknown command 'cleer' (did you mean clear?)"},
      // A script whose variable is not set gives empty texts.
      {{"ops", ""}, "op: must not be empty"},
      {{"inspect", "norm.rms_norm", "--set", "hidden=64", "--arch", ""}, "--arch: must not be empty"},
      {{"inspect", "norm.rms_norm", "--set", "hidden=64", "--extract", ""}, "--extract: must not be empty"},
      {{"warm", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_90a", "--out="}, "--out= has no value"},
      {{"inspect", "norm.rms_norm", "--set", "hidden=64", "--extract", "--ptx"},
       "--extract: needs a value, and --ptx is an option"},
      {{"warm", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_90a", "--rows", "99999999999999999999"},
       "99999999999999999999 is out of range"},
      {{"run", "--model", "llama-3-8b", "--rows", "010"}, "010 is not a whole number"},
      {{"warm", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_90a", "--out", "p", "--plan"},
       "--out goes with neither --plan nor --check"},
      {{"warm", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_90a", "--out", "p", "--check"},
       "--out goes with neither --plan nor --check"},
      {{"inspect", "x.kce", "--arch", "sm_90a"}, "--arch goes with an op only"},
      {{"inspect", "x.kce", "--tunables", "threads=7"}, "--tunables goes with an op only"},
      {{"inspect", "--acrh=sm_90a"}, "there is no --acrh (did you mean --arch?)"},
      {{"ops", "--json=qq"}, "--json takes no value"},
      {{"cache", "clear", "--dry-run=false"}, "--dry-run takes no value"},
      {{"help", "run", "--man"}, "leave the command out"},
      {{"cache", "clear", "--older-than", "30"}, "--older-than 30 is no age"},
      {{"cache", "clear", "--older-than", "9999999999d"}, "is no age"},
      {{"cache", "clear", "--arch", "90"}, "not an architecture"},
      {{"cache", "clear", "--tuned", "--compiler", "13.0"}, "belong to no compiler"},
  };
  for (const Case& bad : cases) {
    Arguments arguments = bad.arguments;
    const Outcome outcome = place.run(arguments);
    INFO(outcome.err << " should say: " << bad.message);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Catch::StartsWith("kerncast: error: ") && Catch::Contains(bad.message));

    arguments.emplace_back("--json");
    const Outcome in_json = place.run(arguments);
    CHECK(in_json.code == 2);
    CHECK(std::count(in_json.out.begin(), in_json.out.end(), '\n') == (1));
    const json error = in_json.json().at("error");
    CHECK_FALSE(error.at("code").get<std::string>().empty());
    CHECK_FALSE(error.at("message").get<std::string>().empty());
  }
}

TEST_CASE("failed work is exit code 1") {
  const CommandPlace place;
  place.directory.write("bad.json", "{\n  \"hidden_size\": 64,\n}");
  const Outcome bad = place.run({"run", "--model", "bad.json", "--json"});
  CHECK(bad.code == 1);
  CHECK_THAT(bad.json().at("error").at("message").get<std::string>(),
             Catch::Contains("bad.json") && Catch::Contains("line 3"));
  CHECK(place.run({"run", "--model", "missing.json"}).code == 1);
  CHECK(place.run({"run", "norm.rms_norm", "--in", "missing.safetensors", "--out", "y"}).code == 1);
  CHECK(place.run({"inspect", "missing.kce"}).code == 1);
  place.directory.write("junk.kce", "not an entry");
  CHECK_THAT(place.run({"inspect", "junk.kce"}).err, Catch::Contains("not a valid cache entry"));
  const Outcome no_driver =
      place.run({"run", "--model", "llama-3-8b"}, {{"KERNCAST_DRIVER", "/no/such/libcuda.so"}});
  CHECK(no_driver.code == 1);
  CHECK_THAT(no_driver.err, Catch::Contains("/no/such/libcuda.so"));
}

TEST_CASE("output that cannot be written is a failure") {
  const CommandPlace place;
  if (std::filesystem::exists("/dev/full")) {
    // A shell's redirection makes writing to standard output fail.
    const std::string line = std::string(KERNCAST_COMMAND) + " ops > /dev/full 2> /dev/null";
    const int status = std::system(line.c_str());
    CHECK(WEXITSTATUS(status) == 1);
  }
}

TEST_CASE("ops are listed and described") {
  const CommandPlace place;
  const json list = place.run({"ops", "--json"}).json();
  std::set<std::string> names;
  for (const json& op : list) {
    names.insert(op.at("op"));
    INFO(op.at("op"));
    CHECK_FALSE(op.at("summary").get<std::string>().empty());
    CHECK_FALSE(op.at("formula").get<std::string>().empty());
    CHECK_FALSE(op.at("tensors").empty());
    const Outcome text = place.run({"ops", op.at("op")});
    CHECK(text.code == 0);
    for (const char* section : {"params", "tensors", "scalars", "tunables"}) {
      for (const json& part : op[section]) {
        CHECK_THAT(text.out, Catch::Contains(part.at("name").get<std::string>()));
      }
    }
    CHECK(place.run({"ops", op.at("op"), "--json"}).json() == op);
  }
  CHECK(names.count("norm.rms_norm") == 1);
  CHECK(names.count("quant.per_token_group") == 1);
  CHECK(names.count("moe.fused_gate") == 1);
}

TEST_CASE("doctor says what was found, and fails where nothing could launch") {
  const CommandPlace place;
  const Outcome good = place.run({"doctor", "--json"});
  CHECK(good.code == 0);
  const json report = good.json();
  CHECK(report.at("ok") == true);
  CHECK(report.at("verdict") == (has_nvrtc() ? "ready to launch" : "not ready"));
  CHECK(report.at("launch") == json{{"compiled", true}, {"stored", true}, {"launched", true}});
  CHECK(report.at("driver").at("kind") == "sim");
  CHECK(report.at("devices").size() >= 1);
  CHECK(report.at("cache").at("directory") == place.directory.file("cache"));
  CHECK(place.run({"doctor"}).code == 0);
  // The probe leaves neither an entry nor a record.
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
  const Outcome recording = place.run({"doctor"}, {{"KERNCAST_RECORD", place.directory.file("record")},
                                                   {"KERNCAST_METRICS_FILE", place.directory.file("prom")}});
  CHECK(recording.code == 0);
  CHECK_FALSE(std::filesystem::exists(place.directory.file("record")));
  CHECK_FALSE(std::filesystem::exists(place.directory.file("prom")));

  const Outcome bad = place.run({"doctor", "--json"}, {{"KERNCAST_DRIVER", "/no/such/libcuda.so"}});
  CHECK(bad.code == 1);
  CHECK(bad.json().at("ok") == false);
  REQUIRE(bad.json().at("problems").size() >= 1);
  CHECK_FALSE(bad.json().at("problems").at(0).at("remedy").get<std::string>().empty());
  CHECK(bad.json().at("driver").at("candidates").at(0).at("path") == "/no/such/libcuda.so");

  const Outcome warned = place.run({"doctor", "--json"}, {{"KERNCAST_NVRTC", "none"}});
  CHECK(warned.code == 0);
  CHECK(warned.json().at("nvrtc").at("found") == false);
  CHECK(warned.json().at("launch") == json{{"compiled", false}, {"stored", false}, {"launched", true}});
  CHECK_THAT(warned.json().at("verdict").get<std::string>(), Catch::Contains("nothing can be compiled"));
  CHECK(warned.json().at("problems").at(0).at("severity") == "warning");
  CHECK_THAT(place.run({"doctor"}, {{"KERNCAST_NVRTC", "none"}}).out, Catch::Contains("remedy: "));

  place.directory.write("file", "");
  const json unwritable =
      place.run({"doctor", "--json"}, {{"KERNCAST_CACHE_DIR", place.directory.file("file/cache")}}).json();
  CHECK(unwritable.at("ok") == false);
  CHECK(unwritable.at("launch") == json{{"compiled", true}, {"stored", false}, {"launched", true}});
  CHECK(unwritable.at("cache").at("writable") == false);
  CHECK(unwritable.at("problems").size() >= 1);

  const Outcome no_nvidia = place.run({"doctor"}, {{"KERNCAST_DRIVER", "/no/such/libcuda.so"}});
  CHECK_THAT(no_nvidia.out,
             Catch::Contains("remedy: correct or unset KERNCAST_DRIVER") && Catch::Contains("not ready"));
  const Outcome no_nvrtc = place.run({"doctor"}, {{"KERNCAST_NVRTC", place.directory.path()}});
  CHECK_THAT(no_nvrtc.out, Catch::Contains("holds no libnvrtc") && Catch::Contains("pip install"));

  const Outcome no_templates =
      place.run({"doctor", "--json"}, {{"KERNCAST_TEMPLATE_DIR", "/no/such/templates"}});
  CHECK(no_templates.code == 1);
  CHECK_THAT(no_templates.out, Catch::Contains("KERNCAST_TEMPLATE_DIR"));
  place.directory.write("templates/none", "");
  const Outcome empty_templates =
      place.run({"doctor", "--json"}, {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}});
  CHECK(empty_templates.code == 1);
  CHECK(empty_templates.json().at("problems").size() <= 2);  // one cause, not one for each op
}

TEST_CASE("doctor is ready only if every variable, layer and server can be used") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  std::filesystem::create_directories(place.directory.file("empty"));
  place.directory.write("garbage", "no pack");
  struct Case {
    const char* name;
    std::string value;
    const char* message;
  };
  const Case cases[] = {
      {"KERNCAST_CACHE_DIRR", "/x", "did you mean KERNCAST_CACHE_DIR?"},
      {"KERNCAST_FROBNICATE", "1", "is no variable of Kerncast"},
      {"KERNCAST_CACHE_MAX_BYTES", "abc", "is not an amount"},
      {"KERNCAST_CACHE_MAX_ENTRIES", "-1", "is not an amount"},
      {"KERNCAST_CACHE_REMOTE_TIMEOUT_MS", "1s", "is not an amount"},
      {"KERNCAST_CACHE_TRUST", "yes", "is neither 0 nor 1"},
      {"KERNCAST_CACHE_REMOTE", "ftp://x", "its URL has none of the forms"},
      {"KERNCAST_CACHE_REMOTE", "http://127.0.0.1:1/", "the remote cache http://127.0.0.1:1/"},
      {"KERNCAST_CACHE_READONLY", "/nosuch", "No such file or directory"},
      {"KERNCAST_CACHE_READONLY", place.directory.file("empty"), "it holds no kernels"},
      {"KERNCAST_CACHE_READONLY", place.directory.file("garbage"), "not a pack"},
      {"KERNCAST_SIM_TIMEOUT", "abc", "is not a number of seconds"},
      {"KERNCAST_SIM_CHECKS", "of", "is none of on, off and report"},
      {"KERNCAST_SIM_ISA", "v5", "is none of v2, v3 and v4"},
      {"KERNCAST_SIM_CLOCK", "h10", "is none of a100, rtx4090, h100, h200 and b200"},
      {"KERNCAST_SIM_THREADS", "many", "is not a number of threads"},
      {"KERNCAST_SIM_LEAKS", "true", "is neither 0 nor 1"},
      {"KERNCAST_RECORD", "/no/such/folder/record", "cannot be written"},
      {"KERNCAST_METRICS_FILE", "/no/such/folder/a.prom", "cannot be written"},
      {"KERNCAST_TRACE", "/no/such/folder/trace.json", "cannot be written"},
      {"KERNCAST_NVTX", "yes", "is none of 0, 1 and launches"},
      {"KERNCAST_METRICS_FILE", "/dev/null", "is not a regular file"},
      {"KERNCAST_STRICT", "on", "is neither 0 nor 1"},
      {"KERNCAST_PDL", "off", "is neither 0 nor 1"}};
  for (const Case& bad : cases) {
    INFO(bad.name << '=' << bad.value);
    const Outcome outcome = place.run({"doctor", "--json"}, {{bad.name, bad.value}});
    CHECK(outcome.code == 1);
    CHECK(outcome.json().at("ok") == false);
    CHECK(outcome.json().at("verdict") == "not ready");
    CHECK_THAT(outcome.out, Catch::Contains(bad.message));
  }
  for (const char* checks : {"on", "off", "report"}) {
    CHECK_THAT(place.run({"doctor", "--json"}, {{"KERNCAST_SIM_CHECKS", checks}}).out,
               !Catch::Contains("is none of on, off and report"));
  }
}

TEST_CASE("no command shows a secret of a server's URL, of a variable or of a file") {
  const CommandPlace place;
  place.directory.write("netrc", "machine 127.0.0.1 login hunter2 password hunter2\n");
  const std::string file = place.directory.file("netrc");
  std::filesystem::permissions(file, std::filesystem::perms::owner_read);
  for (const std::string url :
       {"http://user:hunter2@127.0.0.1:1/x", "http://user:hun/ter2hunter2@127.0.0.1:1/",
        "redis://:hunter2#x@127.0.0.1:1", "redis://:hunter2?x@127.0.0.1:1/2",
        "http://127.0.0.1:1/x?token=hunter2", "redis://:%zzhunter2@127.0.0.1:1", "hunter2@127.0.0.1",
        "s3://hunter2:x@bucket", "ftp://user:hunter2@host/"}) {
    for (const std::vector<std::string>& command : {std::vector<std::string>{"cache", "stat"},
                                                    {"cache", "stat", "--json"},
                                                    {"doctor"},
                                                    {"doctor", "--json"}}) {
      const Outcome outcome = place.run(command, {{"KERNCAST_CACHE_REMOTE", url},
                                                  {"KERNCAST_CACHE_REMOTE_CREDENTIALS", file},
                                                  {"KERNCAST_CACHE_REMOTE_TIMEOUT_MS", "http://hunter2"},
                                                  {"KERNCAST_NVRTC", "none"},
                                                  {"KERNCAST_CACHE_READONLY", "redis://:hunter2"},
                                                  {"KERNCAST_PASSWORD", "hunter2"}});
      INFO(url << '\n' << outcome.out << outcome.err);
      CHECK_THAT(outcome.out + outcome.err, !Catch::Contains("hunter2"));
      CHECK_THAT(outcome.out + outcome.err, Catch::Contains("***"));
    }
  }
}

TEST_CASE("doctor checks the file of credentials") {
  const CommandPlace place;
  const std::string file = place.directory.write("netrc", "machine other login a password b\n");
  const std::pair<const char*, const char*> server{"KERNCAST_CACHE_REMOTE", "redis://127.0.0.1:1"};
  const std::pair<const char*, std::string> credentials{"KERNCAST_CACHE_REMOTE_CREDENTIALS", file};
  std::filesystem::permissions(file, std::filesystem::perms(0644));
  CHECK_THAT(place.run({"doctor"}, {server, credentials}).out, Catch::Contains("chmod 600"));
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  CHECK_THAT(place.run({"doctor"}, {server, credentials}).out, Catch::Contains("has no entry for it"));
  CHECK_THAT(place.run({"doctor"}, {credentials}).out, Catch::Contains("but no server is named"));
}

/// True if `text` holds something that a terminal would obey.
bool commands_a_terminal(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) {
                       const auto byte = static_cast<unsigned char>(c);
                       return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
                     }) ||
         text.find("\xc2\x9b") != std::string::npos || text.find("\u202e") != std::string::npos;
}

TEST_CASE("control characters of names, models and entries do not reach the terminal") {
  const CommandPlace place;
  const std::string nasty = "n\x1b[2J\x7f\xc2\x9b\u202e\rm";
  // A table has a space in place of a return.
  const std::string written = "n\\u001b[2J\\u007f\\u009b\\u202e m";
  place.directory.write("config.json",
                        R"({"model_type": "x\u001b]0;y\u0007\u202e\u009b\nkerncast: note: z"})");
  kerncast::cache::Entry entry;
  entry.op = "norm.x\x1b[31m";
  entry.spec = nasty;
  entry.arch = "sm_90a";
  entry.ptx = ".version 9.0";
  const std::string cache = place.directory.file(nasty);
  REQUIRE(kerncast::cache::Store(cache, nullptr).publish({1, 2}, entry));
  const std::vector<std::pair<std::string, std::string>> there = {{"KERNCAST_CACHE_DIR", cache}};
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"cache", "stat"},
        {"cache", "ls"},
        {"cache", "ls", "--json"},
        {"doctor"},
        {"doctor", "--json"},
        {"inspect", nasty + ".kce"},
        {"inspect", nasty + ".kce", "--json"},
        {nasty},
        {"warm", "--model", "config.json", "--arch", "sm_90a", "--plan"},
        {"warm", "--model", "config.json", "--arch", "sm_90a", "--plan", "--json"},
        {"warm", "--model", nasty, "--arch", "sm_90a"},
        {"cache", "clear", "--dry-run"}}) {
    const Outcome outcome = place.run(command, there);
    INFO(outcome.out << outcome.err);
    CHECK(!commands_a_terminal(outcome.out));
    CHECK(!commands_a_terminal(outcome.err));
    CHECK(outcome.err.find("\nkerncast: note: z") == std::string::npos);
  }
  CHECK_THAT(place.run({"cache", "ls"}, there).out, Catch::Contains(written));
  CHECK(place.run({"cache", "stat", "--json"}, there).json().at("directory") == cache);
  // A script reads this path.
  CHECK(place.run({"cache", "path"}, there).out == cache + "\n");
}

TEST_CASE("a compiler that is broken takes no process down, and doctor says what is wrong") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::string library = place.run({"doctor", "--json"}).json().at("nvrtc").at("path");
  const std::string folder = place.directory.file("nvrtc");
  std::filesystem::create_directories(folder);
  const std::string copy = folder + "/libnvrtc.so.13";
  std::ofstream(copy, std::ios::binary) << std::ifstream(library, std::ios::binary).rdbuf();
  SECTION("truncated") {
    for (const std::uintmax_t size : {1'000'000UL, 1000UL, 40UL, 0UL}) {
      std::filesystem::resize_file(copy, size);
      const Outcome doctor = place.run({"doctor", "--json"}, {{"KERNCAST_NVRTC", folder}});
      INFO(size << ": " << doctor.out);
      CHECK(doctor.code == 1);
      CHECK_THAT(doctor.out, Catch::Contains("truncated"));
      const Outcome warm =
          place.run({"warm", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_90a", "--rows", "1"},
                    {{"KERNCAST_NVRTC", copy}});
      CHECK(warm.code == 1);
      CHECK_THAT(warm.err, Catch::Contains("truncated"));
    }
  }
  SECTION("without its builtins") {
    const Outcome doctor = place.run({"doctor", "--json"}, {{"KERNCAST_NVRTC", copy}});
    INFO(doctor.out);
    // The check passes if the loader finds the builtins elsewhere.
    CHECK(doctor.json().at("ok") == doctor.json().at("launch").at("compiled"));
  }
  SECTION("with damaged builtins") {
    const std::string version = place.run({"doctor", "--json"}).json().at("nvrtc").at("version");
    std::ofstream(folder + "/libnvrtc-builtins.so." + version) << "garbage";
    const Outcome doctor = place.run({"doctor", "--json"}, {{"KERNCAST_NVRTC", copy}});
    CHECK(doctor.code == 1);
    CHECK_THAT(doctor.out, Catch::Contains("libnvrtc-builtins.so." + version));
  }
}

TEST_CASE("a driver that is truncated is refused with its size") {
  const CommandPlace place;
  place.directory.write("libcuda.so.1",
                        "\x7f"
                        "ELF");
  const Outcome outcome =
      place.run({"doctor", "--json"}, {{"KERNCAST_DRIVER", place.directory.file("libcuda.so.1")}});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.out, Catch::Contains("truncated: 4 bytes"));
}

TEST_CASE("a damaged index is reported, and the listing that the remedy names rebuilds it") {
  const CommandPlace place;
  std::filesystem::create_directories(place.directory.file("cache"));
  REQUIRE(place.run({"cache", "ls"}).code == 0);
  CHECK(place.run({"doctor", "--json"}).json().at("problems").empty());
  place.directory.write("cache/index.sqlite", std::string(5000, 'x'));
  const Outcome damaged = place.run({"doctor", "--json"});
  CHECK(damaged.code == 0);
  REQUIRE(damaged.json().at("problems").size() == 1);
  const json problem = damaged.json().at("problems").at(0);
  CHECK_THAT(problem.at("problem").get<std::string>(), Catch::Contains("index.sqlite is damaged"));
  CHECK_THAT(problem.at("remedy").get<std::string>(), Catch::Contains("kerncast cache ls"));
  REQUIRE(place.run({"cache", "ls"}).code == 0);
  CHECK(place.run({"doctor", "--json"}).json().at("problems").empty());
}

TEST_CASE("an empty cache is no problem") {
  const CommandPlace place;
  CHECK(place.run({"cache", "path"}).out == place.directory.file("cache") + "\n");
  CHECK(place.run({"cache", "path", "--json"}).json().at("directory") == place.directory.file("cache"));
  CHECK(place.run({"cache", "ls", "--json"}).json() == json::array());
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
  CHECK(place.run({"cache", "clear", "--json"}).json().at("removed").at("entries") == 0);
  CHECK(place.run({"cache", "ls"}).code == 0);
}

}  // namespace
