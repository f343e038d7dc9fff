// The commands that show, move, prune and compare tuned records, and serving with them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "cache/tuning/tuned_lines.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tests/cache/tuning/database_connection.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"
#include "tests/tools/commands/command_process.hpp"
#include "tools/model/settings.hpp"
#include "tools/tune/trials/trial_store.hpp"

namespace {

using kerncast::cache::TunedRecord;
using kerncast::cache::TunedSource;
using nlohmann::json;
namespace fs = std::filesystem;

std::string digest_of_templates(const TunedRecord& record) {
  kerncast::RuntimeOptions options;
  options.nvrtc = "none";
  kerncast::Runtime runtime(options);
  return implementation_of(runtime).builder.templates_digest(
      kerncast::OpRegistry::instance().require(record.op), record.spec);
}

/// A record of rms_norm whose templates are those of the library.
TunedRecord current_record(std::int64_t rows) {
  TunedRecord record = detailed_record(rows);
  static const std::string templates = digest_of_templates(record);
  record.templates = templates;
  record.recorded_us = 1'764'000'000'000'000;
  return record;
}

void keep(const CommandPlace& place, const std::vector<TunedRecord>& records) {
  REQUIRE(kerncast::cache::TuningStore(place.directory.file("cache"), nullptr).record(records).failed == 0);
}

std::vector<TunedRecord> kept(const CommandPlace& place) {
  return kerncast::cache::TuningStore(place.directory.file("cache"), nullptr).list();
}

std::string line_of(const TunedRecord& record) {
  return kerncast::cache::format_line(record) + '\n';
}

TEST_CASE("help names every command of tune, and one must be named") {
  const CommandPlace place;
  const Outcome help = place.run({"tune", "--help"});
  for (const char* command : {"show", "export", "import", "prune", "check"}) {
    CHECK_THAT(help.out, Catch::Contains(command));
    const Outcome sub = place.run({"tune", command, "--help"});
    CHECK(sub.code == 0);
    CHECK_THAT(sub.out, Catch::Contains("--json"));
  }
  CHECK(place.run({"tune"}).code == 2);
  CHECK(place.run({"tune", "sho"}).code == 2);
}

TEST_CASE("tune show prints every field, the gain and the state") {
  const CommandPlace place;
  CHECK_THAT(place.run({"tune", "show"}).out, Catch::Contains("no tuned records"));
  CHECK(place.run({"tune", "show", "--json"}).json().empty());
  TunedRecord slower = current_record(2);
  slower.default_us = 2.5;
  TunedRecord plain = sample_record(3);
  TunedRecord estimate = current_record(4);
  estimate.source = TunedSource::estimate;
  estimate.device = "h100";
  estimate.low_us = estimate.high_us = estimate.time_us;
  estimate.policy = "cost model";
  TunedRecord foreign = current_record(5);
  foreign.op = "test.gone";
  keep(place, {current_record(1), slower, plain, estimate, foreign});
  const std::string out = place.run({"tune", "show"}, {{"COLUMNS", "300"}}).out;
  for (const char* text :
       {"norm.rms_norm [x_dtype=bf16 hidden=7168] for sm_90a, 1 row", "threads=256 rows_per_block=2",
        "3.25 us (3.20 to 3.30), 7.1 % quicker than the default's 3.50 us",
        "measured on NVIDIA H100 80GB HBM3, graph of 20, cold L2, 12 trials, data zipf 1.1",
        "kerncast 0.1.0, NVRTC 13.0, driver 580.65, 2025-11-24", "30.0 % slower than the default's 2.50 us",
        "3.25 us; neither its interval nor the default's time is known", "estimated for h100, cost model",
        "state     current", "stale: the templates or launches have changed since",
        "unknown: the library has no such op"}) {
    CHECK_THAT(out, Catch::Contains(text));
  }
  CHECK_THAT(out, Catch::Contains(place.directory.file("cache")));
  const json list = place.run({"tune", "show", "--json"}).json();
  REQUIRE(list.size() == 5);
  CHECK(list[0].at("low_us") == 3.2);
  CHECK(list[0].at("high_us") == 3.3);
  CHECK(list[0].at("default_us") == 3.5);
  CHECK(list[0].at("gain").get<double>() == Approx(1 - 3.25 / 3.5));
  CHECK(list[0].at("trials") == 12);
  CHECK(list[0].at("policy") == "graph of 20, cold L2");
  CHECK(list[0].at("data") == "zipf 1.1");
  CHECK(list[0].at("compiler") == "NVRTC 13.0");
  CHECK(list[0].at("driver") == "580.65");
  CHECK(list[0].at("tool") == "kerncast 0.1.0");
  CHECK(list[0].at("state") == "current");
  CHECK(list[1].at("gain").get<double>() == Approx(-0.3));
  CHECK(list[2].at("state") == "stale");
  CHECK(list[2].at("gain").is_null());
  CHECK(list[2].at("tool").is_null());
  CHECK(list[4].at("state") == "unknown");
  // The shorter list has the same records.
  CHECK(place.run({"cache", "tuned", "--json"}).json() == list);
}

TEST_CASE("tune show lists the records of one op and of some architectures") {
  const CommandPlace place;
  TunedRecord other = current_record(1);
  other.op = "test.gone";
  other.arch = "sm_80";
  keep(place, {current_record(1), current_record(2), other});
  const auto count = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"tune", "show", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return place.run(words).json().size();
  };
  CHECK(count({}) == 3);
  CHECK(count({"norm.rms_norm"}) == 2);
  CHECK(count({"rms_norm", "--arch", "sm_90a"}) == 2);
  CHECK(count({"--arch", "sm_80,sm_100a"}) == 1);
  CHECK_THAT(place.run({"tune", "show", "test.gone"}).out,
             Catch::Contains("test.gone") && !Catch::Contains("norm.rms_norm"));
  const Outcome none = place.run({"tune", "show", "rms_norm", "--arch", "sm_80"});
  CHECK(none.code == 1);
  CHECK(none.out.empty());
  CHECK_THAT(none.err, Catch::Contains("no tuned record of rms_norm for sm_80"));
  CHECK(place.run({"tune", "show", "--arch", "x"}).code == 2);
  const Outcome untried = place.run({"tune", "report", "norm.rms_norm"});
  CHECK(untried.code == 1);
  CHECK_THAT(untried.err, Catch::Contains("no stored trial of norm.rms_norm"));
  CHECK(place.run({"tune", "report", "--arch", "x"}).code == 2);
}

