#include "tools/warm/warm_plan.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>

#include "kerncast/op_definition.hpp"
#include "tests/temporary_directory.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

/// A runtime with an empty cache, which makes the plans.
struct Plans {
  explicit Plans(const std::string& nvrtc = "") : runtime(options(nvrtc)) {}
  [[nodiscard]] RuntimeOptions options(const std::string& nvrtc) const {
    RuntimeOptions out;
    out.nvrtc = nvrtc;
    out.cache_directory = directory.file("cache");
    return out;
  }
  std::vector<PlannedKernel> of(const WarmRequest& request) { return plan_warm(runtime, request, console); }

  TemporaryDirectory directory;
  Console console;
  Runtime runtime;
};

WarmRequest deepseek() {
  WarmRequest request;
  request.models = {"deepseek-v3"};
  request.archs = {"sm_90a"};
  return request;
}

std::set<std::string> keys(const std::vector<PlannedKernel>& kernels) {
  std::set<std::string> out;
  for (const PlannedKernel& kernel : kernels) {
    CHECK(kernel.key.size() == 32);
    CHECK(out.insert(kernel.key).second);
  }
  return out;
}

/// The kernels by what they are, without their keys, which depend on the compiler.
std::set<std::string> names(const std::vector<PlannedKernel>& kernels) {
  std::set<std::string> out;
  for (const PlannedKernel& kernel : kernels) {
    out.insert(kernel.op->name + " " + kernel.spec_text + " " + kernel.tunables_text);
  }
  return out;
}

std::set<std::string> ops(const std::vector<PlannedKernel>& kernels) {
  std::set<std::string> out;
  for (const PlannedKernel& kernel : kernels) {
    out.insert(kernel.op->name);
  }
  return out;
}

bool includes(const std::set<std::string>& all, const std::set<std::string>& part) {
  return std::includes(all.begin(), all.end(), part.begin(), part.end());
}

