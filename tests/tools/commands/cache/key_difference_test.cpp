#include "tools/commands/cache/key_difference.hpp"

#include <catch2/catch.hpp>

using namespace kerncast;
using namespace kerncast::tools;

namespace {

OpDefinition sample() {
  OpDefinition op;
  op.name = "test.scale";
  op.tunables.emplace_back().name = "threads";
  return op;
}

std::string source(const std::string& hidden, const std::string& dtype, const std::string& threads) {
  return "#include \"test/scale.cuh\"\n\nstruct Config {\n  using x_dtype = ::kerncast::" + dtype +
         ";\n  enum : int {\n    hidden = " + hidden +
         ",\n    layout = 1,  // rows\n    threads = " + threads +
         ",\n  };\n};\n\ntemplate __global__ void scale<Config>(A);\n";
}

KeyFieldList fields() {
  return {{"source", source("64", "bf16", "128")},
          {"kernel", "scale<Config>"},
          {"header:device/vector.cuh", "vector"},
          {"header:test/scale.cuh", "scale"},
          {"options", "--gpu-architecture=sm_90a\n--std=c++17"},
          {"arch", "sm_90a"},
          {"nvrtc", "13.0"}};
}

KeyFieldList with(const std::string& label, const std::string& value) {
  KeyFieldList out = fields();
  for (auto& [name, text] : out) {
    text = name == label ? value : text;
  }
  return out;
}

std::vector<std::string> texts(const KeyFieldList& cached, const KeyFieldList& wanted) {
  std::vector<std::string> out;
  for (const KeyDifference& difference : key_differences(sample(), cached, wanted)) {
    out.push_back(difference.text);
  }
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("equal keys differ in nothing") {
  CHECK(texts(fields(), fields()).empty());
  CHECK(distance({}) == 0);
}

TEST_CASE("each field that differs is named") {
  CHECK(texts(fields(), with("nvrtc", "13.1")) == Texts{"compiler 13.0 -> 13.1"});
  CHECK(texts(fields(), with("nvrtc", "")) == Texts{"compiler 13.0 -> none"});
  CHECK(texts(fields(), with("arch", "sm_100a")) == Texts{"architecture sm_90a -> sm_100a"});
  CHECK(texts(fields(), with("header:test/scale.cuh", "new")) == Texts{"template changed: test/scale.cuh"});
  CHECK(texts(fields(), with("source", source("128", "bf16", "128"))) == Texts{"parameter hidden 64 -> 128"});
  CHECK(texts(fields(), with("source", source("64", "f16", "128"))) ==
        Texts{"parameter x_dtype bf16 -> f16"});
  CHECK(texts(fields(), with("source", source("64", "bf16", "256"))) == Texts{"tunable threads 128 -> 256"});
  CHECK(texts(fields(), with("source", source("64", "bf16", "128") + "// more\n")) ==
        Texts{"the generated source changed"});
}

TEST_CASE("added and removed templates and options are named") {
  KeyFieldList more = fields();
  more.emplace_back("header:device/scan.cuh", "scan");
  CHECK(texts(fields(), more) == Texts{"template added: device/scan.cuh"});
  CHECK(texts(more, fields()) == Texts{"template no longer used: device/scan.cuh"});
  CHECK(texts(fields(), with("options", "--gpu-architecture=sm_90a\n--std=c++17\n-G")) ==
        Texts{"option added: -G"});
  CHECK(texts(fields(), with("options", "--gpu-architecture=sm_90a")) ==
        Texts{"option removed: --std=c++17"});
  CHECK(texts(fields(), with("options", "--std=c++17\n--gpu-architecture=sm_90a")) ==
        Texts{"the options are in another order"});
}

TEST_CASE("a choice is compared by its name") {
  std::string changed = source("64", "bf16", "128");
  changed.replace(changed.find("layout = 1,  // rows"), 20, "layout = 2,  // cols");
  CHECK(texts(fields(), with("source", changed)) == Texts{"parameter layout rows -> cols"});
}

TEST_CASE(
    "an upgrade is nearer than other tunables, these nearer than another architecture, that than a shape") {
  const auto far = [](const KeyFieldList& wanted) {
    return distance(key_differences(sample(), fields(), wanted));
  };
  KeyFieldList upgraded = with("nvrtc", "13.1");
  upgraded[2].second = "new";
  upgraded[3].second = "new";
  CHECK(far(fields()) < far(upgraded));
  CHECK(far(upgraded) < far(with("source", source("64", "bf16", "256"))));
  CHECK(far(with("source", source("64", "bf16", "256"))) < far(with("arch", "sm_80")));
  CHECK(far(with("arch", "sm_80")) < far(with("source", source("65", "bf16", "128"))));
}
