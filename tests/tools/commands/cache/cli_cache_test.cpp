// The cache's commands, end to end. None of them needs a device.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cache/cache.hpp"
#include "cache/directory/store.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"
#include "tests/prometheus_text.hpp"
#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* hidden = "hidden=64";

struct Warmed {
  Warmed() { REQUIRE(place.run(warm).code == 0); }
  CommandPlace place;
  std::vector<std::string> warm{"warm", "norm.rms_norm", "--set", hidden, "--arch", "sm_90a", "--rows", "1"};
};

/// A tuned record of rms_norm for one row of 64 elements, in the form that a tuner would store.
kerncast::cache::TunedRecord tuned_record() {
  kerncast::RuntimeOptions options;
  options.nvrtc = "none";
  kerncast::Runtime runtime(options);
  kerncast::cache::TunedRecord record;
  record.op = "norm.rms_norm";
  record.spec = hidden;
  record.arch = "sm_90a";
  record.source = kerncast::cache::TunedSource::measured;
  record.device = "NVIDIA H100";
  record.tunables = {{"threads", 64}, {"rows_per_block", 2}};
  record.time_us = 2.5;
  record.templates = implementation_of(runtime).builder.templates_digest(
      kerncast::OpRegistry::instance().require(record.op));
  record.recorded_us = 1'764'000'000'000'000;
  return record;
}

void keep(const CommandPlace& place, const kerncast::cache::TunedRecord& record) {
  REQUIRE(kerncast::cache::TuningStore(place.directory.file("cache"), nullptr).record({record}).written == 1);
}

/// Publishes an entry that stands for its key, with `blanks` blanks behind its PTX.
void publish_proven(kerncast::cache::Store& store, const std::string& source, std::size_t blanks) {
  kerncast::cache::Entry entry = sample_entry();
  entry.lowered_name = "kernel";
  entry.cubin.clear();
  entry.ptx = ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry kernel() { ret; }\n" +
              std::string(blanks, ' ');
  entry.key_fields = {{"source", source}, {"kernel", "kernel"}, {"arch", "sm_90a"}};
  REQUIRE(store.publish(kerncast::cache::key_of_fields(entry.key_fields), entry));
}

/// True if the child has ended. It can still be waited for.
bool has_ended(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == child;
}

/// While the object lives, processes that are started may have 32 descriptors.
class FewDescriptors {
 public:
  FewDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit few{32, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

std::vector<std::string> explain(const std::string& set, const std::string& arch = "sm_90a") {
  return {"cache", "explain", "norm.rms_norm", "--set", set, "--arch", arch, "--json"};
}

std::vector<std::string> texts(const json& nearest) {
  std::vector<std::string> out;
  for (const json& difference : nearest.at("differences")) {
    out.push_back(difference.at("text"));
  }
  return out;
}

TEST_CASE("help names every command of the cache") {
  const CommandPlace place;
  const Outcome help = place.run({"cache", "--help"});
  for (const char* command : {"stat", "ls", "tuned", "path", "show", "clear", "explain", "metrics", "export",
                              "import", "log", "verify"}) {
    CHECK_THAT(help.out, Catch::Contains(command));
    const Outcome sub = place.run({"cache", command, "--help"});
    CHECK(sub.code == 0);
    CHECK_THAT(sub.out, Catch::Contains("--json"));
  }
}

TEST_CASE("a file that is not a pack is refused with the reason") {
  const CommandPlace place;
  place.directory.write("junk.pack", "junk");
  for (const char* command : {"verify", "import"}) {
    const Outcome outcome = place.run({"cache", command, "junk.pack"});
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains("junk.pack is not a sound pack: not a pack"));
    CHECK(place.run({"cache", command, "missing.pack"}).code == 1);
  }
  CHECK(place.run({"cache", "export", "missing/x.pack"}).code == 1);
}

TEST_CASE("metrics are the counters of all processes, on standard output or in a file") {
  const CommandPlace place;
  const std::string root = place.directory.file("cache");
  const PrometheusText none(place.run({"cache", "metrics"}).out);
  CHECK(none.value("kerncast_cache_misses_total", {{"directory", root}}) == "0");
  for (std::uint64_t i = 0; i < 3; ++i) {
    kerncast::cache::CacheOptions options;
    options.directory = root;
    kerncast::cache::Cache cache(options, nullptr);
    CHECK(!cache.load(sample_key(i)));
    REQUIRE(cache.publish(sample_key(i), sample_entry()));
  }
  const auto is_right = [&](const std::string& text) {
    const json counters = place.run({"cache", "stat", "--json"}).json().at("counters");
    const PrometheusText metrics(text);
    CHECK(counters.at("misses") == 3);
    CHECK(metrics.size() == counters.size());
    CHECK(metrics.value("kerncast_cache_misses_total", {{"directory", root}}) == "3");
    CHECK(metrics.value("kerncast_cache_publishes_total", {{"directory", root}}) == "3");
    CHECK(metrics.value("kerncast_cache_hits_total", {{"directory", root}, {"layer", "memory"}}) == "0");
    CHECK(metrics.value("kerncast_cache_written_bytes_total", {{"directory", root}}) ==
          counters.at("bytes_written").dump());
  };
  is_right(place.run({"cache", "metrics"}).out);
  is_right(place.run({"cache", "metrics", "--json"}).json().at("text"));
  is_right(place.run({"cache", "metrics", "--out", "-"}).out);
  place.directory.write("a.prom", "old");
  const Outcome written = place.run({"cache", "metrics", "--out", "a.prom"});
  CHECK(written.code == 0);
  CHECK_THAT(written.out, Catch::Contains("are in a.prom"));
  is_right(place.directory.read("a.prom"));
  CHECK(place.run({"cache", "metrics", "--out", "nowhere/a.prom"}).code == 1);
}

TEST_CASE("a process writes its metrics where the environment names a file") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  REQUIRE(warmed.place.run(warmed.warm, {{"KERNCAST_METRICS_FILE", "%p.prom"}}).code == 0);
  std::string text;
  for (const fs::directory_entry& file : fs::directory_iterator(warmed.place.directory.path())) {
    const std::string name = file.path().filename().string();
    text += name.ends_with(".prom") ? warmed.place.directory.read(name) : "";
  }
  CHECK_THAT(text, Catch::Contains("kerncast_cache_misses_total{pid=\""));
}

