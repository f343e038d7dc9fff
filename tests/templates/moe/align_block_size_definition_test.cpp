#include <catch2/catch.hpp>

#include <kerncast/ops/moe/align_block_size.hpp>
#include "templates/moe/align_block_size/spec_index.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
namespace params = kerncast::moe::align_block_size_params;
using Catch::Contains;

namespace {

TensorView integers(std::initializer_list<std::int64_t> shape) {
  return TensorView::contiguous(memory, DType::i32, shape);
}

moe::AlignBlockSize good() {
  return {.ids = integers({5, 8}),
          .expert_map = {},
          .sorted = integers({640}),
          .expert = integers({40}),
          .total = integers({1}),
          .workspace = {},
          .experts = 60,
          .block = 16};
}

}  // namespace

TEST_CASE("align_block_size derives its specialisation from the tensors") {
  const OpDefinition& op = definition_of<moe::AlignBlockSize>();
  CHECK(format_specialisation(op, bind(good()).spec) == "experts=60 top_k=8 block=16");
  moe::AlignBlockSize many = good();
  many.ids = integers({513, 8});
  many.sorted = integers({16 * 1000});
  many.expert = integers({1000});
  many.workspace = integers({120});
  many.expert_map = integers({240});
  CHECK(format_specialisation(op, bind(many).spec) ==
        "experts=60 top_k=8 block=16 has_expert_map=true split=true");
}

TEST_CASE("align_block_size says how much its outputs need") {
  CHECK(moe::align_block_size_places(40, 60, 16) == 640);
  CHECK(moe::align_block_size_places(4000, 60, 16) == 4912);
  CHECK(moe::align_block_size_places(0, 60, 16) == 0);
  CHECK(moe::align_block_size_places(10, 4, 1) == 10);
  CHECK(moe::align_block_size_workspace(4096, 256) == 0);
  CHECK(moe::align_block_size_workspace(65536, 256) == 16 * 256);
  CHECK(moe::align_block_size_workspace(std::int64_t{1} << 30, 256) == 262144 * 256);
}

TEST_CASE("align_block_size names what is wrong with a call") {
  moe::AlignBlockSize test = good();
  test.sorted.shape[0] = 624;
  CHECK_THAT(error_of(test), Contains("moe.align_block_size") && Contains("'sorted'") && Contains("[640]"));
  test = good();
  test.sorted.shape[0] = 650;
  CHECK_THAT(error_of(test), Contains("'sorted'") && Contains("multiple of block = 16"));
  test = good();
  test.expert.shape[0] = 39;
  CHECK_THAT(error_of(test), Contains("'expert'") && Contains("[40]"));
  test = good();
  test.total = {};
  CHECK_THAT(error_of(test), Contains("'total'"));
  test = good();
  test.ids.dtype = DType::i64;
  CHECK_THAT(error_of(test), Contains("'ids'") && Contains("i32"));
  test = good();
  test.ids.shape[1] = 65;
  CHECK_THAT(error_of(test), Contains("top_k") && Contains("nearest valid: 64"));
  test = good();
  test.experts = 2000;
  CHECK_THAT(error_of(test), Contains("experts is 2000") && Contains("nearest valid: 1024"));
  test = good();
  test.block = 0;
  CHECK_THAT(error_of(test), Contains("block is 0") && Contains("nearest valid: 1"));
  test = good();
  test.expert.device = 1;
  CHECK_THAT(error_of(test), Contains("'expert'") && Contains("device 1"));
  test = good();
  test.sorted.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'sorted'") && Contains("null"));
  test = good();
  test.total.data = memory + 2;
  CHECK_THAT(error_of(test), Contains("'total'") && Contains("align"));
}

TEST_CASE("align_block_size refuses a workspace sized for fewer tokens") {
  moe::AlignBlockSize test = good();
  test.ids = integers({8192, 8});
  test.sorted = integers({16 * 5000});
  test.expert = integers({5000});
  CHECK_THAT(error_of(test),
             Contains("65536 ids of 60 experts need a workspace") && Contains("960 elements"));
  test.workspace = integers({900});
  CHECK_THAT(error_of(test), Contains("'workspace'") && Contains("[960]"));
}

TEST_CASE("align_block_size refuses more ids than it can number") {
  moe::AlignBlockSize test = good();
  test.ids = integers({std::int64_t{1} << 28, 8});
  CHECK_THAT(error_of(test), Contains("number of ids") && Contains("2147483648"));
}

TEST_CASE("align_block_size launches one block for few tokens and several for many") {
  const OpDefinition& op = definition_of<moe::AlignBlockSize>();
  for (const char* experts : {"8", "256", "384", "512", "896", "1024"}) {
    for (const bool split : {false, true}) {
      const Specialisation spec =
          specialise(op, {{"experts", experts}, {"top_k", "8"}, {"split", split ? "true" : "false"}});
      for (const std::int64_t rows :
           {std::int64_t{1}, std::int64_t{512}, std::int64_t{8192}, std::int64_t{1} << 26}) {
        const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
        check_choices(op, tunables);
        // The counts of a warp take 4 bytes per expert; the block itself takes 16 KiB.
        CHECK(tunables[params::threads] / 32 * spec[params::experts] * 4 <= 32768);
        const LaunchGeometry count = op.geometry(spec, tunables, DeviceTraits{}, rows);
        const LaunchGeometry place = op.later_stages.at(0).geometry(spec, tunables, DeviceTraits{}, rows);
        CHECK(count.grid[0] == (split ? place.grid[0] : 0));
        CHECK(place.grid[0] == (split ? std::max<std::int64_t>(rows / 512, 1) : 1));
      }
    }
  }
}

TEST_CASE("align_block_size knows the models with experts") {
  check_cases(definition_of<moe::AlignBlockSize>(), deepseek_v3());
  // The case of few tokens leaves the split to the number of slots.
  const std::vector<ModelCase> cases = definition_of<moe::AlignBlockSize>().model_cases(deepseek_v3());
  REQUIRE(cases.size() == 2);
  CHECK(cases[0].params.size() + 1 == cases[1].params.size());
  CHECK(cases[1].params.back() == std::pair<std::string, std::string>{"split", "true"});
  ModelConfig dense = deepseek_v3();
  dense.experts = 0;
  CHECK(definition_of<moe::AlignBlockSize>().model_cases(dense).empty());
}