TEST_CASE("records of a newer build are one error of each command, and stay as they are") {
  const CommandPlace place;
  keep(place, {current_record(1)});
  const std::string lines = place.directory.file("records.jsonl");
  REQUIRE(place.run({"tune", "export", lines}).code == 0);
  const std::string database = place.directory.file("cache/tuning.sqlite");
  DatabaseConnection(database).run("PRAGMA user_version = 99; PRAGMA application_id = 0x4B430063");
  fs::copy_file(database, place.directory.file("cache/tuning.good.sqlite"),
                fs::copy_options::overwrite_existing);
  const std::string before = place.directory.read("cache/tuning.sqlite");
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"tune", "show"},
                                             {"tune", "check"},
                                             {"tune", "prune"},
                                             {"tune", "export", "-"},
                                             {"tune", "import", lines, "--dry-run"},
                                             {"cache", "tuned"}}) {
    const Outcome outcome = place.run(command);
    INFO(command[1] << ": " << outcome.err);
    CHECK(outcome.code == 1);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Catch::StartsWith("kerncast: error: ") && Catch::Contains("schema version 99") &&
                                Catch::Contains("use a Kerncast as new as"));
    CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  }
  const Outcome import = place.run({"tune", "import", lines});
  CHECK(import.code == 1);
  CHECK_THAT(import.err, Catch::Contains("schema version 99") && Catch::Contains("could not be stored"));
  // A report is of the trials, and a process that serves warns once.
  CHECK(place.run({"tune", "report"}).code == 0);
  const Outcome served = place.run({"cache", "stat"});
  CHECK(served.code == 0);
  CHECK(std::count(served.err.begin(), served.err.end(), '\n') == 1);
  CHECK_THAT(served.err, Catch::Contains("warning") && Catch::Contains("schema version 99"));
  CHECK(place.directory.read("cache/tuning.sqlite") == before);
  CHECK(place.directory.read("cache/tuning.good.sqlite") == before);
}