TEST_CASE("explaining with an empty cache says that there is nothing") {
  const CommandPlace place;
  const json answer = place.run(explain(hidden)).json();
  CHECK(answer.at("hit") == false);
  CHECK(answer.at("candidates") == 0);
  CHECK(answer.at("nearest").is_null());
  CHECK(place.run({"cache", "explain", "norm.rms_nrm", "--arch", "sm_90a"}).code == 2);
  CHECK(place.run({"cache", "explain", "norm.rms_norm", "--arch", "90"}).code == 2);
}

TEST_CASE("a directory that cannot be read is no empty cache") {
  const CommandPlace place;
  place.directory.write("file", "no directory");
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"cache", "ls"},
                                             {"cache", "stat"},
                                             {"cache", "metrics"},
                                             {"cache", "clear"},
                                             {"cache", "export", "x.pack"},
                                             {"cache", "explain", "norm.rms_norm", "--set", hidden}}) {
    const Outcome file = place.run(command, {{"KERNCAST_CACHE_DIR", "file"}});
    INFO(command[1] << ": " << file.err);
    CHECK(file.code == 1);
    CHECK_THAT(file.err, Catch::Contains("cannot be read") && Catch::Contains("/file"));
  }
  CHECK(place.directory.read("file") == "no directory");
  for (const char* command : {"ls", "clear", "metrics", "path"}) {
    const Outcome none =
        place.run({"cache", command}, {{"KERNCAST_CACHE_DIR", ""}, {"XDG_CACHE_HOME", ""}, {"HOME", ""}});
    CHECK(none.code == 1);
    CHECK_THAT(none.err, Catch::Contains("there is no cache directory"));
  }
}

