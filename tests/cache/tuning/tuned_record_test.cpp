#include "cache/tuning/tuned_record.hpp"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <iterator>
#include <limits>
#include <random>

#include "cache/posix/byte_order.hpp"
#include "cache/tuning/tuned_digest.hpp"
#include "cache/tuning/tuned_lines.hpp"
#include "cache/tuning/tuned_table.hpp"
#include "cache/tuning/tuning_database.hpp"
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
  CHECK(form_of(records) == RecordForm::with_signed);
  CHECK(form_of({sample_record(1)}) == RecordForm::plain);
}

TEST_CASE("records come back with their details, and from no other bytes") {
  TunedRecord both = detailed_record(3);
  both.signatures = signed_record().signatures;
  const std::vector<TunedRecord> records{detailed_record(1), signed_record(2), both, sample_record(4)};
  CHECK(form_of(records) == RecordForm::with_details);
  const std::string bytes = serialise_records(records, RecordForm::with_details);
  REQUIRE(parse_records(bytes, RecordForm::with_details));
  CHECK(*parse_records(bytes, RecordForm::with_details) == records);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK(!parse_records(bytes.substr(0, length), RecordForm::with_details));
  }
  CHECK(!parse_records(bytes, RecordForm::with_signed));
  // Equal records have one form: the mark for details that are none is refused.
  std::string marked = serialise_records({sample_record(1)}, RecordForm::with_details);
  const std::size_t mark = marked.size() - 5;
  REQUIRE(marked[mark] == 0);
  marked[mark] = 1;
  marked.insert(mark + 1, std::string(3 * 8 + 4 + 5 * 8, '\0'));
  CHECK(!parse_records(marked, RecordForm::with_details));
  marked = serialise_records({detailed_record(1)}, RecordForm::with_details);
  marked[marked.find("NVRTC") - 1] = 2;
  CHECK(!parse_records(marked, RecordForm::with_details));
}

namespace {

/// The bytes of a record as the first schema had them. Signatures of that time cover them.
std::string first_content(const TunedRecord& record) {
  Writer out;
  out.text(record.op);
  out.text(record.spec);
  out.text(record.arch);
  out.integer(record.rows_low);
  out.integer(record.rows_high);
  out.text(name_of(record.source));
  out.text(record.device);
  out.text(format_tunables(record));
  out.integer(std::bit_cast<std::uint64_t>(record.time_us));
  out.text(record.templates);
  out.integer(record.recorded_us);
  return out.take();
}

/// Draws records of every kind: with and without details and signatures, at the ends of ranges.
class RandomRecords {
 public:
  explicit RandomRecords(unsigned seed) : random_(seed) {}