TEST_CASE("an export is one line for each record, and an import gives the same records back") {
  const CommandPlace place;
  TunedRecord with_signature = current_record(2);
  with_signature.signatures = signed_record().signatures;
  const std::vector<TunedRecord> records{current_record(1), with_signature, sample_record(3)};
  keep(place, records);
  const json exported = place.run({"tune", "export", "out.jsonl", "--json"}).json();
  CHECK(exported.at("records") == 3);
  const std::string text = line_of(records[0]) + line_of(records[1]) + line_of(records[2]);
  CHECK(place.directory.read("out.jsonl") == text);
  CHECK(place.run({"tune", "export", "-"}).out == text);
  CHECK_THAT(place.run({"tune", "export", "-"}).err, Catch::Contains("3 tuned records"));
  CHECK(place.run({"tune", "export", "-", "--op", "rms_norm", "--arch", "sm_90a"}).out == text);
  for (const auto& [option, value] : {std::pair("--op", "norm.none"), std::pair("--arch", "sm_100a")}) {
    const Outcome none = place.run({"tune", "export", "none.jsonl", option, value});
    CHECK(none.code == 1);
    CHECK_THAT(none.err, Catch::Contains(value));
    CHECK(!fs::exists(place.directory.file("none.jsonl")));
  }

  const CommandPlace to;
  const std::string file = place.directory.file("out.jsonl");
  CHECK(to.run({"tune", "export", "none.jsonl"}).code == 1);
  const json foretold = to.run({"tune", "import", file, "--dry-run", "--json"}).json();
  CHECK(foretold.at("imported") == 3);
  CHECK(foretold.at("dry_run") == true);
  CHECK(!fs::exists(to.directory.file("cache")));
  CHECK_THAT(to.run({"tune", "import", file}).out, Catch::Contains("imported 3 tuned records; 0 are there"));
  CHECK(kept(to) == records);
  CHECK(to.run({"tune", "export", "-"}).out == text);
  const json again = to.run({"tune", "import", file, "--json"}).json();
  CHECK(again.at("imported") == 0);
  CHECK(again.at("already") == 3);
  CHECK(to.run({"tune", "import", file, "--dry-run", "--json"}).json().at("already") == 3);
  // The log tells it as it tells packs.
  const json events = to.run({"cache", "log", "--event", "import", "--json"}).json().at("events");
  REQUIRE(events.size() == 1);
  CHECK(events[0].at("layer") == file);
  CHECK(events[0].at("tuned") == 3);

  // An older record does not replace a newer one.
  TunedRecord old = records[0];
  old.recorded_us -= 1;
  old.time_us = 3.21;
  to.directory.write("old.jsonl", line_of(old));
  CHECK(to.run({"tune", "import", "old.jsonl", "--json"}).json().at("already") == 1);
  CHECK(kept(to) == records);
}

TEST_CASE("bad lines of an import are named and skipped, and the others are stored") {
  const CommandPlace place;
  TunedRecord inverted = current_record(2);
  std::swap(inverted.low_us, inverted.high_us);
  place.directory.write("mixed.jsonl", line_of(current_record(1)) + "garbage\n\n" + line_of(inverted) +
                                           line_of(current_record(3)));
  for (const bool dry_run : {true, false}) {
    std::vector<std::string> words{"tune", "import", "mixed.jsonl", "--json"};
    if (dry_run) {
      words.emplace_back("--dry-run");
    }
    const Outcome outcome = place.run(words);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err,
               Catch::Contains("mixed.jsonl:2 is skipped: it is not an object of JSON") &&
                   Catch::Contains("mixed.jsonl:4 is skipped: its time 3.25 is not in its interval"));
    const json result = outcome.json();
    CHECK(result.at("imported") == 2);
    REQUIRE(result.at("skipped").size() == 2);
    CHECK(result.at("skipped")[1].at("line") == 4);
  }
  CHECK(kept(place) == std::vector<TunedRecord>{current_record(1), current_record(3)});

  place.directory.write("none.jsonl", "garbage\n");
  place.directory.write("empty.jsonl", "");
  for (const char* file : {"none.jsonl", "empty.jsonl", "missing.jsonl", "."}) {
    const Outcome outcome = place.run({"tune", "import", file});
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains(file));
  }
}

