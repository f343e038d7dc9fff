#include "tools/model/coverage.hpp"

#include <catch2/catch.hpp>

#include "tools/model/model_config.hpp"

namespace kerncast::tools {
namespace {

TEST_CASE("a width that no op takes is named") {
  const auto parts = [](const char* text) {
    const ModelReading model = read_model(text, "config.json", "test");
    return uncovered_parts(model.config, workloads_of(model.config), model.schemes);
  };
  CHECK(parts(R"({"model_type": "llama", "quantization_config": {"quant_method": "w8a8_int8"}})").empty());
  const auto wide = parts(R"({"model_type": "llama", "intermediate_size": 1000000})");
  REQUIRE(wide.size() == 1);
  CHECK(wide[0].ops == "activation.*");
  CHECK(wide[0].why == "dense MLP: no activation takes rows of 1000000 elements");
  const auto odd = parts(R"({"model_type": "llama", "intermediate_size": 1000,
                             "quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}})");
  REQUIRE(odd.size() == 1);
  CHECK(odd[0].why == "dense down_proj input: no op quantises rows of 1000 elements by nvfp4");
}

}  // namespace
}  // namespace kerncast::tools
