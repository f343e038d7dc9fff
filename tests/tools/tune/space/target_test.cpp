#include "tools/tune/space/target.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

std::vector<std::string> texts_of(const std::vector<TuneTarget>& targets) {
  std::vector<std::string> texts;
  for (const TuneTarget& target : targets) {
    texts.push_back(target.text);
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST_CASE("without a device the driver's GPU is tuned for, else the estimate is taken, and why is said") {
  const std::vector<TuneTarget> gpu = default_targets("sm_90a", {});
  CHECK(texts_of(gpu) == Texts{"cuda:0"});
  CHECK(gpu[0].kind == TuneTarget::Kind::cuda);
  CHECK(gpu[0].why == "the driver's first GPU");
  CHECK(texts_of(default_targets("sm_90a", {"sm_90a"})) == Texts{"cuda:0"});

  const std::vector<TuneTarget> none = default_targets("", {});
  CHECK(texts_of(none) == Texts{"estimate:h100"});
  CHECK(none[0].why == "the driver has no GPU");
  CHECK(texts_of(default_targets("", {"sm_90a", "sm_100a"})) == Texts{"estimate:h100", "estimate:b200"});

  // A GPU cannot be measured for another architecture than its own.
  const std::vector<TuneTarget> others = default_targets("sm_90a", {"sm_90a", "sm_80"});
  CHECK(texts_of(others) == Texts{"estimate:h100", "estimate:a100"});
  CHECK(others[0].why == "the driver's GPU has another architecture, sm_90a");
  CHECK_THROWS_WITH(default_targets("", {"sm_75"}), Catch::Contains("no described device"));
  CHECK_THROWS_WITH(default_targets("", {"sm_90"}), Catch::Contains("described for sm_90a"));
  CHECK_THROWS_AS(default_targets("", {"h100"}), UsageError);
}

TEST_CASE("devices that are named must go together") {
  CHECK(texts_of(choose_targets({"cuda:0", "cuda:1"}, {})) == Texts{"cuda:0", "cuda:1"});
  CHECK(texts_of(choose_targets({"sim:h100", "estimate:b200"}, {})) == Texts{"sim:h100", "estimate:b200"});
  CHECK(choose_targets({"sim:H100"}, {}).at(0).description->name == "h100");
  CHECK(choose_targets({"sim:h100"}, {}).at(0).why.empty());
  CHECK_THROWS_WITH(choose_targets({"cuda:0", "cuda:0"}, {}), Catch::Contains("stands beside it"));
  CHECK_THROWS_WITH(choose_targets({"cuda:0", "sim:h100"}, {}), Catch::Contains("stands beside it"));
  CHECK_THROWS_WITH(choose_targets({"sim:h100", "estimate:h200"}, {}), Catch::Contains("same architecture"));
  CHECK_THROWS_WITH(choose_targets({"sim:h100"}, {"sm_80"}), Catch::Contains("has architecture sm_90a"));
}

}  // namespace
}  // namespace kerncast::tools
