#include <catch2/catch.hpp>
#include <set>

#include <kerncast/ops/norm/relative_l1.hpp>
#include "templates/norm/relative_l1/spec_index.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

norm::RelativeL1 good() {
  return {.a = TensorView::contiguous(memory, DType::bf16, {4, 3072}),
          .b = TensorView::contiguous(memory, DType::bf16, {4, 3072}),
          .d = TensorView::contiguous(memory, DType::f32, {1}),
          .workspace = TensorView::contiguous(memory, DType::f64, {norm::relative_l1_workspace})};
}

}  // namespace

TEST_CASE("relative_l1 derives its specialisation from the tensors") {
  norm::RelativeL1 test = good();
  const OpDefinition& op = definition_of<norm::RelativeL1>();
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=3072");
  CHECK(bind(test).rows == 4);
  test.b.strides[0] = 3076;
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=3072 alignment=8 contiguous=false");
}

TEST_CASE("relative_l1 names what is wrong with a call") {
  norm::RelativeL1 test = good();
  test.a.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("norm.relative_l1") && Contains("'a'") && Contains("i8"));
  test = good();
  test.b.dtype = DType::f16;
  CHECK_THAT(error_of(test), Contains("'b'") && Contains("bf16, as a is"));
  test = good();
  test.b.shape[0] = 5;
  CHECK_THAT(error_of(test), Contains("'b'") && Contains("shape of a"));
  test = good();
  test.a.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'a'") && Contains("null"));
  test = good();
  test.a.strides[1] = 2;
  CHECK_THAT(error_of(test), Contains("'a'") && Contains("not contiguous"));
  test = good();
  test.a.data = memory + 1;
  CHECK_THAT(error_of(test), Contains("'a'") && Contains("multiple of its element's 2 bytes"));
  test = good();
  test.d.dtype = DType::bf16;
  CHECK_THAT(error_of(test), Contains("'d'") && Contains("f32"));
  test = good();
  test.d.shape[0] = 2;
  CHECK_THAT(error_of(test), Contains("'d'") && Contains("[1]"));
  test = good();
  test.d.device = 1;
  CHECK_THAT(error_of(test), Contains("device 1") && Contains("device 0"));
  test = good();
  test.workspace = {};
  CHECK_THAT(error_of(test), Contains("'workspace'"));
  test = good();
  test.workspace.shape[0] = 1024;
  CHECK_THAT(error_of(test), Contains("'workspace'") && Contains("[2048]"));
  test = good();
  test.workspace.data = memory + 8;
  CHECK_THAT(error_of(test), Contains("'workspace'") && Contains("multiple of 16"));
  CHECK_THAT(message_of([] {
               static_cast<void>(specialise(definition_of<norm::RelativeL1>(), {{"hidden", "2881"}}));
             }),
             Contains("norm.relative_l1") && Contains("alignment = 16") && Contains("widest valid: 2"));
}

TEST_CASE("relative_l1 launches a block for each chunk, at most as many as there are partial sums") {
  const OpDefinition& op = definition_of<norm::RelativeL1>();
  const Specialisation spec = specialise(op, {{"hidden", "3072"}});
  const std::int64_t rows = GENERATE(1, 2, 17, 1000, 100000);
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
  check_choices(op, tunables);
  const LaunchGeometry geometry = op.geometry(spec, tunables, DeviceTraits{}, rows);
  const std::int64_t vectors = rows * 3072 / 8;
  CHECK(geometry.grid[0] == std::min<std::int64_t>(1024, (vectors + 511) / 512));
  CHECK(geometry.grid[1] == 1);
  CHECK(op.later_stages.size() == 1);
  CHECK(op.later_stages[0].geometry(spec, tunables, DeviceTraits{}, rows).grid[0] == 1);
}

TEST_CASE("relative_l1 knows the models") {
  const OpDefinition& op = definition_of<norm::RelativeL1>();
  ModelConfig flux;
  flux.hidden = 3072;
  flux.diffusion = true;
  CHECK(widths_of(op, flux, "hidden") == std::set<std::string>{"3072"});
  check_cases(op, flux);
  CHECK(op.model_cases(deepseek_v3()).empty());
}
