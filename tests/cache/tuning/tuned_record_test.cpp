#include "cache/tuning/tuned_record.hpp"

#include <catch2/catch.hpp>
#include <limits>

#include "cache/tuning/tuned_table.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"

using namespace kerncast::cache;

TEST_CASE("records come back from their bytes, and from no others") {
  std::vector<TunedRecord> records{sample_record(1), sample_record(2), sample_record(1, "norm.z")};
  records[1].tunables = {};
  records[1].source = TunedSource::estimate;
  const std::string bytes = serialise_records(records);
  REQUIRE(parse_records(bytes));
  CHECK(*parse_records(bytes) == records);
  CHECK(parse_records(serialise_records({})) == std::vector<TunedRecord>());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK(!parse_records(bytes.substr(0, length)));
  }
  CHECK(!parse_records(bytes + "x"));
  CHECK(!parse_records(serialise_records({records[1], records[0]})));
  CHECK(!parse_records(serialise_records({records[0], records[0]})));
}

TEST_CASE("records come back with their signatures, and from no other bytes") {
  std::vector<TunedRecord> records{signed_record(1), sample_record(2), signed_record(3)};
  records[2].signatures.resize(max_signatures);
  const std::string bytes = serialise_records(records, RecordForm::with_signed);
  REQUIRE(parse_records(bytes, RecordForm::with_signed));
  CHECK(*parse_records(bytes, RecordForm::with_signed) == records);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK(!parse_records(bytes.substr(0, length), RecordForm::with_signed));
  }
  CHECK(!parse_records(bytes, RecordForm::plain));
  records[2].signatures.emplace_back();
  CHECK(!parse_records(serialise_records(records, RecordForm::with_signed), RecordForm::with_signed));
  CHECK_THAT(defect_of(records[2]), Catch::Contains("more than 16 signatures"));
  CHECK(has_signatures(records));
  CHECK(!has_signatures({sample_record(1)}));
}

TEST_CASE("a stored record is kept if it is newer, or the same and no signature is new") {
  TunedRecord newer = sample_record();
  newer.recorded_us += 1;
  CHECK(keeps(newer, sample_record()));
  CHECK(!keeps(sample_record(), newer));
  CHECK(keeps(signed_record(), sample_record()));
  CHECK(keeps(signed_record(), signed_record()));
  CHECK(!keeps(sample_record(), signed_record()));
}

TEST_CASE("every field is under the checksum, and all but the signatures are what a signature covers") {
  const TunedRecord record = sample_record();
  CHECK(checksum_of(signed_record()) != checksum_of(record));
  CHECK(content_of(signed_record()) == content_of(record));
  std::vector<TunedRecord> others(11, record);
  others[0].op += 'x';
  others[1].spec += 'x';
  others[2].arch += 'x';
  others[3].rows_low = 0;
  others[4].rows_high = 2;
  others[5].source = TunedSource::estimate;
  others[6].device += 'x';
  others[7].tunables[0].second = 128;
  others[8].time_us += 1e-9;
  others[9].templates += 'x';
  others[10].recorded_us += 1;
  for (const TunedRecord& other : others) {
    CHECK(checksum_of(other) != checksum_of(record));
    CHECK(content_of(other) != content_of(record));
  }
}

TEST_CASE("a record with a defect is refused with the reason") {
  CHECK(defect_of(sample_record()).empty());
  const auto changed = [](auto&& change) {
    TunedRecord record = sample_record();
    change(record);
    return defect_of(record);
  };
  CHECK_THAT(changed([](TunedRecord& r) { r.op.clear(); }), Catch::Contains("no op"));
  CHECK(changed([](TunedRecord& r) { r.spec.clear(); }).empty());
  CHECK_THAT(changed([](TunedRecord& r) { r.device = std::string(70000, 'x'); }), Catch::Contains("device"));
  CHECK_THAT(changed([](TunedRecord& r) { r.arch = std::string("a\0b", 3); }), Catch::Contains("zero byte"));
  CHECK_THAT(changed([](TunedRecord& r) { r.rows_low = 0; }), Catch::Contains("not a range"));
  CHECK_THAT(changed([](TunedRecord& r) { r.rows_low = 2; }), Catch::Contains("2 to 1"));
  CHECK(!changed([](TunedRecord& r) { r.time_us = std::numeric_limits<double>::quiet_NaN(); }).empty());
  CHECK(!changed([](TunedRecord& r) { r.time_us = -1; }).empty());
  CHECK(!changed([](TunedRecord& r) { r.tunables[0].first = "a b"; }).empty());
  CHECK(!changed([](TunedRecord& r) { r.tunables[0].first = ""; }).empty());
}

TEST_CASE("tunables as text") {
  CHECK(format_tunables(sample_record()) == "threads=256 rows_per_block=2");
  CHECK(parse_tunables("threads=256 rows_per_block=2") == sample_record().tunables);
  CHECK(parse_tunables("")->empty());
  CHECK(parse_tunables("a=-1")->front().second == -1);
  for (const char* bad :
       {"threads", "=1", "a=1 ", "a=1  b=2", "a=x", "a=1x", "a=99999999999", " a=1", "a="}) {
    CHECK(!parse_tunables(bad));
  }
}

TEST_CASE("the table finds what holds for all rows, measured first") {
  TunedRecord wide = sample_record();
  wide.rows_low = 33;
  wide.rows_high = 128;
  TunedRecord estimate = wide;
  estimate.source = TunedSource::estimate;
  estimate.device = "H100";
  estimate.time_us = 0.01;
  estimate.recorded_us += 1000;
  TunedRecord other_device = wide;
  other_device.device = "NVIDIA H200";
  other_device.recorded_us += 10;
  TunedTable table;
  CHECK(table.empty());
  table.add("mine", {estimate, other_device});
  table.add("pack", {wide});

  const auto devices = [&](std::int64_t low, std::int64_t high, const std::string& device) {
    std::vector<std::string> out;
    for (const TunedMatch& match : table.find({wide.op, wide.spec, wide.arch, low, high, device})) {
      out.push_back(match.record->device);
    }
    return out;
  };
  CHECK(devices(33, 64, wide.device) == std::vector<std::string>{wide.device, "NVIDIA H200", "H100"});
  CHECK(devices(65, 128, "") == std::vector<std::string>{"NVIDIA H200", wide.device, "H100"});
  CHECK(devices(17, 32, "").empty());
  CHECK(devices(65, 129, "").empty());
  CHECK(table.find({"norm.other", wide.spec, wide.arch, 33, 64, ""}).empty());
  CHECK(table.find({wide.op, wide.spec, "sm_100a", 33, 64, ""}).empty());
  CHECK(table.find({wide.op, wide.spec, wide.arch, 33, 64, wide.device}).front().layer == "pack");

  // Within one layer and device, the newest record wins.
  TunedRecord newer = wide;
  newer.rows_high = 64;
  newer.recorded_us += 1;
  newer.time_us = 100;
  table.add("last", {newer, wide});
  CHECK(table.find({wide.op, wide.spec, wide.arch, 33, 64, wide.device}).front().layer == "pack");
  TunedTable one;
  one.add("one", {newer, wide});
  CHECK(one.find({wide.op, wide.spec, wide.arch, 33, 64, wide.device}).front().record->time_us == 100);
}