TEST_CASE("show prints one entry, found by the beginning of its key, in a layer or in a file") {
  const CommandPlace place;
  kerncast::cache::Store own(place.directory.file("cache"), nullptr);
  kerncast::cache::Store layer(place.directory.file("layer"), nullptr);
  const kerncast::cache::Key first{0xabcdef0123456789, 1};
  const kerncast::cache::Key second{0xabcdef0200000000, 2};
  const kerncast::cache::Key third{0x1234560000000000, 3};
  kerncast::cache::Entry entry = dated_entry();
  entry.key_fields.emplace_back("long", std::string(500, 'x'));
  entry.provenance->from = "/a/\x1b[2Jpack";
  REQUIRE(own.publish(first, entry));
  REQUIRE(own.publish(second, sample_entry("second")));
  REQUIRE(layer.publish(first, entry));
  REQUIRE(layer.publish(third, sample_entry("third")));
  const auto show = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"cache", "show"});
    return place.run(words, {{"KERNCAST_CACHE_READONLY", layer.root()}});
  };

  const json shown = show({"ABCDEF01", "--json"}).json();
  CHECK(shown.at("key") == first.hex());
  CHECK(shown.at("op") == entry.op);
  CHECK(shown.at("cubin_bytes") == entry.cubin.size());
  CHECK(shown.at("resources").at("registers") == 40);
  CHECK(shown.at("layer") == own.root());
  CHECK(shown.at("file") == own.path_of(first));
  CHECK(shown.at("also") == json::array({layer.root()}));
  CHECK(shown.at("signatures").at(0).at("state") == "wrong");
  CHECK(shown.at("provenance").at("build") == "0.1.0");
  CHECK(shown.at("provenance").at("source") == "pack");
  CHECK(shown.at("provenance").at("copied") == 1'700'000'060);
  CHECK(shown.at("key_fields").back().at("bytes") == 500);
  CHECK(!shown.contains("ptx"));
  CHECK(show({first.hex(), "--json", "--ptx"}).json().at("ptx") == entry.ptx);
  CHECK(show({first.hex(), "--ptx"}).out == entry.ptx);
  const std::string cubin = place.directory.file("x.cubin");
  const Outcome written = show({first.hex(), "--cubin", cubin});
  CHECK(written.code == 0);
  CHECK(written.out.empty());
  CHECK(place.directory.read("x.cubin") == entry.cubin);

  const Outcome text = show({own.path_of(first)});
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Catch::Contains("kerncast 0.1.0") && Catch::Contains("the pack /a/\\u001b[2Jpack") &&
                           Catch::Contains("not of this content") && Catch::Contains("500 bytes, digest") &&
                           Catch::Contains("2023-11-14 22:13:20 UTC"));
  CHECK(text.out.find('\x1b') == std::string::npos);
  CHECK(show({"123456", "--json"}).json().at("layer") == layer.root());
  CHECK(show({third.hex(), "--json"}).json().at("provenance").is_null());

  const Outcome ambiguous = show({"abcdef"});
  CHECK(ambiguous.code == 2);
  CHECK_THAT(ambiguous.err, Catch::Contains("2 keys") && Catch::Contains(first.hex()) &&
                                Catch::Contains(second.hex()) && Catch::Contains("second"));
  const Outcome unknown = show({"fedcba"});
  CHECK(unknown.code == 1);
  CHECK_THAT(unknown.err, Catch::Contains("has an entry fedcba"));
  for (const char* bad : {"abcde", "abcdeg", "norm.rms_norm"}) {
    CHECK(show({bad}).code == 2);
  }
  CHECK(show({"./absent.kce"}).code == 1);
  CHECK(show({place.directory.write("junk.kce", "junk")}).code == 1);
  fs::resize_file(own.path_of(second), 20);
  const Outcome damaged = show({second.hex()});
  CHECK(damaged.code == 1);
  CHECK_THAT(damaged.err, Catch::Contains("checksum") || Catch::Contains("not an entry"));
  // Looking changes nothing.
  CHECK(fs::exists(own.path_of(second)));
}

TEST_CASE("tuned records that cannot be read are not none") {
  const CommandPlace place;
  keep(place, tuned_record());
  fs::remove(place.directory.file("cache/tuning.sqlite"));
  fs::remove(place.directory.file("cache/tuning.good.sqlite"));
  fs::create_directory(place.directory.file("cache/tuning.sqlite"));
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"cache", "tuned"}, {"cache", "clear", "--tuned"}, {"cache", "export", "x.pack"}}) {
    const Outcome outcome = place.run(command);
    INFO(command[1] << ": " << outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains("the tuned records in") && Catch::Contains("cannot be read"));
  }
  CHECK(place.run({"cache", "clear"}).code == 0);
}

TEST_CASE("a listing names the files that it leaves out") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const std::string key = warmed.place.run({"cache", "ls", "--json"}).json().at(0).at("key");
  const std::string file = "cache/v1/" + key.substr(0, 2) + "/" + key.substr(2) + ".kce";
  std::string bytes = warmed.place.directory.read(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  warmed.place.directory.write(file, bytes);
  const Outcome list = warmed.place.run({"cache", "ls", "--json"});
  CHECK(list.json().empty());
  CHECK_THAT(list.err, Catch::Contains("1 file in ") && Catch::Contains("cannot be read as an entry"));
  const Outcome clear = warmed.place.run({"cache", "clear", "--op", "rms_norm"});
  CHECK(clear.code == 1);
  CHECK_THAT(clear.err, Catch::Contains("no such kernel") && Catch::Contains("cannot be read as an entry"));
  CHECK(warmed.place.run({"cache", "clear", "--json"}).json().at("removed").at("entries") == 1);
}

TEST_CASE("the architecture of an explanation is that of the device") {
  const CommandPlace place;
  const std::vector<std::string> words = {"cache", "explain", "norm.rms_norm", "--set", hidden, "--json"};
  CHECK(place.run(words, {{"KERNCAST_SIM_ARCH", "sm_80"}}).json().at("arch") == "sm_80");
  const Outcome none = place.run(words, {{"KERNCAST_DRIVER", "/no/such/driver"}});
  CHECK(none.json().at("arch") == "sm_90a");
  CHECK_THAT(none.err, Catch::Contains("taking sm_90a"));
}

