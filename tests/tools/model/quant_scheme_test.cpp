#include "tools/model/quant_scheme.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tools/io/usage_error.hpp"
#include "tools/model/model_config.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {
namespace {

QuantScheme scheme(const std::string& op, std::vector<std::pair<std::string, std::string>> params = {}) {
  return scheme_of({&require_op(op), "", std::move(params), {}});
}

TEST_CASE("schemes are read by the names of serving engines") {
  CHECK(parse_quant_scheme("fp8-block") == QuantScheme::fp8_block);
  CHECK(parse_quant_scheme("none") == QuantScheme::none);
  CHECK_THROWS_WITH(parse_quant_scheme("fp8-blok"), Catch::Contains("did you mean fp8-block?"));
  CHECK_THROWS_AS(parse_quant_scheme(""), UsageError);
}

TEST_CASE("an op serves the scheme of its element and granularity") {
  CHECK(scheme("quant.per_token_group") == QuantScheme::fp8_block);
  CHECK(scheme("quant.per_token_group", {{"q_dtype", "i8"}}) == QuantScheme::int8);
  CHECK(scheme("quant.silu_and_mul_per_token_group") == QuantScheme::fp8_block);
  CHECK(scheme("quant.per_tensor_fp8") == QuantScheme::fp8);
  CHECK(scheme("quant.per_token_fp8") == QuantScheme::fp8);
  CHECK(scheme("quant.per_token_int8") == QuantScheme::int8);
  CHECK(scheme("quant.nvfp4") == QuantScheme::nvfp4);
  CHECK(scheme("quant.mxfp8") == QuantScheme::mxfp8);
  CHECK(scheme("quant.mxfp4") == QuantScheme::mxfp4);
  CHECK(scheme("quant.fp8_pack") == QuantScheme::fp8);
  CHECK(scheme("quant.dequant") == QuantScheme::fp8_block);
  CHECK(scheme("quant.dequant", {{"scheme", "nvfp4"}}) == QuantScheme::nvfp4);
  CHECK(scheme("quant.dequant", {{"scheme", "per_token"}, {"q_dtype", "i8"}}) == QuantScheme::int8);
  CHECK(scheme("norm.rms_norm_quant", {{"scaling", "per_group"}}) == QuantScheme::fp8_block);
  CHECK(scheme("norm.rms_norm_quant") == QuantScheme::fp8);
  CHECK(scheme("norm.fused_add_rms_norm_quant", {{"q_dtype", "i8"}}) == QuantScheme::int8);
  CHECK(scheme("moe.permute", {{"x_dtype", "fp8_e4m3"}}) == QuantScheme::fp8_block);
}

TEST_CASE("what every scheme needs belongs to none") {
  for (const char* op : {"norm.rms_norm", "moe.fused_gate", "moe.permute", "activation.silu_and_mul"}) {
    CHECK(scheme(op) == QuantScheme::none);
  }
}

TEST_CASE("every op that quantises has a scheme") {
  std::map<QuantScheme, int> found;
  for (const Workload& workload : workloads_of(load_model_config("deepseek-v3"))) {
    const QuantScheme of = scheme_of(workload);
    ++found[of];
    INFO(workload.op->name);
    if (workload.op->name.starts_with("quant.") || workload.op->name.ends_with("_quant")) {
      CHECK(of != QuantScheme::none);
    }
  }
  for (const QuantScheme of : {QuantScheme::none, QuantScheme::fp8_block, QuantScheme::fp8, QuantScheme::int8,
                               QuantScheme::nvfp4, QuantScheme::mxfp8, QuantScheme::mxfp4}) {
    CHECK(found[of] > 0);
  }
}

TEST_CASE("a selection keeps what its schemes need, and what every model needs") {
  const auto workload = [](const char* op, std::vector<std::pair<std::string, std::string>> params = {}) {
    return Workload{&require_op(op), "", std::move(params), {}};
  };
  const Workload norm = workload("norm.rms_norm");
  const Workload given = workload("quant.per_tensor_fp8", {{"dynamic", "false"}});
  const Workload found = workload("quant.per_tensor_fp8");
  const Workload token = workload("quant.per_token_fp8");
  const Workload nvfp4 = workload("quant.nvfp4");
  const QuantSelection own("", {QuantScheme::fp8_static});
  CHECK(own.includes(norm));
  CHECK(own.includes(given));
  CHECK_FALSE(own.includes(found));
  CHECK_FALSE(own.includes(token));
  CHECK_FALSE(own.includes(nvfp4));
  CHECK(QuantSelection("", {QuantScheme::fp8_token}).includes(token));
  CHECK(QuantSelection("", {QuantScheme::fp8_tensor}).includes(found));
  CHECK_FALSE(QuantSelection("", {}).includes(given));
  const QuantSelection fp8("fp8", {QuantScheme::nvfp4});
  CHECK((fp8.includes(given) && fp8.includes(found) && fp8.includes(token)));
  CHECK_FALSE(fp8.includes(nvfp4));
  CHECK(QuantSelection("all", {}).includes(nvfp4));
  CHECK(QuantSelection("all", {}).includes(given));
  CHECK_THROWS_WITH(QuantSelection("fp8-blok", {}), Catch::Contains("did you mean fp8-block?"));
}

}  // namespace
}  // namespace kerncast::tools