TEST_CASE("a plan holds every kernel that any number of rows on a known device selects, once") {
  Plans plans;
  const std::vector<PlannedKernel> kernels = plans.of(deepseek());
  const std::set<std::string> planned = keys(kernels);
  for (const PlannedKernel& kernel : kernels) {
    CHECK_FALSE(kernel.cached);
    CHECK_FALSE(kernel.why.empty());
  }
  for (const PlannedKernel& kernel : kernels) {
    for (const int sms : Runtime::sm_counts("sm_90a")) {
      for (const std::int64_t rows : {1, 7, 64, 100, 1000, 8192, 100'000}) {
        for (const Tunables& tunables :
             plans.runtime.tunables(*kernel.op, kernel.spec, "sm_90a", rows, sms)) {
          const KeyReport asked = plans.runtime.identify(*kernel.op, kernel.spec, "sm_90a", rows, tunables);
          if (planned.count(asked.key) == 0) {
            FAIL(kernel.op->name << " [" << kernel.spec_text << "] with " << rows << " rows on " << sms
                                 << " multiprocessors is not planned");
          }
        }
      }
    }
  }
}

TEST_CASE("tokens narrow a plan to the buckets they fall in") {
  Plans plans;
  WarmRequest request = deepseek();
  const std::set<std::string> all = keys(plans.of(request));
  request.tokens = {"1:8192"};
  const std::set<std::string> many = keys(plans.of(request));
  request.tokens = {"1"};
  const std::set<std::string> one = keys(plans.of(request));
  CHECK(includes(all, many));
  CHECK(includes(many, one));
  CHECK(one.size() < many.size());
  request.tokens = {"4096"};
  const std::set<std::string> large = keys(plans.of(request));
  CHECK(includes(many, large));
  CHECK_FALSE(includes(one, large));
  for (const char* bad : {"0", "x", "8:4", "1:", ":8", "1:2:3", "-1"}) {
    request.tokens = {bad};
    CHECK_THROWS_AS(plans.of(request), UsageError);
  }
  request.tokens = {"1"};
  request.rows = {1};
  CHECK_THROWS_AS(plans.of(request), UsageError);
}

TEST_CASE("the rows of experts and heads are counted, not their tokens'") {
  Plans plans;
  WarmRequest request = deepseek();
  request.selection.op_globs = {"activation.silu_and_mul"};
  request.tokens = {"2"};
  // Two tokens with 8 experts each make 16 rows. Masked rows can be those of all experts of a rank.
  for (const PlannedKernel& kernel : plans.of(request)) {
    const bool masked = kernel.spec_text.find("experts=") != std::string::npos;
    CHECK(kernel.buckets.front() <= row_bucket(2));
    CHECK(kernel.buckets.back() == row_bucket(masked ? 2 * 256 : 16));
  }
}

TEST_CASE("a quantisation leaves the ops of the others out") {
  Plans plans;
  WarmRequest request = deepseek();
  request.selection.quant = "nvfp4";
  const std::set<std::string> nvfp4 = ops(plans.of(request));
  CHECK(nvfp4.count("quant.nvfp4") == 1);
  CHECK(nvfp4.count("norm.rms_norm") == 1);
  CHECK(nvfp4.count("quant.per_token_group") == 0);
  request.selection.quant = "none";
  for (const std::string& op : ops(plans.of(request))) {
    CHECK_FALSE(op.starts_with("quant."));
  }
  request.selection.quant = "fp9";
  CHECK_THROWS_WITH(plans.of(request), Catch::Contains("--quant fp9 is not one of"));
}

TEST_CASE("ops are chosen by pattern") {
  Plans plans;
  WarmRequest request = deepseek();
  request.selection.op_globs = {"norm.rms_norm", "moe.*gate"};
  CHECK(ops(plans.of(request)) == std::set<std::string>{"moe.fused_gate", "norm.rms_norm"});
}

TEST_CASE("ranks add the sizes that they divide") {
  Plans plans;
  WarmRequest request = deepseek();
  request.selection.op_globs = {"activation.*"};
  request.selection.tensor_ranks = {1, 8};
  std::set<std::string> specs;
  for (const PlannedKernel& kernel : plans.of(request)) {
    specs.insert(kernel.spec_text);
  }
  CHECK(includes(specs, {"hidden=18432", "hidden=2304", "hidden=2048", "hidden=256"}));
  request.selection.tensor_ranks = {1};
  request.selection.expert_ranks = 16;
  specs.clear();
  for (const PlannedKernel& kernel : plans.of(request)) {
    specs.insert(kernel.spec_text);
  }
  CHECK(specs.count("hidden=2048 experts=16") == 1);
}

TEST_CASE("shards part a plan, the same way each time, whatever the compiler") {
  Plans plans;
  Plans without_compiler("none");
  WarmRequest request = deepseek();
  request.tokens = {"1:64"};
  const std::set<std::string> all = keys(plans.of(request));
  std::set<std::string> together;
  std::size_t count = 0;
  for (std::size_t index = 1; index <= 3; ++index) {
    request.shard = {index, 3};
    const std::set<std::string> part = keys(plans.of(request));
    CHECK(part == keys(plans.of(request)));
    CHECK(names(plans.of(request)) == names(without_compiler.of(request)));
    CHECK(part.size() > all.size() / 6);
    count += part.size();
    together.insert(part.begin(), part.end());
  }
  CHECK(together == all);
  CHECK(count == all.size());
  CHECK(parse_shard("2/4").index == 2);
  CHECK(parse_shard("2/4").count == 4);
  for (const char* bad : {"0/4", "5/4", "1", "a/4", "1/", "/4", "1/4x", "1/0", ""}) {
    CHECK_THROWS_AS(parse_shard(bad), UsageError);
  }
}

TEST_CASE("what a record holds is planned as it was asked for") {
  Plans plans;
  WarmRequest request;
  request.records = {plans.directory.write(
      "record", R"({"op": "norm.rms_norm", "set": "hidden=64", "arch": "sm_90a", "sms": 114, "rows": 17})"
                "\n"
                R"({"op": "host.own", "set": "", "arch": "sm_90a", "sms": 114, "rows": 17})"
                "\n"
                R"({"op": "norm.rms_norm", "set": "hidden=-1", "arch": "sm_90a", "sms": 114, "rows": 17})"
                "\n"
                R"({"op": "norm.rms_norm", "set": "hidden=64", "arch": "sm_80", "sms": 108, "rows": 17})"
                "\n")};
  const std::vector<PlannedKernel> kernels = plans.of(request);
  REQUIRE(kernels.size() == 2);
  CHECK(kernels[0].arch == "sm_80");
  CHECK(kernels[1].arch == "sm_90a");
  CHECK(kernels[1].buckets == std::vector<int>{row_bucket(17)});
  request.archs = {"sm_80"};
  CHECK(plans.of(request).size() == 1);
}

TEST_CASE("an unknown model is warmed as far as it is understood") {
  Plans plans;
  WarmRequest request;
  request.models = {plans.directory.write(
      "config.json", R"({"architectures": ["NewForCausalLM"], "model_type": "new", "hidden_size": 256,
                         "num_attention_heads": 4, "intermediate_size": 512, "hidden_act": "silu",
                         "vocab_size": 1000, "bos_token_id": 1, "hyper_connections": 4})")};
  request.archs = {"sm_90a"};
  const std::set<std::string> found = ops(plans.of(request));
  CHECK(found.count("norm.rms_norm") == 1);
  CHECK(found.count("activation.silu_and_mul") == 1);
}

TEST_CASE("rows are named by their buckets") {
  CHECK(rows_text({0}) == "1");
  CHECK(rows_text({0, 1, 2}) == "1..4");
  CHECK(rows_text({3}) == "5..8");
  CHECK(rows_text({0, 2, 3, 14}) == "1,3..8,8193..");
  CHECK(rows_text({13, 14}) == "4097..");
  CHECK(rows_text({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}) == "any");
}

}  // namespace
}  // namespace kerncast::tools