TEST_CASE("clearing removes what the options select, and a dry run nothing") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const CommandPlace& place = warmed.place;
  REQUIRE(
      place.run({"warm", "norm.l2_norm", "--set", hidden, "--arch", "sm_80,sm_90a", "--rows", "1"}).code ==
      0);
  const auto names = [&] {
    std::vector<std::string> out;
    for (const json& entry : place.run({"cache", "ls", "--json"}).json()) {
      out.push_back(entry.at("op").get<std::string>() + " " + entry.at("arch").get<std::string>());
    }
    return out;
  };
  const std::vector<std::string> all = {"norm.l2_norm sm_80", "norm.l2_norm sm_90a", "norm.rms_norm sm_90a"};
  REQUIRE(names() == all);
  const auto clear = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"cache", "clear"});
    return place.run(more);
  };

  const Outcome dry = clear({"--op", "l2_norm", "--arch", "sm_90a", "--dry-run", "--json"});
  CHECK(dry.code == 0);
  CHECK(dry.json().at("removed").at("entries") == 1);
  REQUIRE(dry.json().at("list").size() == 1);
  CHECK(dry.json().at("list")[0].at("op") == "norm.l2_norm");
  CHECK(dry.json().at("removed").at("bytes") == dry.json().at("list")[0].at("bytes"));
  CHECK_THAT(clear({"--dry-run"}).out, Catch::Contains("norm.rms_norm") &&
                                           Catch::Contains("would remove 3 entries") &&
                                           Catch::Contains(" bytes)"));
  CHECK(names() == all);

  // An option that selects nothing removes nothing, whatever the others select.
  const std::vector<std::vector<std::string>> nothing = {{"--op", "norm.rms_nrm"},
                                                         {"--op", "rms_norm,norm.none"},
                                                         {"--arch", "sm_75"},
                                                         {"--op", "rms_norm", "--arch", "sm_80"},
                                                         {"--compiler", "1.0"},
                                                         {"--older-than", "1h"},
                                                         {"--stale"},
                                                         {"--op", "norm.rms_nrm", "--dry-run"}};
  for (const std::vector<std::string>& options : nothing) {
    const Outcome outcome = clear(options);
    INFO(options.back() << ": " << outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains("no such kernel") || Catch::Contains("nothing was removed"));
    CHECK(names() == all);
  }

  const json removed = clear({"--op", "l2_norm", "--arch", "sm_90a", "--json"}).json();
  CHECK(removed.at("removed").at("entries") == 1);
  CHECK(removed.at("left").at("entries") == 2);
  CHECK(names() == std::vector<std::string>{"norm.l2_norm sm_80", "norm.rms_norm sm_90a"});

  const std::string key = place.run({"cache", "ls", "--json"}).json().at(0).at("key");
  const fs::path file = place.directory.file("cache/v1/" + key.substr(0, 2) + "/" + key.substr(2) + ".kce");
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(48));
  CHECK_THAT(clear({"--older-than", "1d"}).out, Catch::Contains("removed 1 entry"));
  CHECK(names() == std::vector<std::string>{"norm.rms_norm sm_90a"});

  // To a build with other templates the kernel is stale; to this one it is not.
  fs::copy(KERNCAST_TEMPLATES, place.directory.file("templates"), fs::copy_options::recursive);
  const std::string changed = "templates/norm/rms_norm/kernel.cuh";
  place.directory.write(changed, place.directory.read(changed) + "// changed\n");
  const std::string compiler = place.run({"doctor", "--json"}).json().at("nvrtc").at("version");
  CHECK(clear({"--compiler", compiler, "--dry-run"}).code == 0);
  const Outcome stale = place.run({"cache", "clear", "--stale", "--compiler", compiler},
                                  {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}});
  CHECK(stale.code == 0);
  CHECK(names().empty());
  CHECK(clear({}).code == 0);
}

TEST_CASE("a date ahead of the clock is older than any age, and an age may be any number") {
  const CommandPlace place;
  kerncast::cache::Store store(place.directory.file("cache"), nullptr);
  const auto publish = [&](std::uint64_t i, std::chrono::hours ago) {
    REQUIRE(store.publish(sample_key(i), sample_entry()));
    fs::last_write_time(store.path_of(sample_key(i)), fs::file_time_type::clock::now() - ago);
  };
  publish(1, std::chrono::hours(0));
  publish(2, std::chrono::hours(30));
  publish(3, std::chrono::hours(-48));
  kerncast::cache::TunedRecord record = tuned_record();
  record.recorded_us = std::chrono::duration_cast<std::chrono::microseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  keep(place, record);
  const auto would_go = [&](const char* age) {
    return place.run({"cache", "clear", "--older-than", age, "--dry-run", "--json"});
  };
  CHECK(would_go("1d").json().at("removed").at("entries") == 2);
  CHECK(would_go("30d").json().at("removed").at("entries") == 1);
  // 4294967295 weeks are more nanoseconds than a number can hold.
  CHECK(would_go("4294967295w").json().at("removed").at("entries") == 1);
  CHECK(place.run({"cache", "clear", "--older-than", "1d", "--tuned"}).code == 0);
  CHECK(store.list().size() == 1);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 1);
  CHECK(would_go("1d").code == 1);
  CHECK_THAT(place.run({"cache", "clear", "--help"}).out, Catch::Contains("ahead of the"));
}

