#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/simulator/fuzz/decode_and_run.hpp"
#include "tests/simulator/fuzz/ptx_mutator.hpp"

// The fuzzer's corpus and what once broke the decoder or the machine, replayed without the fuzzer.
namespace kerncast::simulator::testing {

namespace {

struct Input {
  std::string name;
  std::string text;
};

std::vector<Input> inputs_in(const std::string& folder) {
  std::vector<Input> inputs;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(KERNCAST_FUZZ_DIR) + "/" + folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    inputs.push_back({entry.path().filename().string(), text.str()});
  }
  std::sort(inputs.begin(), inputs.end(), [](const Input& a, const Input& b) { return a.name < b.name; });
  return inputs;
}

}  // namespace

TEST_CASE("The corpus decodes and runs") {
  const std::vector<Input> inputs = inputs_in("corpus");
  REQUIRE(inputs.size() > 20);
  for (const Input& input : inputs) {
    INFO(input.name);
    CHECK(decode_and_run(input.text) == Outcome::ran);
  }
}

TEST_CASE("Inputs that once broke something end in a refusal or a fault") {
  for (const Input& input : inputs_in("regressions")) {
    INFO(input.name);
    CHECK_NOTHROW(decode_and_run(input.text));
  }
}

TEST_CASE("Texts near the corpus end in a refusal or a fault too") {
  const std::vector<Input> inputs = inputs_in("corpus");
  std::minstd_rand random(1);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    INFO(inputs[i].name);
    const std::string crossed = cross_ptx(inputs[i].text, inputs[(i + 1) % inputs.size()].text, random);
    CHECK_NOTHROW(decode_and_run(crossed));
    CHECK_NOTHROW(decode_and_run(mutate_ptx(inputs[i].text, random)));
  }
}

}  // namespace kerncast::simulator::testing
