// Tuned records that come with the library: files are embedded, and only measurements of real devices are
// taken.
#include "runtime/dispatch/tunables/built_in_records.hpp"

#include <catch2/catch.hpp>

#include "cache/cache.hpp"
#include "cache/tuning/tuned_lines.hpp"
#include "kerncast/op_definition.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"

namespace kerncast {

/// The file of tuned_files, embedded as those of templates/tuned are.
std::span<const EmbeddedFile> embedded_test_tuned() noexcept;

}  // namespace kerncast

using namespace kerncast;
using cache::TunedRecord;

TEST_CASE("what comes with the library was measured on devices of NVIDIA, for ops that it has") {
  std::vector<std::string> defects;
  const std::vector<TunedRecord> records = built_in_records(embedded_tuned(), defects);
  CHECK(defects == std::vector<std::string>());
  for (const TunedRecord& record : records) {
    INFO(cache::format_line(record));
    CHECK(record.source == cache::TunedSource::measured);
    CHECK(cache::has_details(record));
    CHECK(OpRegistry::instance().find(record.op) != nullptr);
  }
}

TEST_CASE("embedded files give their records in order, and what does not belong there is left out") {
  std::vector<std::string> defects;
  const std::vector<TunedRecord> records = built_in_records(embedded_test_tuned(), defects);
  REQUIRE(records.size() == 2);
  CHECK(records[0].rows_low == 1);
  CHECK(records[1].rows_low == 2);
  CHECK(records[1].policy == "graph of 20, cold L2");
  CHECK(defects == std::vector<std::string>{
                       "sm_90a.jsonl:7: it is not an object of JSON",
                       "sm_90a.jsonl:3: another line has the same place", "sm_90a.jsonl:4: it is an estimate",
                       "sm_90a.jsonl:5: 'Kerncast virtual GPU (sm_90)' is no device of NVIDIA",
                       "sm_90a.jsonl:6: it is for sm_100a, not sm_90a"});
}

TEST_CASE("a file in parts is one text, and each file counts its own lines") {
  const std::string line = cache::format_line(detailed_record(1)) + "\n";
  const std::string other = cache::format_line(detailed_record(2)) + "\nx\n";
  const EmbeddedFile files[] = {{"tuned/sm_90a.jsonl", std::string_view(line).substr(0, 40)},
                                {"tuned/sm_90a.jsonl", std::string_view(line).substr(40)},
                                {"tuned/sm_90a.more.jsonl", other}};
  std::vector<std::string> defects;
  CHECK(built_in_records(files, defects) == std::vector<TunedRecord>{detailed_record(1), detailed_record(2)});
  CHECK(defects == std::vector<std::string>{"tuned/sm_90a.more.jsonl:2: it is not an object of JSON"});
}

TEST_CASE("records of the library are the lowest layer, and need no signature") {
  const TemporaryDirectory folder;
  cache::CacheOptions options;
  options.directory = folder.file("own");
  options.read_only = {folder.file("layer")};
  options.built_in_tuned = [] { return std::vector<TunedRecord>{detailed_record(1), detailed_record(2)}; };
  options.trusted_keys = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const auto found_in = [&](std::int64_t rows) {
    cache::Cache cache(options, nullptr);
    const TunedRecord record = sample_record();
    return cache.tuned().find({record.op, record.spec, record.arch, rows, rows, record.device}).front().layer;
  };
  CHECK(found_in(1) == cache::built_in_layer);
  // A record of a layer for the same rows goes before, if it is signed, and one of the directory in any case.
  REQUIRE(cache::TuningStore(options.read_only[0], nullptr).record({sample_record(1)}).written == 1);
  CHECK(found_in(1) == cache::built_in_layer);
  options.trusted_keys.clear();
  CHECK(found_in(1) == options.read_only[0]);
  CHECK(found_in(2) == cache::built_in_layer);
  REQUIRE(cache::TuningStore(options.directory, nullptr).record({sample_record(2)}).written == 1);
  CHECK(found_in(2) == options.directory);
}