TEST_CASE("tuned records are selected like entries") {
  const CommandPlace place;
  kerncast::cache::TunedRecord record = tuned_record();
  keep(place, record);
  record.arch = "sm_100a";
  record.templates[0] = record.templates[0] == '0' ? '1' : '0';
  keep(place, record);
  CHECK(place.run({"cache", "clear", "--arch", "sm_90a"}).code == 1);
  const std::vector<std::string> dry = {"cache", "clear", "--tuned", "--stale", "--dry-run", "--json"};
  CHECK(place.run(dry).json().at("removed").at("tuned") == 1);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 2);
  CHECK(place.run({"cache", "clear", "--tuned", "--stale"}).code == 0);
  const json left = place.run({"cache", "tuned", "--json"}).json();
  REQUIRE(left.size() == 1);
  CHECK(left[0].at("arch") == "sm_90a");
  CHECK(place.run({"cache", "clear", "--tuned", "--op", "norm.none"}).code == 1);
  CHECK(place.run({"cache", "clear", "--tuned", "--op", "rms_norm", "--older-than", "1w"}).code == 0);
  CHECK(place.run({"cache", "tuned", "--json"}).json().empty());
}

TEST_CASE("hits, misses and what differs") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const CommandPlace& place = warmed.place;
  const json hit = place.run(explain(hidden)).json();
  CHECK(hit.at("hit") == true);
  CHECK(hit.at("nearest").at("differences").empty());
  CHECK_THAT(place.run({"cache", "explain", "norm.rms_norm", "--set", hidden, "--arch", "sm_90a"}).out,
             Catch::Contains("hit: the kernel is in " + place.directory.file("cache")));

  const json arch = place.run(explain(hidden, "sm_100a")).json();
  CHECK(arch.at("hit") == false);
  CHECK(texts(arch.at("nearest")) == std::vector<std::string>{"architecture sm_90a -> sm_100a"});

  const json shape = place.run(explain("hidden=128")).json();
  const std::vector<std::string> found = texts(shape.at("nearest"));
  CHECK(std::find(found.begin(), found.end(), "parameter hidden 64 -> 128") != found.end());

  // A copy of the templates with one more line makes another template.
  fs::copy(KERNCAST_TEMPLATES, place.directory.file("templates"), fs::copy_options::recursive);
  const std::string changed = "templates/norm/rms_norm/kernel.cuh";
  place.directory.write(changed, place.directory.read(changed) + "// changed\n");
  const json other =
      place.run(explain(hidden), {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}}).json();
  CHECK(texts(other.at("nearest")) == std::vector<std::string>{"template changed: norm/rms_norm/kernel.cuh"});

  // Explaining counts neither as a hit nor as a miss.
  const json counters = place.run({"cache", "stat", "--json"}).json().at("counters");
  CHECK(counters.at("misses") == 1);
  CHECK(counters.at("compiles") == 1);
  CHECK(counters.at("directory_hits") == 0);
}

TEST_CASE("tuned records are counted, listed, carried by packs, and cleared only when asked") {
  const CommandPlace place;
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 0);
  CHECK(place.run({"cache", "tuned", "--json"}).json().empty());
  CHECK_THAT(place.run({"cache", "tuned"}).out, Catch::Contains("no tuned records"));
  CHECK(!fs::exists(place.directory.file("cache/tuning.sqlite")));

  kerncast::cache::TunedRecord record = tuned_record();
  keep(place, record);
  record.source = kerncast::cache::TunedSource::estimate;
  record.device = "H100";
  record.templates[0] = record.templates[0] == '0' ? '1' : '0';
  keep(place, record);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 2);
  CHECK_THAT(place.run({"cache", "stat"}).out, Catch::Contains("tuned records"));
  const json list = place.run({"cache", "tuned", "--json"}).json();
  REQUIRE(list.size() == 2);
  CHECK(list[0].at("source") == "measured");
  CHECK(list[0].at("device") == "NVIDIA H100");
  CHECK(list[0].at("state") == "current");
  CHECK(list[0].at("tunables") == json{{"threads", 64}, {"rows_per_block", 2}});
  CHECK(list[0].at("time_us") == 2.5);
  CHECK(list[0].at("recorded") == 1'764'000'000);
  CHECK(list[1].at("source") == "estimate");
  CHECK(list[1].at("state") == "stale");
  CHECK_THAT(place.run({"cache", "tuned"}).out,
             Catch::Contains("threads=64 rows_per_block=2") && Catch::Contains("measured NVIDIA H100"));

  const std::string pack = place.directory.file("tuned.pack");
  const json exported = place.run({"cache", "export", pack, "--json"}).json();
  CHECK(exported.at("entries") == 0);
  CHECK(exported.at("tuned") == 2);
  const Outcome none = place.run({"cache", "export", place.directory.file("other"), "--op", "norm.other"});
  CHECK(none.code == 1);
  CHECK_THAT(none.err, Catch::Contains("--op norm.other"));
  CHECK_FALSE(std::filesystem::exists(place.directory.file("other")));
  const std::string again = place.directory.file("again.pack");
  REQUIRE(place.run({"cache", "export", again}).code == 0);
  CHECK(place.directory.read("again.pack") == place.directory.read("tuned.pack"));
  CHECK(place.run({"cache", "verify", pack, "--json"}).json().at("tuned") == 2);
  {
    const CommandPlace to;
    const json mounted = to.run({"cache", "tuned", "--json"}, {{"KERNCAST_CACHE_READONLY", pack}}).json();
    REQUIRE(mounted.size() == 2);
    CHECK(mounted[0].at("layer") == pack);
    CHECK(to.run({"cache", "import", pack, "--json"}).json().at("tuned_imported") == 2);
    const json second = to.run({"cache", "import", pack, "--json"}).json();
    CHECK(second.at("tuned_imported") == 0);
    CHECK(second.at("tuned_already") == 2);
    CHECK(to.run({"cache", "tuned", "--json"}).json().size() == 2);
  }

  CHECK_THAT(place.run({"cache", "clear"}).out, Catch::Contains("2 tuned records are kept"));
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 2);
  CHECK(place.run({"cache", "clear", "--tuned", "--json"}).json().at("removed").at("tuned") == 2);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("tuned") == 0);
}

