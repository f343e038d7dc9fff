#include "tools/model/settings.hpp"

#include <catch2/catch.hpp>

#include "tools/io/usage_error.hpp"
#include "tools/model/workload.hpp"

namespace kerncast::tools {
namespace {

OpDefinition sample_op() {
  OpDefinition op;
  op.name = "test.sample";
  op.params = {{"hidden", ParamKind::integer, "width", std::nullopt, 8, 65536, 8, {}, {}},
               {"x_dtype", ParamKind::dtype, "", 2, 0, 0, 1, {0, 1, 2}, {}},
               {"flag", ParamKind::boolean, "", 0, 0, 0, 1, {}, {}},
               {"layout", ParamKind::choice, "", 0, 0, 0, 1, {}, {"row_major", "column_major"}}};
  op.scalars = {{"eps", 1e-6, "added to the mean square"}};
  return op;
}

TEST_CASE("settings are told apart by the op's names") {
  const OpDefinition op = sample_op();
  const Settings settings = parse_settings(op, {"hidden=7168", "eps=1e-5", "layout=column_major"});
  REQUIRE(settings.params.size() == 2);
  CHECK(settings.params[0] == std::pair<std::string, std::string>("hidden", "7168"));
  REQUIRE(settings.scalars.size() == 1);
  CHECK(settings.scalars[0].second == 1e-5);
  const Specialisation spec = specialise_settings(op, settings);
  CHECK(spec[0] == 7168);
  CHECK(spec[1] == static_cast<int>(DType::bf16));
  CHECK(spec[3] == 1);
}

TEST_CASE("an alignment that is not set is the widest that the others allow") {
  const OpDefinition& op = require_op("norm.rms_norm");
  const auto aligned = [&](const std::vector<std::string>& texts) {
    return specialise_settings(
        op, parse_settings(op, texts))[static_cast<std::size_t>(find_param(op, "alignment"))];
  };
  CHECK(aligned({"hidden=4096"}) == 16);
  CHECK(aligned({"hidden=4098"}) == 4);
  CHECK(aligned({"hidden=4097"}) == 2);
  CHECK(aligned({"hidden=4097", "x_dtype=f32", "y_dtype=f32"}) == 4);
  CHECK(aligned({"hidden=4096", "alignment=8"}) == 8);
  CHECK_THROWS_WITH(aligned({"hidden=4097", "alignment=16"}), Catch::Contains("widest valid: 2"));
  CHECK_THROWS_WITH(aligned({"hidden=70000"}), Catch::Contains("nearest valid: 65536"));
}

TEST_CASE("bad settings are bad usage, and the message says what would be good") {
  const OpDefinition op = sample_op();
  const auto complaint = [&](const std::vector<std::string>& texts) -> std::string {
    try {
      static_cast<void>(specialise_settings(op, parse_settings(op, texts)));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "accepted";
  };
  CHECK_THAT(complaint({"hidden"}), Catch::Contains("name=value"));
  CHECK_THAT(complaint({"=4"}), Catch::Contains("name=value"));
  CHECK_THAT(complaint({"hiden=8"}), Catch::Contains("did you mean hidden?") && Catch::Contains("eps"));
  CHECK_THAT(complaint({"hidden=8", "hidden=16"}), Catch::Contains("twice"));
  CHECK_THAT(complaint({"hidden=7167"}), Catch::Contains("multiple of 8") && Catch::Contains("7168"));
  CHECK_THAT(complaint({"hidden=abc"}), Catch::Contains("from 8 to 65536"));
  CHECK_THAT(complaint({"hidden=99999999999999999999"}), Catch::Contains("65536"));
  CHECK_THAT(complaint({"x_dtype=f64"}), Catch::Contains("f32, f16, bf16"));
  CHECK_THAT(complaint({"flag=maybe"}), Catch::Contains("true or false"));
  CHECK_THAT(complaint({"layout=row"}), Catch::Contains("row_major"));
  CHECK_THAT(complaint({"flag=true"}), Catch::Contains("hidden is required"));
  for (const char* bad : {"eps=", "eps=abc", "eps= 1", "eps=1x", "eps=nan", "eps=1e999"}) {
    CHECK_THAT(complaint({"hidden=8", bad}), Catch::Contains("not a finite number"));
  }
}

TEST_CASE("constraints read as they bind") {
  const OpDefinition op = sample_op();
  CHECK(constraint_text(op.params[0]) == "integer from 8 to 65536, a multiple of 8");
  CHECK(constraint_text(op.params[1]) == "one of f32, f16, bf16");
  CHECK(constraint_text(op.params[2]) == "true or false");
  CHECK(constraint_text(op.params[3]) == "one of row_major, column_major");
}

TEST_CASE("architectures are spelled sm_90a") {
  for (const char* good : {"sm_75", "sm_90", "sm_90a", "sm_100f", "sm_120a"}) {
    CHECK_NOTHROW(check_arch(good));
  }
  for (const char* bad :
       {"", "90a", "sm90", "sm_", "sm_9", "sm_1000", "sm_90b", "sm_90aa", "compute_90", "sm_a90"}) {
    CHECK_THROWS_AS(check_arch(bad), UsageError);
  }
}

TEST_CASE("row counts are sorted, each once") {
  CHECK(check_rows({16, 1, 16, 0}) == std::vector<std::int64_t>{0, 1, 16});
  CHECK_THROWS_AS(check_rows({-1}), UsageError);
}

TEST_CASE("an unknown op is bad usage") {
  CHECK_THROWS_AS(require_op("norm.no_such_op"), UsageError);
}

}  // namespace
}  // namespace kerncast::tools