TEST_CASE("an import demands signatures where they are demanded, and adds none") {
  const CommandPlace place;
  const std::string file = place.directory.file("key");
  std::string trusted = place.run({"key", "generate", file}).out;
  trusted.pop_back();
  keep(place, {current_record(1)});
  REQUIRE(place.run({"tune", "export", "plain.jsonl"}).code == 0);
  const Outcome refused = place.run({"tune", "import", "plain.jsonl"}, {{"KERNCAST_TRUSTED_KEYS", trusted}});
  CHECK(refused.code == 1);
  CHECK_THAT(refused.err, Catch::Contains("plain.jsonl:1 is skipped: it is not signed"));
  REQUIRE(place.run({"cache", "clear", "--tuned"}).code == 0);
  CHECK(place.run({"tune", "import", "plain.jsonl"}, {{"KERNCAST_SIGNING_KEY", file}}).code == 0);
  CHECK(kept(place).at(0).signatures.empty());
  // A signature passes through a pack, a directory and a file of lines.
  REQUIRE(place.run({"cache", "export", "signed.pack", "--sign", file}).code == 0);
  const CommandPlace other;
  REQUIRE(other.run({"cache", "import", place.directory.file("signed.pack")}).code == 0);
  REQUIRE(other.run({"tune", "export", "signed.jsonl"}).code == 0);
  const CommandPlace last;
  CHECK(
      last.run({"tune", "import", other.directory.file("signed.jsonl")}, {{"KERNCAST_TRUSTED_KEYS", trusted}})
          .code == 0);
  CHECK(kept(last).size() == 1);
}

TEST_CASE("prune removes what no launch can use, and says what") {
  const CommandPlace place;
  CHECK(place.run({"tune", "prune"}).code == 0);
  TunedRecord foreign = current_record(5);
  foreign.op = "test.gone";
  keep(place, {current_record(1), sample_record(2), foreign});
  kerncast::tools::TrialStore trials(place.directory.file("cache"), nullptr);
  kerncast::tools::Trial trial;
  trial.tunables = "threads=32";
  trial.samples_us = {1};
  trials.append({{"op", "test.gone"}, {"templates", "0"}}, {&trial, 1});
  trials.append({{"op", "norm.rms_norm"}, {"templates", "0"}}, {&trial, 1});
  trials.append(
      {{"op", "norm.rms_norm"}, {"spec", current_record(1).spec}, {"templates", current_record(1).templates}},
      {&trial, 1});
  const Outcome dry = place.run({"tune", "prune", "--dry-run", "--json"});
  CHECK(dry.json().at("searches") == 2);
  CHECK(trials.list().size() == 3);
  CHECK(dry.json().at("removed").size() == 2);
  CHECK(dry.json().at("left") == 1);
  CHECK(kept(place).size() == 3);
  CHECK_THAT(place.run({"tune", "prune", "--dry-run"}).out,
             Catch::Contains("would remove 2 tuned records, 1 left, the trials of 2 searches, and ") &&
                 Catch::Contains("stale") && Catch::Contains("test.gone") && Catch::Contains("unknown"));
  // Another template directory makes everything stale, and must not cost what was tuned.
  const Outcome other = place.run({"tune", "prune"}, {{"KERNCAST_TEMPLATE_DIR", KERNCAST_TEMPLATES}});
  CHECK(other.code == 2);
  CHECK_THAT(other.err, Catch::Contains("KERNCAST_TEMPLATE_DIR"));
  CHECK_THAT(place.run({"tune", "prune"}).out,
             Catch::Contains("removed 2 tuned records, 1 left, the trials of 2 searches, and "));
  CHECK(trials.list().size() == 1);
  CHECK(kept(place) == std::vector<TunedRecord>{current_record(1)});
  CHECK(place.run({"tune", "prune", "--json"}).json().at("removed").empty());
}