TEST_CASE("inspect says whether tunables are the op's own, tuned or given") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::vector<std::string> inspect{"inspect", "norm.rms_norm", "--set", hidden, "--arch", "sm_90a"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = inspect;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  CHECK(place.run(with({"--json"})).json().at("tunables_origin") == "defaults");
  CHECK_THAT(place.run(inspect).out, Catch::Contains("the op's defaults"));
  keep(place, tuned_record());
  const json tuned = place.run(with({"--json"})).json();
  CHECK(tuned.at("tunables_origin") == "tuned");
  CHECK(tuned.at("tunables") == "threads=64 rows_per_block=2");
  CHECK_THAT(tuned.at("tuned_record").get<std::string>(),
             Catch::Contains("measured on NVIDIA H100: 2.50 us for 1 row, 2025-11-24"));
  CHECK_THAT(place.run(inspect).out, Catch::Contains("tuned: measured on NVIDIA H100"));
  // The record is used for the row bucket that it was tuned for.
  CHECK(place.run(with({"--json", "--rows", "64"})).json().at("tunables_origin") == "defaults");
  const json given =
      place.run(with({"--json", "--tunables", "threads=128", "--tunables", "rows_per_block=4"})).json();
  CHECK(given.at("tunables_origin") == "given");
  CHECK(given.at("tunables") == "threads=128 rows_per_block=4");
  CHECK(given.at("tuned_record").is_null());
  for (const char* bad : {"threads=100", "thread=128", "threads", "threads=128"}) {
    const Outcome refused = place.run(with({"--tunables", bad}));
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Catch::Contains("threads"));
  }

  // A changed template makes the record stale, with a warning.
  fs::copy(KERNCAST_TEMPLATES, place.directory.file("templates"), fs::copy_options::recursive);
  const std::string changed = "templates/norm/rms_norm/kernel.cuh";
  place.directory.write(changed, place.directory.read(changed) + "// changed\n");
  const Outcome stale =
      place.run(with({"--json"}), {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}});
  CHECK(stale.json().at("tunables_origin") == "defaults");
  CHECK_THAT(stale.err, Catch::Contains("templates have changed"));
}

TEST_CASE("a pack carries a cache to a machine without a compiler") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const CommandPlace& from = warmed.place;
  const std::string pack = from.directory.file("kernels.pack");
  CHECK(from.run({"cache", "export", pack, "--json"}).json().at("entries") == 1);
  const Outcome none = from.run({"cache", "export", from.directory.file("none.pack"), "--arch", "sm_80"});
  CHECK(none.code == 1);
  CHECK_THAT(none.err, Catch::Contains("--arch sm_80"));
  CHECK_FALSE(std::filesystem::exists(from.directory.file("none.pack")));
  const CommandPlace empty;
  CHECK(empty.run({"cache", "export", empty.directory.file("empty.pack")}).code == 1);
  CHECK_FALSE(std::filesystem::exists(empty.directory.file("empty.pack")));
  CHECK(from.run({"cache", "verify", pack, "--json"}).json().at("entries") == 1);

  std::vector<std::string> warm = warmed.warm;
  warm.emplace_back("--json");
  {
    const CommandPlace to;
    CHECK(to.run(warm, {{"KERNCAST_NVRTC", "none"}}).code == 1);
    CHECK(to.run({"cache", "import", pack, "--json"}).json().at("imported") == 1);
    CHECK(to.run({"cache", "import", pack, "--json"}).json().at("already") == 1);
    CHECK(to.run(warm, {{"KERNCAST_NVRTC", "none"}}).events("kernel").at(0).at("cached") == true);
    CHECK(to.run({"cache", "stat", "--json"}).json().at("counters").at("directory_hits") == 1);
  }
  const CommandPlace to;
  const std::vector<std::pair<std::string, std::string>> mounted{{"KERNCAST_NVRTC", "none"},
                                                                 {"KERNCAST_CACHE_READONLY", pack}};
  CHECK(to.run(warm, mounted).events("kernel").at(0).at("cached") == true);
  const json statistics = to.run({"cache", "stat", "--json"}, mounted).json();
  CHECK(statistics.at("counters").at("read_only_hits") == 1);
  CHECK(statistics.at("counters").at("promoted") == 1);
  CHECK(statistics.at("read_only") == json::array({pack}));
  CHECK(to.run(warm, {{"KERNCAST_NVRTC", "none"}}).events("kernel").at(0).at("cached") == true);
}

