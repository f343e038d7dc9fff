#include "tools/model/model_shard.hpp"

#include <catch2/catch.hpp>

#include "tools/io/usage_error.hpp"
#include "tools/model/model_config.hpp"

namespace kerncast::tools {
namespace {

TEST_CASE("tensor parallelism divides heads, MLPs and experts' widths") {
  const ModelConfig rank = shard_model(load_model_config("deepseek-v3"), 8, 1);
  CHECK(rank.heads == 16);
  CHECK(rank.intermediate == 18432 / 8);
  CHECK(rank.moe_intermediate == 2048 / 8);
  CHECK(rank.experts == 256);
  CHECK(rank.local_experts() == 256);
  CHECK(rank.hidden == 7168);
}

TEST_CASE("key-value heads are repeated where there are fewer than ranks") {
  const ModelConfig model = load_model_config("qwen3-30b-a3b");
  CHECK(shard_model(model, 2, 1).kv_heads == 2);
  CHECK(shard_model(model, 8, 1).kv_heads == 1);
  CHECK(shard_model(load_model_config("flux.1"), 1, 1).kv_heads == 24);
}

TEST_CASE("expert parallelism leaves experts whole, and divides them only by what ranks are left") {
  const ModelConfig model = load_model_config("deepseek-v3");
  const ModelConfig spread = shard_model(model, 8, 8);
  CHECK(spread.local_experts() == 32);
  CHECK(spread.experts == 256);
  CHECK(spread.moe_intermediate == 2048);
  CHECK(spread.intermediate == 18432 / 8);
  CHECK(shard_model(model, 16, 8).moe_intermediate == 1024);
  CHECK(shard_model(model, 1, 32).moe_intermediate == 2048);
}

TEST_CASE("a size that does not divide is named") {
  CHECK_THROWS_WITH(shard_model(load_model_config("glm-4.5"), 7, 1),
                    Catch::Contains("--tp 7 does not divide the 96 attention heads of glm-4.5"));
  CHECK_THROWS_WITH(shard_model(load_model_config("mixtral-8x7b"), 1, 3),
                    Catch::Contains("--ep 3 does not divide the 8 experts of mixtral-8x7b"));
  CHECK_THROWS_AS(shard_model(load_model_config("glm-4.5"), 7, 1), UsageError);
}

}  // namespace
}  // namespace kerncast::tools