TEST_CASE("check prints a digest by which machines compare what they choose from") {
  const CommandPlace place;
  const CommandPlace other;
  const std::string none = place.run({"tune", "check", "--json"}).json().at("digest");
  CHECK(other.run({"tune", "check", "--expect", none}).code == 0);
  keep(place, {current_record(1), current_record(2)});
  const json own = place.run({"tune", "check", "--json"}).json();
  const std::string digest = own.at("digest");
  CHECK(own.at("records") == 2);
  CHECK(own.at("layers").size() == 1);
  CHECK(own.at("ok") == true);
  CHECK(digest != none);
  CHECK(place.run({"tune", "check"}).out.starts_with(digest + "\n"));
  const Outcome differs = other.run({"tune", "check", "--expect", digest});
  CHECK(differs.code == 1);
  CHECK_THAT(differs.err, Catch::Contains(none) && Catch::Contains(digest));

  // The place of the records, and the layer that has them, do not matter.
  REQUIRE(place.run({"cache", "export", "tuned.pack"}).code == 0);
  const std::string pack = place.directory.file("tuned.pack");
  CHECK(other.run({"tune", "check", "--expect", digest}, {{"KERNCAST_CACHE_READONLY", pack}}).code == 0);
  REQUIRE(other.run({"cache", "import", pack}).code == 0);
  CHECK(other.run({"tune", "check", "--expect", digest}).code == 0);
  // The order of layers does, and so does a record that is not signed as demanded.
  CHECK(other.run({"tune", "check", "--expect", digest}, {{"KERNCAST_CACHE_READONLY", pack}}).code == 1);
  std::string trusted = place.run({"key", "generate", place.directory.file("key")}).out;
  trusted.pop_back();
  CHECK(CommandPlace()
            .run({"tune", "check", "--expect", none},
                 {{"KERNCAST_CACHE_READONLY", pack}, {"KERNCAST_TRUSTED_KEYS", trusted}})
            .code == 0);

  for (const char* bad : {"", "x", "0123", "0123456789ABCDEF0123456789ABCDEF"}) {
    CHECK(place.run({"tune", "check", "--expect", bad}).code == 2);
  }
  // There is no digest of what cannot be read.
  place.directory.write("bad.pack", "garbage");
  const Outcome unread = place.run({"tune", "check"}, {{"KERNCAST_CACHE_READONLY", "bad.pack"}});
  CHECK(unread.code == 1);
  CHECK_THAT(unread.err, Catch::Contains("bad.pack"));
}

/// The op and specialisation of a kernel of a plan.
struct Shape {
  const kerncast::OpDefinition* op = nullptr;
  kerncast::Specialisation spec;
  std::string text;
};

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) {
    words.push_back(word);
  }
  return words;
}

/// The shapes that `warm` plans for two small models.
std::vector<Shape> planned_shapes(const CommandPlace& place, std::vector<std::string> warm) {
  warm.insert(warm.end(), {"--plan", "--json"});
  const Outcome outcome = place.run(warm);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  std::map<std::string, Shape> shapes;
  const json plan = outcome.json();
  for (const json& kernel : plan.at("kernels")) {
    Shape shape;
    shape.op = kerncast::OpRegistry::instance().find(kernel.at("op").get<std::string>());
    REQUIRE(shape.op != nullptr);
    shape.text = kernel.at("spec");
    shape.spec = kerncast::tools::specialise_settings(
        *shape.op, kerncast::tools::parse_settings(*shape.op, words_of(shape.text)));
    shapes.emplace(shape.op->name + shape.text, shape);
  }
  std::vector<Shape> out;
  for (auto& [name, shape] : shapes) {
    out.push_back(std::move(shape));
  }
  return out;
}

/// A record with the op's own tunables, but for the number of threads.
TunedRecord record_of(const Shape& shape, const kerncast::DeviceTraits& traits, std::int64_t low,
                      std::int64_t high, std::int32_t threads) {
  kerncast::Tunables tunables = shape.op->default_tunables(shape.spec, traits, low);
  REQUIRE(shape.op->tunables.at(0).name == std::string_view("threads"));
  tunables.values[0] = threads;
  TunedRecord record = detailed_record();
  record.op = shape.op->name;
  record.spec = shape.text;
  record.rows_low = low;
  record.rows_high = high;
  record.tunables.clear();
  for (std::size_t i = 0; i < shape.op->tunables.size(); ++i) {
    record.tunables.emplace_back(shape.op->tunables[i].name, tunables.values[i]);
  }
  record.templates = digest_of_templates(record);
  return record;
}