TEST_CASE("an import that exceeds the budget is refused, and a dry run says so and writes nothing") {
  const CommandPlace from;
  kerncast::cache::Store store(from.directory.file("cache"), nullptr);
  publish_proven(store, "first", 1 << 20);
  publish_proven(store, "second", 0);
  const std::string pack = from.directory.file("kernels.pack");
  REQUIRE(from.run({"cache", "export", pack}).code == 0);

  const CommandPlace to;
  const std::vector<std::pair<std::string, std::string>> small{{"KERNCAST_CACHE_MAX_BYTES", "512K"}};
  const Outcome refused = to.run({"cache", "import", pack}, small);
  CHECK(refused.code == 1);
  CHECK_THAT(refused.err,
             Catch::Contains("KERNCAST_CACHE_MAX_BYTES=524288") && Catch::Contains("nothing was imported"));
  const Outcome told = to.run({"cache", "import", pack, "--dry-run", "--json"}, small);
  CHECK(told.code == 1);
  CHECK(told.json().at("fits") == false);
  CHECK(told.json().at("imported") == 0);
  CHECK_FALSE(fs::exists(to.directory.file("cache/v1")));

  const json fits = to.run({"cache", "import", pack, "--dry-run", "--json"}).json();
  CHECK(fits.at("fits") == true);
  CHECK(fits.at("imported") == 2);
  CHECK(fits.at("list").size() == 2);
  CHECK(fits.at("list").at(0).at("fate") == "imported");
  CHECK_FALSE(fs::exists(to.directory.file("cache/v1")));
  const Outcome table = to.run({"cache", "import", pack, "--dry-run"});
  CHECK(table.code == 0);
  CHECK_THAT(table.out, Catch::Contains("would import 2 entries"));
  CHECK(to.run({"cache", "import", pack, "--json"}).json().at("imported") == 2);
  const json again = to.run({"cache", "import", pack, "--dry-run", "--json"}).json();
  CHECK(again.at("imported") == 0);
  CHECK(again.at("already") == 2);
  CHECK(again.at("list").at(1).at("fate") == "present");
}

TEST_CASE("a signal stops an import between two entries, and the next import goes on") {
  const CommandPlace from;
  kerncast::cache::Store store(from.directory.file("cache"), nullptr);
  constexpr int entries = 40;
  for (int i = 0; i < entries; ++i) {
    publish_proven(store, std::to_string(i), 0);
  }
  const std::string pack = from.directory.file("kernels.pack");
  REQUIRE(from.run({"cache", "export", pack}).code == 0);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const CommandPlace to;
    const std::string root = to.directory.file("cache");
    const pid_t child = to.start({"cache", "import", pack});
    // An entry folder shows that the import is at work.
    while (!fs::exists(root + "/v1") && !has_ended(child)) {
    }
    kill(child, signal);
    const Outcome outcome = to.wait(child);
    INFO(signal << ": " << outcome.err);
    CHECK((outcome.code == 0 || outcome.code == 130 || outcome.code == 128 + signal));
    for (const fs::directory_entry& file : fs::recursive_directory_iterator(root)) {
      CHECK_FALSE(file.path().filename().string().starts_with(".tmp-"));
    }
    const json rest = to.run({"cache", "import", pack, "--json"}).json();
    const int already = rest.at("already").get<int>();
    CHECK(rest.at("imported").get<int>() + already == entries);
    // The signal may have come when all was done, and it ends the process then.
    CHECK((outcome.code == 130 || already == entries));
  }
}

