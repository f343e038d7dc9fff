#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/tools/commands/command_process.hpp"
#include "tools/model/shipped_models.hpp"

namespace {

using nlohmann::json;

TEST_CASE("a model that was warmed is served in strict mode, with no compiler on the machine") {
  if (!has_nvrtc()) {
    return;
  }
  // The models share kernels, as on the disk of a server.
  const CommandPlace place;
  const std::string arch = place.run({"doctor", "--json"}).json().at("devices").at(0).at("arch");
  const std::vector<std::pair<std::string, std::string>> strict{{"KERNCAST_STRICT", "1"},
                                                                {"KERNCAST_NVRTC", "none"}};
  REQUIRE_FALSE(kerncast::tools::shipped_models().empty());
  for (const kerncast::tools::ShippedModel& model : kerncast::tools::shipped_models()) {
    const std::string name(model.name);
    INFO(name);
    const std::vector<std::string> command{"warm", "--model", name, "--arch", arch, "--rows", "1,16"};
    // Kernels that another test has compiled are copied. Strict serving sees only the copies.
    std::vector<std::pair<std::string, std::string>> layers;
    if (const char* shared = std::getenv("KERNCAST_TEST_CACHE"); shared != nullptr && *shared != '\0') {
      REQUIRE(place.run(command, {{"KERNCAST_CACHE_DIR", shared}}).code == 0);
      layers.emplace_back("KERNCAST_CACHE_READONLY", shared);
    }
    const Outcome warm = place.run(command, layers);
    INFO(warm.err);
    REQUIRE(warm.code == 0);
    const Outcome run = place.run({"run", "--model", name, "--rows", "1,16", "--json"}, strict);
    INFO(run.err);
    CHECK(run.code == 0);
    const json rows = run.json();
    CHECK_FALSE(rows.empty());
    for (const json& row : rows) {
      CHECK(row.at("cached") == true);
      CHECK(row.at("ok") == true);
    }
  }
}

}  // namespace
