#include "cache/tuning/tuned_lines.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <limits>

#include "tests/cache/tuning/tuned_sample.hpp"

using namespace kerncast::cache;

namespace {

/// The defect of `line`, which is the only one of its text.
std::string defect_of_line(const std::string& line) {
  const TunedLines lines = parse_lines(line);
  CHECK(lines.records.empty());
  REQUIRE(lines.defects.size() == 1);
  return lines.defects[0].reason;
}

/// The line of detailed_record() with `before` replaced.
std::string changed(const std::string& before, const std::string& after) {
  std::string line = format_line(detailed_record());
  const std::size_t at = line.find(before);
  REQUIRE(at != std::string::npos);
  return line.replace(at, before.size(), after);
}

}  // namespace

TEST_CASE("a record is a line that people can read, in one form") {
  CHECK(
      format_line(sample_record(2)) ==
      R"({"op":"norm.rms_norm","spec":"x_dtype=bf16 hidden=7168","arch":"sm_90a","rows_low":2,"rows_high":2,)"
      R"("source":"measured","device":"NVIDIA H100 80GB HBM3","tunables":"threads=256 rows_per_block=2",)"
      R"("time_us":3.25,"templates":"0123456789abcdef0123456789abcdef","recorded_us":1700000000000002})");
  CHECK_THAT(format_line(detailed_record()),
             Catch::Contains(R"("low_us":3.2,"high_us":3.3,"default_us":3.5,"trials":12,)"
                             R"("policy":"graph of 20, cold L2","data":"zipf 1.1","compiler":"NVRTC 13.0",)"
                             R"("driver":"580.65","tool":"kerncast 0.1.0"})"));
  TunedRecord endless = sample_record();
  endless.rows_high = std::numeric_limits<std::int64_t>::max();
  CHECK_THAT(format_line(endless), Catch::Contains(R"("rows_high":null)"));
  CHECK(parse_lines(format_line(endless)).records.at(0).record == endless);
  TunedRecord latin = sample_record();
  latin.device = "Ger\xe4t";
  CHECK(format_line(latin).empty());
}

TEST_CASE("lines are numbered, empty ones do not matter, and a bad one costs no other") {
  const std::string good = format_line(sample_record(1));
  const TunedLines lines =
      parse_lines("\n" + good + "\r\n  \nnonsense\n" + format_line(signed_record(2)) + "\n{}\n[1]\n" + good);
  REQUIRE(lines.records.size() == 3);
  CHECK(lines.records[0].number == 2);
  CHECK(lines.records[0].record == sample_record(1));
  CHECK(lines.records[1].number == 5);
  CHECK(lines.records[1].record == signed_record(2));
  CHECK(lines.records[2].number == 8);
  REQUIRE(lines.defects.size() == 3);
  CHECK(lines.defects[0].number == 4);
  CHECK(lines.defects[0].reason == "it is not an object of JSON");
  CHECK(lines.defects[1].number == 6);
  CHECK(lines.defects[1].reason == "it has no op");
  CHECK(lines.defects[2].number == 7);
  CHECK(parse_lines("").records.empty());
  CHECK(parse_lines("\n\n").defects.empty());
}

TEST_CASE("a line that is no sound record has its reason") {
  CHECK(parse_lines(format_line(detailed_record())).records.size() == 1);
  CHECK_THAT(defect_of_line(changed("\"arch\"", "\"arhc\"")), Catch::Contains("it has no arch"));
  CHECK_THAT(defect_of_line(changed("\"op\":", "\"later\":1,\"op\":")),
             Catch::Contains("a field 'later', which this build does not know"));
  CHECK_THAT(defect_of_line(changed("\"sm_90a\"", "90")), Catch::Contains("its arch is not a text"));
  CHECK_THAT(defect_of_line(changed("3.25", "\"fast\"")), Catch::Contains("time_us is not a number"));
  CHECK_THAT(defect_of_line(changed("3.25", "1e999")), Catch::Contains("not an object of JSON"));
  CHECK_THAT(defect_of_line(changed("3.25", "-3.25")), Catch::Contains("is not a time"));
  CHECK_THAT(defect_of_line(changed("3.25", "-0.0")), Catch::Contains("is not a time"));
  CHECK_THAT(defect_of_line(changed("3.25", "NaN")), Catch::Contains("not an object of JSON"));
  CHECK_THAT(defect_of_line(changed("3.25", "3.4")), Catch::Contains("not in its interval"));
  CHECK_THAT(defect_of_line(changed("measured", "guessed")), Catch::Contains("'guessed' is neither"));
  CHECK_THAT(defect_of_line(changed("threads=256", "threads")), Catch::Contains("name=value"));
  CHECK_THAT(defect_of_line(changed("\"rows_low\":1", "\"rows_low\":1.5")), Catch::Contains("rows_low"));
  CHECK_THAT(defect_of_line(changed("\"rows_low\":1", "\"rows_low\":99999999999999999999")),
             Catch::Contains("rows_low is not a whole number in range"));
  CHECK_THAT(defect_of_line(changed("\"rows_low\":1", "\"rows_low\":9223372036854775808")),
             Catch::Contains("rows_low is not a whole number in range"));
  CHECK_THAT(defect_of_line(changed("\"rows_low\":1", "\"rows_low\":7")), Catch::Contains("7 to 1"));
  for (const char* trials : {"-1", "4294967296", "1.0", "\"12\""}) {
    CHECK_THAT(defect_of_line(changed("\"trials\":12", std::string("\"trials\":") + trials)),
               Catch::Contains("trials is not a whole number"));
  }
  CHECK_THAT(defect_of_line(changed(",\"policy\":\"graph of 20, cold L2\"", "")),
             Catch::Contains("no policy"));
  CHECK_THAT(defect_of_line(changed("\"tool\":", "\"signatures\":7,\"tool\":")),
             Catch::Contains("signatures are not a list"));
  for (const char* item : {"{}", "7", "\"x\"", R"({"signer":"00","bytes":"00"})", "[]", "null"}) {
    CHECK_THAT(defect_of_line(changed("\"tool\":", fmt::format("\"signatures\":[{}],\"tool\":", item))),
               Catch::Contains("a signature of it is not"));
  }
  TunedRecord most = signed_record();
  most.signatures.resize(max_signatures);
  CHECK(parse_lines(format_line(most)).records.size() == 1);
  most.signatures.emplace_back();
  CHECK_THAT(defect_of_line(format_line(most)), Catch::Contains("at most 16"));
  // A hostile line costs neither the stack nor much time.
  CHECK(!defect_of_line(std::string(500'000, '[')).empty());
  CHECK_THAT(defect_of_line(std::string(std::size_t{2} << 20, '[')), Catch::Contains("longer than"));
}
