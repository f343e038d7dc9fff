#include <catch2/catch.hpp>

#include <kerncast/ops/quant/fp8_pack.hpp>
#include <kerncast/ops/quant/fp8_unpack.hpp>
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

quant::Fp8Pack good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {6, 24, 128}),
          .packed = TensorView::contiguous(memory, DType::u8, {6, 24, 132})};
}

}  // namespace

TEST_CASE("packing derives its specialisation from the tensors") {
  const OpDefinition& op = definition_of<quant::Fp8Pack>();
  CHECK(format_specialisation(op, bind(good()).spec) == "hidden=128");
  quant::Fp8Pack test = good();
  test.packed.strides = {24 * 136, 136, 1};
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=128 packed_alignment=4 contiguous=false");
  test = good();
  test.packed.data = memory + 1;
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=128 packed_alignment=1");
}

TEST_CASE("packing names what is wrong with a call") {
  quant::Fp8Pack test = good();
  test.packed.shape[2] = 128;
  CHECK_THAT(error_of(test), Contains("quant.fp8_pack") && Contains("'packed'") && Contains("132 columns"));
  test = good();
  test.packed.dtype = DType::fp8_e4m3;
  CHECK_THAT(error_of(test), Contains("'packed'") && Contains("u8"));
  test = good();
  test.x.dtype = DType::u8;
  CHECK_THAT(error_of(test), Contains("'x'"));
  test = good();
  test.x.shape[2] = 2000;
  test.packed.shape[2] = 2004;
  test.x.strides = {24 * 2000, 2000, 1};
  test.packed.strides = {24 * 2004, 2004, 1};
  CHECK_THAT(error_of(test), Contains("nearest valid: 1024"));
  CHECK_THAT(message_of([&] {
               static_cast<void>(specialise(definition_of<quant::Fp8Unpack>(),
                                            {{"hidden", "128"}, {"contiguous", "false"}}));
             }),
             Contains("widest valid: 4"));
}

TEST_CASE("packing covers every row, and knows the models that exchange heads") {
  const std::int64_t rows = GENERATE(1, 3, 500, 400000);
  const std::string hidden = GENERATE("64", "128", "1024");
  const OpDefinition& op = definition_of<quant::Fp8Pack>();
  const Specialisation spec = specialise(op, {{"hidden", hidden}});
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
  check_choices(op, tunables);
  const LaunchGeometry made = op.geometry(spec, tunables, DeviceTraits{}, rows);
  CHECK(std::int64_t{made.grid[0]} * made.grid[1] * made.block[0] * 8 >=
        rows * std::min(param_of(op, spec, "hidden"), 256));
  CHECK(op.model_cases(deepseek_v3()).empty());
  ModelConfig flux;
  flux.diffusion = true;
  flux.head_dim = 128;
  check_cases(op, flux);
  check_cases(definition_of<quant::Fp8Unpack>(), flux);
  CHECK(widths_of(op, flux, "hidden") == std::set<std::string>{"128"});
}