TEST_CASE("commands that are ended by a signal leave no temporary file") {
  const CommandPlace place;
  kerncast::cache::Store store(place.directory.file("cache"), nullptr);
  for (int i = 0; i < 40; ++i) {
    publish_proven(store, std::to_string(i), 4000);
  }
  fs::create_directory(place.directory.file("out"));
  place.directory.write("out/old", "old");
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"cache", "export", "out/old"}, {"cache", "metrics", "--out", "out/old"}}) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      for (const int delay_ms : {0, 10, 20, 40}) {
        const pid_t child = place.start(command);
        std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
        kill(child, signal);
        const Outcome outcome = place.wait(child);
        INFO(command[1] << ", " << signal << ": " << outcome.code);
        CHECK(std::distance(fs::directory_iterator(place.directory.file("out")), fs::directory_iterator()) ==
              1);
        CHECK((outcome.code == 0 || outcome.code == 128 + signal));
        const bool is_old = place.directory.read("out/old") == "old";
        CHECK((outcome.code != 0 || !is_old));
        place.directory.write("out/old", "old");
      }
    }
  }
}

TEST_CASE("every command of the cache does with few descriptors") {
  const CommandPlace place;
  const std::string root = place.directory.file("cache");
  kerncast::cache::Store store(root, nullptr);
  constexpr std::size_t entries = 80;
  for (std::size_t i = 0; i < entries; ++i) {
    publish_proven(store, std::to_string(i), 0);
  }
  fs::create_directory(root + "/sessions");
  for (std::size_t i = 0; i < entries; ++i) {
    std::ofstream(root + "/sessions/" + std::to_string(i) + ".kcs")
        << kerncast::cache::serialise_counters({});
  }
  const FewDescriptors few;
  const std::pair<std::string, std::string> budget{"KERNCAST_CACHE_MAX_ENTRIES", "100"};
  const std::pair<std::string, std::string> other{"KERNCAST_CACHE_DIR", place.directory.file("other")};
  const auto run = [&](const std::vector<std::string>& words,
                       const std::vector<std::pair<std::string, std::string>>& environment = {}) {
    Outcome outcome = place.run(words, environment);
    INFO(words[1] << ": " << outcome.err);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    return outcome;
  };
  CHECK(run({"cache", "ls", "--json"}).json().size() == entries);
  CHECK(run({"cache", "stat", "--json"}).json().at("entries") == entries);
  static_cast<void>(run({"cache", "metrics"}));
  static_cast<void>(run({"cache", "tuned"}));
  CHECK(run({"cache", "export", "kernels.pack", "--json"}).json().at("entries") == entries);
  CHECK(run({"cache", "verify", "--no-load", "kernels.pack", "--json"}).json().at("entries") == entries);
  CHECK(run({"cache", "import", "kernels.pack", "--json"}, {budget, other}).json().at("imported") == entries);
  CHECK(run({"cache", "ls", "--json"}, {other}).json().size() == entries);
  CHECK(run({"cache", "clear", "--op", "rms_norm", "--dry-run", "--json"}).json().at("list").size() ==
        entries);
  CHECK(run({"cache", "clear", "--json"}).json().at("removed").at("entries") == entries);
}

TEST_CASE("clearing succeeds while others publish, and fails if a file stays") {
  const CommandPlace place;
  const std::string root = place.directory.file("cache");
  const auto publish = [&](std::uint64_t first) {
    return start_child([&, first] {
      kerncast::cache::Store store(root, nullptr);
      for (std::uint64_t i = 0;; ++i) {
        if (!store.publish(sample_key(first + i % 50), sample_entry())) {
          return 1;
        }
      }
    });
  };
  const std::vector<pid_t> publishers{publish(0), publish(25), publish(1000)};
  for (int round = 0; round < 8; ++round) {
    const Outcome cleared = place.run({"cache", "clear", "--json"});
    INFO(cleared.err);
    CHECK(cleared.code == 0);
  }
  for (const pid_t publisher : publishers) {
    kill(publisher, SIGKILL);
    CHECK(exit_code(publisher) == 128 + SIGKILL);
  }
  CHECK(place.run({"cache", "clear"}).code == 0);

  kerncast::cache::Store store(root, nullptr);
  REQUIRE(store.publish(sample_key(1), sample_entry()));
  fs::permissions(root + "/v1", fs::perms::others_write, fs::perm_options::add);
  CHECK(place.run({"cache", "clear"}).code == 1);
  CHECK(fs::exists(store.path_of(sample_key(1))));
}

TEST_CASE("the cubin is extracted as the assembler wrote it") {
  if (!has_nvrtc()) {
    return;
  }
  const Warmed warmed;
  const json entry = warmed.place.run({"cache", "ls", "--json"}).json().at(0);
  const std::string key = entry.at("key");
  const std::string file = "cache/v1/" + key.substr(0, 2) + "/" + key.substr(2) + ".kce";
  const json shown = warmed.place.run({"inspect", file, "--json"}).json();
  REQUIRE(warmed.place.run({"inspect", file, "--extract", "out.cubin"}).code == 0);
  const std::string cubin = warmed.place.directory.read("out.cubin");
  CHECK(cubin.size() == shown.at("cubin_bytes"));
  CHECK(cubin.substr(1, 3) == "ELF");
}

}  // namespace
