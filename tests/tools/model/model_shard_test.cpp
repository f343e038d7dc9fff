#include "tools/model/model_shard.hpp"

#include <catch2/catch.hpp>

#include "tools/io/usage_error.hpp"
#include "tools/model/model_config.hpp"

namespace kerncast::tools {
namespace {

std::int64_t width(const ModelConfig& model, const std::string& place) {
  for (const ModelMlp& mlp : model.mlps) {
    if (mlp.place == place) {
      return mlp.width;
    }
  }
  return 0;
}

TEST_CASE("tensor parallelism divides heads, MLPs and experts' widths") {
  const ModelConfig rank = shard_model(load_model_config("deepseek-v3"), 8, 1);
  CHECK(rank.heads == 16);
  CHECK(width(rank, "dense MLP") == 18432 / 8);
  CHECK(width(rank, "experts") == 2048 / 8);
  CHECK(width(rank, "shared expert") == 2048 / 8);
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
  CHECK(width(spread, "experts") == 2048);
  CHECK(width(spread, "shared expert") == 2048 / 8);
  CHECK(width(spread, "dense MLP") == 18432 / 8);
  CHECK(width(shard_model(model, 16, 8), "experts") == 1024);
  CHECK(width(shard_model(model, 1, 32), "experts") == 2048);
}

TEST_CASE("a rank's part of an mxfp4 expert is padded as engines pad it") {
  const ModelConfig model = load_model_config("gpt-oss-120b");
  const ModelConfig rank = shard_model(model, 8, 1);
  CHECK(width(rank, "experts, padded to 64") == 384);
  CHECK(width(rank, "experts, padded to 128") == 384);
  const ModelConfig whole = shard_model(model, 1, 1);
  CHECK(width(whole, "experts, padded to 64") == 2880);
  CHECK(width(whole, "experts, padded to 128") == 2944);
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