  TunedRecord record() {
    TunedRecord out;
    out.op = "op" + text();
    out.spec = text();
    out.arch = "sm_" + text();
    out.rows_low = one_of({1, 33, 8193});
    out.rows_high = one_of({8193, 10'000, std::numeric_limits<std::int64_t>::max()});
    out.source = chance() ? TunedSource::measured : TunedSource::estimate;
    out.device = "device" + text();
    for (std::int64_t i = one_of({0, 1, 3}); i > 0; --i) {
      out.tunables.emplace_back("t" + std::to_string(i), static_cast<std::int32_t>(random_()));
    }
    out.time_us = time();
    out.templates = "t" + text();
    out.recorded_us = one_of({0, 1, 1'700'000'000'000'000});
    if (chance()) {
      const bool measured = out.source == TunedSource::measured;
      out.low_us = measured ? out.time_us / 2 : out.time_us;
      out.high_us = measured ? out.time_us + time() : out.time_us;
      out.default_us = time();
      out.trials = static_cast<std::uint32_t>(random_() | 1U);
      out.policy = "p" + text();
      out.data = text();
      out.compiler = text();
      out.driver = text();
      out.tool = "kerncast" + text();
    }
    for (std::int64_t i = one_of({0, 0, 1, max_signatures}); i > 0; --i) {
      Signature& signature = out.signatures.emplace_back();
      std::generate(signature.signer.begin(), signature.signer.end(), [&] { return byte(); });
      std::generate(signature.bytes.begin(), signature.bytes.end(), [&] { return byte(); });
    }
    return out;
  }
  /// Records in order, each place once.
  std::vector<TunedRecord> records() {
    std::vector<TunedRecord> out;
    for (int i = 0; i < 6; ++i) {
      TunedRecord more = record();
      const auto at = std::lower_bound(out.begin(), out.end(), more, in_order);
      if (at == out.end() || !same_place(*at, more)) {
        out.insert(at, std::move(more));
      }
    }
    return out;
  }
  std::mt19937& engine() { return random_; }

 private:
  bool chance() { return random_() % 2 == 0; }
  char byte() { return static_cast<char>(random_()); }
  std::int64_t one_of(std::initializer_list<std::int64_t> values) {
    return *(values.begin() + static_cast<std::ptrdiff_t>(random_() % values.size()));
  }
  double time() {
    // The smallest numbers, the largest, whole ones, and those with all bits of a fraction.
    constexpr double some[] = {0, 5e-324, 1, 0.1, 1.0 / 3, 1e300};
    return some[random_() % std::size(some)];
  }
  std::string text() {
    constexpr const char* some[] = {"",   "x",        " a \"quoted\" one",   "a\nb\tc",
                                    "\\", "\xc3\xa9", "'); DROP TABLE tuned"};
    return some[random_() % std::size(some)];
  }

  std::mt19937 random_;
};

}  // namespace

TEST_CASE("a record without details has the bytes of the first schema") {
  CHECK(content_of(sample_record()) == first_content(sample_record()));
  CHECK(content_of(signed_record()) == first_content(signed_record()));
  CHECK(checksum_of(sample_record()) == 0x7fee1dbc8a023d20);
  CHECK(content_of(detailed_record()).starts_with(first_content(detailed_record())));
  CHECK(content_of(detailed_record()) != first_content(detailed_record()));
}

TEST_CASE("any records come back from bytes, lines and databases as they were") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    RandomRecords random(seed);
    const std::vector<TunedRecord> records = random.records();
    for (const TunedRecord& record : records) {
      REQUIRE(defect_of(record).empty());
    }
    const RecordForm form = form_of(records);
    CHECK(parse_records(serialise_records(records, form), form) == records);
    CHECK(parse_records(serialise_records(records, RecordForm::with_details), RecordForm::with_details) ==
          records);

    std::string text;
    for (const TunedRecord& record : records) {
      const std::string line = format_line(record);
      CHECK(std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c <= '~'; }));
      text += line + '\n';
    }
    const TunedLines lines = parse_lines(text);
    CHECK(lines.defects.empty());
    REQUIRE(lines.records.size() == records.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
      CHECK(lines.records[i].record == records[i]);
      CHECK(lines.records[i].number == i + 1);
      CHECK(format_line(lines.records[i].record) == format_line(records[i]));
    }

    const tuning_database::Content content = tuning_database::read(tuning_database::database_of(records));
    CHECK(content.condition == tuning_database::Condition::usable);
    CHECK(content.records == records);
  }
}