TEST_CASE("after tuning, warming and packing, a strict process that has the pack alone never misses") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("small.json", tiny_dense_model());
  std::string wide = tiny_dense_model();
  wide.replace(wide.find("256"), 3, "512");
  place.directory.write("wide.json", wide);
  const std::vector<std::string> warm{
      "warm", "--model", "small.json,wide.json", "--ops", "rms_norm,fused_add_rms_norm", "--arch", "sm_90a"};
  const std::vector<Shape> shapes = planned_shapes(place, warm);
  REQUIRE(shapes.size() >= 4);

  kerncast::RuntimeOptions options;
  options.driver = "sim";
  options.nvrtc = "none";
  options.cache_directory = place.directory.file("unused");
  const kerncast::DeviceTraits traits = kerncast::Runtime(options).traits(0);
  REQUIRE(kerncast::Runtime(options).arch(0) == "sm_90a");
  // The first shapes have measurements of this device in two buckets, the others have fewer. All of them
  // have something, and most buckets are served by the nearest record.
  std::vector<TunedRecord> records;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    TunedRecord other = record_of(shapes[i], traits, 1, 1, 128);
    other.device = "NVIDIA H100 PCIe";
    TunedRecord estimate = record_of(shapes[i], traits, 33, 64, 256);
    estimate.source = TunedSource::estimate;
    estimate.device = "h100";
    estimate.low_us = estimate.high_us = estimate.time_us;
    records.push_back(estimate);
    if (i % 3 != 2) {
      records.push_back(other);
      other.rows_low = other.rows_high = 2;
      other.device = "NVIDIA GH200 480GB";
      other.tunables[0].second = 512;
      records.push_back(other);
    }
    if (i % 3 == 0) {
      for (const auto& [rows, threads] : {std::pair(4, 64), std::pair(256, 512)}) {
        TunedRecord own = record_of(shapes[i], traits, rows / 2 + 1, rows, threads);
        own.device = "Kerncast virtual GPU (sm_90)";
        records.push_back(own);
      }
    }
  }
  keep(place, records);
  std::vector<std::string> to_pack = warm;
  to_pack.insert(to_pack.end(), {"--out", "kernels.pack"});
  const Outcome warmed = place.run(to_pack);
  INFO(warmed.err);
  REQUIRE(warmed.code == 0);
  REQUIRE(place.run({"cache", "export", "all.pack"}).code == 0);

  for (const bool with_records : {true, false}) {
    INFO("records in the pack: " << with_records);
    std::vector<std::string> warnings;
    options.cache_directory = place.directory.file(with_records ? "serving" : "plain");
    options.cache_read_only = {place.directory.file(with_records ? "all.pack" : "kernels.pack")};
    options.miss_policy = kerncast::MissPolicy::cache_only;
    options.warn = [&](std::string_view text) { warnings.emplace_back(text); };
    kerncast::Runtime runtime(options);
    for (const Shape& shape : shapes) {
      INFO(shape.op->name << ' ' << shape.text);
      kerncast::Call call;
      call.spec = shape.spec;
      std::set<std::string> used;
      for (call.rows = 1; call.rows <= 8192; ++call.rows) {
        const bool edge = call.rows == kerncast::row_range(kerncast::row_bucket(call.rows)).lowest;
        REQUIRE_NOTHROW(runtime.prepare(*shape.op, call));
        if (edge) {
          const kerncast::KernelReport report = runtime.ensure(*shape.op, call);
          used.insert(report.tunables);
          CHECK(report.tunables_origin ==
                (with_records ? kerncast::TunablesOrigin::tuned : kerncast::TunablesOrigin::defaults));
        }
      }
      const auto own = std::count_if(records.begin(), records.end(), [&](const TunedRecord& record) {
        return record.op == shape.op->name && record.spec == shape.text &&
               record.device.starts_with("Kerncast");
      });
      if (with_records && own > 0) {
        CHECK(used.size() == 2);
      }
    }
    // A tuned kernel that the pack lacked would be a warning, and the op's own would serve.
    CHECK(warnings == std::vector<std::string>());
  }
}

}  // namespace
