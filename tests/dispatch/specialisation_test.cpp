#include <catch2/catch.hpp>

#include "kerncast/op_definition.hpp"
#include "tests/dispatch/sample_op.hpp"

using namespace kerncast;
using Catch::Contains;

namespace {

std::string refusal(const std::vector<std::pair<std::string, std::string>>& settings) {
  try {
    static_cast<void>(specialise(sample_op(), settings));
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("settings become values, with defaults for what is left out") {
  const OpDefinition op = sample_op();
  const Specialisation spec =
      specialise(op, {{"hidden", "64"}, {"x_dtype", "bf16"}, {"layout", "column_major"}});
  CHECK(spec[0] == static_cast<int>(DType::bf16));
  CHECK(spec[1] == 64);
  CHECK(spec[2] == 128);
  CHECK(spec[3] == 1);
  CHECK(spec[4] == 0);
  CHECK(format_specialisation(op, spec) == "x_dtype=bf16 hidden=64 layout=column_major");
}

TEST_CASE("a refusal names op, parameter, constraint and the nearest valid choice") {
  CHECK_THAT(refusal({{"x_dtype", "bf16"}, {"hidden", "13"}}),
             Contains("test.scale") && Contains("hidden = 13") &&
                 Contains("from 8 to 1000 and a multiple of 8") && Contains("nearest valid: 16"));
  CHECK_THAT(refusal({{"x_dtype", "bf16"}, {"hidden", "5000"}}), Contains("nearest valid: 1000"));
  CHECK_THAT(refusal({{"x_dtype", "bf16"}, {"hidden", "-99999999999999999999"}}),
             Contains("nearest valid: 8"));
  CHECK_THAT(refusal({{"x_dtype", "bf16"}, {"hidden", "8x"}}), Contains("'8x'"));
  CHECK_THAT(refusal({{"x_dtype", "bf16"}, {"hidden", "64"}, {"group", "100"}}),
             Contains("one of 16, 32, 64, 128") && Contains("nearest valid: 128"));
  CHECK_THAT(refusal({{"x_dtype", "f32"}, {"hidden", "64"}}), Contains("one of bf16, f16"));
  CHECK_THAT(refusal({{"x_dtype", "fp16"}, {"hidden", "64"}}), Contains("nearest valid: f16"));
  CHECK_THAT(refusal({{"x_dtype", "bf16"}, {"hidden", "64"}, {"layout", "row"}}),
             Contains("nearest valid: row_major"));
  CHECK_THAT(refusal({{"x_dtype", "bf16"}, {"hidden", "64"}, {"flag", "yes"}}), Contains("true or false"));
  CHECK_THAT(refusal({{"x_dtype", "bf16"}}), Contains("hidden is required"));
  CHECK_THAT(refusal({{"hiden", "64"}}), Contains("did you mean hidden?"));
}

TEST_CASE("settings that differ from what the tensors gave are refused") {
  const OpDefinition op = sample_op();
  const Specialisation spec = specialise(op, {{"x_dtype", "bf16"}, {"hidden", "64"}});
  Bindings bindings;
  bindings.set_param("hidden", "64");
  CHECK_NOTHROW(check_settings_agree(op, spec, bindings));
  bindings.set_param("hidden", "128");
  CHECK_THROWS_WITH(check_settings_agree(op, spec, bindings),
                    Contains("was set to 128") && Contains("give 64"));
}

TEST_CASE("a refused setting says what decides the parameter") {
  OpDefinition op = sample_op();
  ParamSpec flag;
  flag.kind = ParamKind::boolean;
  flag.default_value = 1;
  for (const char* name : {"has_bias", "dynamic"}) {
    flag.name = name;
    op.params.push_back(flag);
  }
  op.tensors.push_back({"bias", Direction::in, true, ""});
  op.tensors.push_back({"scale", Direction::in, true, ""});
  const Specialisation spec = specialise(op, {{"x_dtype", "bf16"}, {"hidden", "64"}});
  const std::pair<const char*, const char*> cases[] = {
      {"has_bias", "the tensors give true (whether bias is given);"},
      {"dynamic", "the tensors give true (false if scale is given);"},
      {"hidden", "the tensors give 64;"}};
  for (const auto& [name, message] : cases) {
    Bindings bindings;
    bindings.set_param(name, std::string(name) == "hidden" ? "128" : "false");
    CHECK_THROWS_WITH(check_settings_agree(op, spec, bindings), Contains(message));
  }
}

TEST_CASE("row buckets are one per power of two") {
  CHECK(row_bucket(1) == 0);
  CHECK(row_bucket(2) == 1);
  CHECK(row_bucket(3) == 2);
  CHECK(row_bucket(4) == 2);
  CHECK(row_bucket(8192) == 13);
  CHECK(row_bucket(8193) == 14);
  CHECK(row_bucket(std::int64_t{1} << 40) == 14);
}

TEST_CASE("the registry refuses what could not be called, and suggests the nearest name") {
  OpRegistry& registry = OpRegistry::instance();
  OpDefinition nameless = sample_op();
  nameless.name = "scale";
  CHECK_THROWS_WITH(registry.add(nameless), Contains("family.op"));
  OpDefinition without_geometry = sample_op();
  without_geometry.geometry = nullptr;
  CHECK_THROWS_WITH(registry.add(without_geometry), Contains("geometry"));
  const OpDefinition& added = registry.add(sample_op());
  CHECK(registry.find("test.scale") == &added);
  CHECK_THROWS_WITH(registry.add(sample_op()), Contains("taken"));
  CHECK_THROWS_WITH(registry.require("norm.rmsnorm"), Contains("did you mean norm.rms_norm?"));
}

TEST_CASE("a missing tensor is named with the op") {
  const Bindings bindings;
  CHECK_THROWS_WITH(bindings.require_tensor("norm.rms_norm", "x"),
                    Contains("norm.rms_norm") && Contains("'x'"));
  CHECK(bindings.tensor_or_absent("x").absent());
  CHECK(!bindings.scalar("eps"));
}