TEST_CASE("damaged bytes of records give none, or records that have other bytes") {
  RandomRecords random(7);
  const std::vector<TunedRecord> records = random.records();
  const std::string good = serialise_records(records, RecordForm::with_details);
  for (int i = 0; i < 4000; ++i) {
    std::string bytes = good;
    bytes[random.engine()() % bytes.size()] = static_cast<char>(random.engine()());
    if (const auto parsed = parse_records(bytes, RecordForm::with_details)) {
      CHECK(serialise_records(*parsed, RecordForm::with_details) == bytes);
    }
  }
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
  std::vector<TunedRecord> others(20, detailed_record());
  std::fill(others.begin(), others.begin() + 11, record);
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
  others[11].low_us += 1e-9;
  others[12].high_us += 1e-9;
  others[13].default_us += 1e-9;
  others[14].trials += 1;
  others[15].policy += 'x';
  others[16].data += 'x';
  others[17].compiler += 'x';
  others[18].driver += 'x';
  others[19].tool += 'x';
  for (std::size_t i = 0; i < others.size(); ++i) {
    const TunedRecord& whole = i < 11 ? record : detailed_record();
    CHECK(checksum_of(others[i]) != checksum_of(whole));
    CHECK(content_of(others[i]) != content_of(whole));
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
  // A record of an earlier schema may have such a time; a store corrects it.
  CHECK(changed([](TunedRecord& r) { r.time_us = -0.0; }).empty());
}

TEST_CASE("details with a defect are refused with the reason") {
  CHECK(defect_of(detailed_record()).empty());
  CHECK(!has_details(sample_record()));
  CHECK(has_details(detailed_record()));
  const auto changed = [](auto&& change) {
    TunedRecord record = detailed_record();
    change(record);
    return defect_of(record);
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {infinity, -infinity, nan, -nan, -1.0, -0.0}) {
    INFO(bad);
    CHECK_THAT(changed([&](TunedRecord& r) { r.time_us = bad; }), Catch::Contains("is not a time"));
    CHECK_THAT(changed([&](TunedRecord& r) { r.low_us = bad; }), Catch::Contains("is not a time"));
    CHECK_THAT(changed([&](TunedRecord& r) { r.high_us = bad; }), Catch::Contains("is not a time"));
    CHECK_THAT(changed([&](TunedRecord& r) { r.default_us = bad; }), Catch::Contains("is not a time"));
    // One detail that is no number does not pass for none.
    TunedRecord plain = sample_record();
    plain.high_us = bad;
    CHECK(has_details(plain));
    CHECK(!defect_of(plain).empty());
  }
  CHECK_THAT(changed([](TunedRecord& r) { std::swap(r.low_us, r.high_us); }),
             Catch::Contains("3.25 is not in its interval 3.3 to 3.2"));
  CHECK_THAT(changed([](TunedRecord& r) { r.low_us = 3.26; }), Catch::Contains("not in its interval"));
  CHECK_THAT(changed([](TunedRecord& r) { r.high_us = 3.24; }), Catch::Contains("not in its interval"));
  CHECK_THAT(changed([](TunedRecord& r) { r.source = TunedSource::estimate; }),
             Catch::Contains("an estimate with an interval"));
  CHECK(changed([](TunedRecord& r) {
          r.source = TunedSource::estimate;
          r.low_us = r.high_us = r.time_us;
          r.compiler = r.driver = r.data = "";
        }).empty());
  CHECK_THAT(changed([](TunedRecord& r) { r.policy.clear(); }), Catch::Contains("no policy"));
  CHECK_THAT(changed([](TunedRecord& r) { r.tool.clear(); }), Catch::Contains("no tool"));
  CHECK_THAT(changed([](TunedRecord& r) { r.trials = 0; }), Catch::Contains("no trials"));
  CHECK_THAT(changed([](TunedRecord& r) { r.driver = std::string("a\0b", 3); }),
             Catch::Contains("zero byte"));
  CHECK_THAT(changed([](TunedRecord& r) { r.policy = std::string(70000, 'x'); }), Catch::Contains("policy"));
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
  // Other rows than the records' have the same order.
  CHECK(devices(17, 32, "") == std::vector<std::string>{"NVIDIA H200", wide.device, "H100"});
  CHECK(devices(65, 129, wide.device).front() == wide.device);
  CHECK(table.find({wide.op, wide.spec, wide.arch, 33, 128, ""}).front().covers);
  CHECK(!table.find({wide.op, wide.spec, wide.arch, 65, 129, ""}).front().covers);
  CHECK(table.devices(wide.op, wide.spec, wide.arch) ==
        std::vector<std::string>{"NVIDIA H100 80GB HBM3", "NVIDIA H200"});
  CHECK(table.devices(wide.op, wide.spec, "sm_100a").empty());
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

namespace {

/// A measurement for `low` to `high` rows, whose time is a number of its own.
TunedRecord ranged(std::int64_t low, std::int64_t high, double time_us) {
  TunedRecord record = sample_record();
  record.rows_low = low;
  record.rows_high = high;
  record.time_us = time_us;
  return record;
}

/// The times of what the table finds for a device, best first.
std::vector<double> times(const TunedTable& table, std::int64_t low, std::int64_t high,
                          const std::string& device = sample_record().device) {
  const TunedRecord record = sample_record();
  std::vector<double> out;
  for (const TunedMatch& match : table.find({record.op, record.spec, record.arch, low, high, device})) {
    out.push_back(match.record->time_us);
  }
  return out;
}

constexpr std::int64_t no_end = std::numeric_limits<std::int64_t>::max();

}  // namespace

TEST_CASE("of records that cover none of the rows the nearest comes first") {
  TunedTable table;
  table.add("one", {ranged(1, 1, 1), ranged(3, 4, 2), ranged(33, 64, 3), ranged(8193, no_end, 4)});
  CHECK(times(table, 1, 1) == std::vector<double>{1, 2, 3, 4});
  // 2 lies at both; of two equally near the one of more rows comes first.
  CHECK(times(table, 2, 2) == std::vector<double>{2, 1, 3, 4});
  CHECK(times(table, 5, 8) == std::vector<double>{2, 3, 1, 4});
  // 9 to 16 is one bucket from 3 to 4 and one from 33 to 64.
  CHECK(times(table, 9, 16) == std::vector<double>{3, 2, 1, 4});
  CHECK(times(table, 17, 32) == std::vector<double>{3, 2, 1, 4});
  CHECK(times(table, 4097, 8192) == std::vector<double>{4, 3, 2, 1});
  CHECK(times(table, 257, 512) == std::vector<double>{3, 4, 2, 1});
  CHECK(times(table, 8193, no_end) == std::vector<double>{4, 3, 2, 1});

  // A record that covers a part comes after one that covers all, and before one that covers none.
  TunedTable parts;
  parts.add("one", {ranged(1, 32, 1), ranged(33, 48, 2), ranged(49, 64, 3), ranged(1, 4096, 4)});
  CHECK(times(parts, 33, 64) == std::vector<double>{4, 3, 2, 1});
}

TEST_CASE("the source of a record decides before its rows, its rows before its layer") {
  TunedRecord other = ranged(33, 64, 2);
  other.device = "NVIDIA H200";
  TunedRecord estimate = ranged(33, 64, 3);
  estimate.source = TunedSource::estimate;
  estimate.device = "h100";
  TunedTable table;
  table.add("first", {estimate, other, ranged(1, 1, 1)});
  table.add("second", {ranged(33, 64, 4)});
  CHECK(times(table, 33, 64) == std::vector<double>{4, 1, 2, 3});
  CHECK(times(table, 1, 1) == std::vector<double>{1, 4, 2, 3});
  CHECK(times(table, 33, 64, "NVIDIA H200") == std::vector<double>{2, 4, 1, 3});
  // For a device that nobody has measured, the first layer with the nearest rows decides.
  CHECK(times(table, 33, 64, "NVIDIA GH200") == std::vector<double>{2, 4, 1, 3});
  CHECK(times(table, 1, 1, "NVIDIA GH200") == std::vector<double>{1, 2, 4, 3});

  // A time of the virtual GPU follows a cost model, so it is no measurement for another device.
  TunedRecord simulated = ranged(33, 64, 5);
  simulated.device = "Kerncast virtual GPU (sm_90)";
  TunedRecord older = estimate;
  older.recorded_us -= 1000;
  TunedTable virtual_device;
  virtual_device.add("one", {older, simulated, ranged(1, 1, 1)});
  CHECK(times(virtual_device, 33, 64) == std::vector<double>{1, 5, 3});
  CHECK(times(virtual_device, 33, 64, simulated.device) == std::vector<double>{5, 1, 3});

  // Records of the lowest layer lose to any others that are as near and of the same source.
  TunedTable built_in;
  built_in.add("mine", {ranged(33, 128, 1)});
  TunedRecord newer = ranged(33, 64, 2);
  newer.recorded_us += 1000;
  built_in.add("the library", {newer, ranged(1, 1, 3)});
  CHECK(times(built_in, 33, 64).front() == 1);
  CHECK(times(built_in, 1, 1).front() == 3);
}

TEST_CASE("who reads the same layers finds the same order, whatever the clock says") {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::vector<TunedRecord>> layers(3);
    double number = 0;
    for (std::vector<TunedRecord>& layer : layers) {
      for (int i = 0; i < 12; ++i) {
        TunedRecord record =
            ranged(1 + static_cast<std::int64_t>(random() % 3 * 32), 64 << random() % 3, ++number);
        record.source = random() % 3 == 0 ? TunedSource::estimate : TunedSource::measured;
        record.device = "device " + std::to_string(random() % 3);
        // Also dates that lie ahead of every clock.
        record.recorded_us = static_cast<std::int64_t>(random() % 3) << 61;
        const auto at = std::lower_bound(layer.begin(), layer.end(), record, in_order);
        if (at == layer.end() || !same_place(*at, record)) {
          layer.insert(at, record);
        }
      }
    }
    TunedTable table;
    for (const std::vector<TunedRecord>& layer : layers) {
      table.add("layer", layer);
    }
    TunedTable shuffled;
    for (std::vector<TunedRecord>& layer : layers) {
      std::shuffle(layer.begin(), layer.end(), random);
      shuffled.add("layer", layer);
    }
    for (const char* device : {"device 0", "device 1", "device 9"}) {
      CHECK(times(table, 33, 64, device) == times(shuffled, 33, 64, device));
      CHECK(times(table, 1, 1, device) == times(shuffled, 1, 1, device));
    }
  }
}

TEST_CASE("the digest is that of the records that launches choose from, in order of layers") {
  const std::string digest = tuned_digest({{detailed_record(1), sample_record(2)}, {sample_record(3)}});
  CHECK(digest.size() == 32);
  CHECK(digest == tuned_digest({{}, {detailed_record(1), sample_record(2)}, {}, {sample_record(3)}}));
  TunedRecord with_signature = detailed_record(1);
  with_signature.signatures = signed_record().signatures;
  CHECK(digest == tuned_digest({{with_signature, sample_record(2)}, {sample_record(3)}}));
  CHECK(digest != tuned_digest({{sample_record(3)}, {detailed_record(1), sample_record(2)}}));
  CHECK(digest != tuned_digest({{detailed_record(1), sample_record(2), sample_record(3)}}));
  CHECK(digest != tuned_digest({{detailed_record(1)}, {sample_record(3)}}));
  TunedRecord changed = detailed_record(1);
  changed.driver += '1';
  CHECK(digest != tuned_digest({{changed, sample_record(2)}, {sample_record(3)}}));
  CHECK(tuned_digest({}) == tuned_digest({{}}));
}
