#include "tools/model/coverage.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tools/model/model_config.hpp"
#include "tools/model/model_shard.hpp"

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

TEST_CASE("a norm over the heads of all ranks is planned for one rank, and named for several") {
  const ModelReading model =
      read_model(R"({"model_type": "minimax_m2", "num_local_experts": 8})", "config.json", "test");
  const auto planned = [&](std::int64_t tp) {
    const ModelConfig rank = shard_model(model.config, tp, 1);
    const std::vector<Workload> workloads = workloads_of(rank);
    const auto norm_of_q = [&](const Workload& workload) {
      return workload.label.find("attention q_norm") != std::string::npos;
    };
    const auto parts = uncovered_parts(rank, workloads, model.schemes);
    return std::pair(std::any_of(workloads.begin(), workloads.end(), norm_of_q), parts);
  };
  const auto [one, all_covered] = planned(1);
  CHECK(one);
  CHECK(all_covered.empty());
  const auto [several, parts] = planned(4);
  CHECK_FALSE(several);
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].ops == "norm.*");
  CHECK_THAT(parts[0].why, Catch::StartsWith("attention q_norm: the ranks add up the squares of rows of"));
  CHECK_THAT(parts[1].why, Catch::StartsWith("attention k_norm: "));
}

}  // namespace
}  // namespace kerncast::tools
