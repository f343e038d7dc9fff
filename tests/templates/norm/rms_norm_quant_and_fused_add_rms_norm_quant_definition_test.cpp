#include <catch2/catch.hpp>
#include <set>

#include <kerncast/ops/norm/fused_add_rms_norm_quant.hpp>
#include <kerncast/ops/norm/rms_norm_quant.hpp>
#include "templates/norm/shared/row_params.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;
using norm::Scaling;
using quant::ScaleFormat;
using quant::ScaleLayout;

namespace {

norm::RmsNormQuant good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {6, 7168}),
          .weight = TensorView::contiguous(memory, DType::bf16, {7168}),
          .out = {.q = TensorView::contiguous(memory, DType::fp8_e4m3, {6, 7168}),
                  .s = TensorView::contiguous(memory, DType::f32, {6, 1})}};
}

norm::RmsNormQuant grouped() {
  norm::RmsNormQuant made = good();
  made.out.scaling = Scaling::per_group;
  made.out.s = TensorView::contiguous(memory, DType::f32, {6, 56});
  return made;
}

norm::RmsNormQuant fixed() {
  norm::RmsNormQuant made = good();
  made.out.scaling = Scaling::per_tensor;
  made.out.s = {};
  made.out.scale = TensorView::contiguous(memory, DType::f32, {1});
  return made;
}

}  // namespace

TEST_CASE("rms_norm_quant derives its specialisation from the tensors") {
  CHECK(spec_of(good()) == "hidden=7168");
  CHECK(spec_of(fixed()) == "hidden=7168 scaling=per_tensor");
  CHECK(spec_of(grouped()) == "hidden=7168 scaling=per_group");
  norm::RmsNormQuant packed = grouped();
  packed.out.layout = ScaleLayout::column_major_tma_aligned;
  packed.out.format = ScaleFormat::packed_ue8m0;
  packed.out.s = TensorView::contiguous(memory, DType::i32, {6, 14});
  packed.out.s.strides = {1, 8};
  CHECK(spec_of(packed) ==
        "hidden=7168 scaling=per_group scale_layout=column_major_tma_aligned scale_format=packed_ue8m0");
  norm::RmsNormQuant test = good();
  test.y = TensorView::contiguous(memory, DType::f32, {6, 7168});
  CHECK(spec_of(test) == "y_dtype=f32 hidden=7168 alignment=8 has_y=true");
  test = good();
  test.out.q.data = memory + 2;
  CHECK(spec_of(test) == "hidden=7168 alignment=4");
  // Settings of groups do not select another kernel for other scalings.
  test = good();
  test.out.group = 64;
  CHECK(spec_of(test) == "hidden=7168");
}

TEST_CASE("rms_norm_quant quantises by blocks") {
  norm::RmsNormQuant test = good();
  test.out.scaling = Scaling::mxfp8;
  test.out.s = TensorView::contiguous(memory, DType::ue8m0, {6, 224});
  CHECK(spec_of(test) == "hidden=7168 scaling=mxfp8");
  test.out.sf_layout = quant::SfLayout::swizzled;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("[128, 224]"));
  test.out.s = TensorView::contiguous(memory, DType::ue8m0, {128, 224});
  CHECK(spec_of(test) == "hidden=7168 scaling=mxfp8 sf_layout=swizzled");
  test.out.q.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("'q'") && Contains("fp8_e5m2"));
  test.out.scaling = Scaling::nvfp4;
  CHECK_THAT(error_of(test), Contains("'q'") && Contains("u8"));
  test.out.q = TensorView::contiguous(memory, DType::u8, {6, 3584});
  CHECK_THAT(error_of(test), Contains("'global_scale' is missing"));
  test.out.global_scale = TensorView::contiguous(memory, DType::f32, {1});
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("fp8_e4m3"));
  test.out.s = TensorView::contiguous(memory, DType::fp8_e4m3, {128, 448});
  CHECK(spec_of(test) == "hidden=7168 scaling=nvfp4 sf_layout=swizzled");
  test.out.q.data = memory + 1;
  CHECK(spec_of(test) == "hidden=7168 alignment=4 scaling=nvfp4 sf_layout=swizzled");
  test = good();
  test.out.global_scale = TensorView::contiguous(memory, DType::f32, {1});
  CHECK_THAT(error_of(test), Contains("'global_scale'") && Contains("nvfp4"));
  test = good();
  test.x = TensorView::contiguous(memory, DType::bf16, {6, 7176});
  test.weight = TensorView::contiguous(memory, DType::bf16, {7176});
  test.out.q = TensorView::contiguous(memory, DType::fp8_e4m3, {6, 7176});
  test.out.scaling = Scaling::mxfp8;
  CHECK_THAT(error_of(test), Contains("multiple of 32") && Contains("nearest valid: 7168"));
}

TEST_CASE("rms_norm_quant names what is wrong with a call") {
  norm::RmsNormQuant test = good();
  test.out.q.dtype = DType::bf16;
  CHECK_THAT(error_of(test), Contains("norm.rms_norm_quant") && Contains("'q'") && Contains("fp8_e4m3"));
  test = good();
  test.out.q.shape[1] = 7000;
  CHECK_THAT(error_of(test), Contains("'q'") && Contains("7168"));
  test = good();
  test.out.s.dtype = DType::i32;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("f32"));
  test = good();
  test.out.s.shape[0] = 5;
  CHECK_THAT(error_of(test), Contains("'s'"));
  test = good();
  test.out.s = {};
  CHECK_THAT(error_of(test), Contains("'s' is missing"));
  test = good();
  test.out.scale = fixed().out.scale;
  CHECK_THAT(error_of(test), Contains("'scale' is for another scaling") && Contains("per_token"));
  test = fixed();
  test.out.s = good().out.s;
  CHECK_THAT(error_of(test), Contains("'s' is for another scaling") && Contains("per_tensor"));
  test = fixed();
  test.out.scale.shape[0] = 6;
  CHECK_THAT(error_of(test), Contains("'scale'") && Contains("shape [1]"));
  test = fixed();
  test.out.scale.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'scale'"));
  test = fixed();
  test.out.scale.device = 2;
  CHECK_THAT(error_of(test), Contains("device 2"));
  test = grouped();
  test.out.group = 100;
  CHECK_THAT(error_of(test), Contains("group is 100") && Contains("nearest valid: 128"));
  test = grouped();
  test.out.format = ScaleFormat::packed_ue8m0;
  CHECK_THAT(error_of(test), Contains("column_major_tma_aligned"));
  test = grouped();
  test.out.s.shape[1] = 57;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("56"));
  test = good();
  test.eps = -1.0F;
  CHECK_THAT(error_of(test), Contains("eps is -1"));
  CHECK_THAT(message_of([] {
               static_cast<void>(specialise(definition_of<norm::RmsNormQuant>(),
                                            {{"hidden", "2880"}, {"scaling", "per_group"}}));
             }),
             Contains("largest group that divides it is 64"));
}

TEST_CASE("fused_add_rms_norm_quant names what is wrong with its residual") {
  const norm::RmsNormQuant base = good();
  norm::FusedAddRmsNormQuant test{.x = base.x,
                                  .residual = TensorView::contiguous(memory + 64, DType::bf16, {6, 7168}),
                                  .weight = base.weight,
                                  .out = base.out};
  const auto error = [&] { return message_of([&] { static_cast<void>(bind(test)); }); };
  const OpDefinition& op = definition_of<norm::FusedAddRmsNormQuant>();
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=7168");
  test.y = test.residual;
  CHECK_THAT(error(), Contains("norm.fused_add_rms_norm_quant") && Contains("share memory"));
  test.y = {};
  test.residual = {};
  CHECK_THAT(error(), Contains("'residual' is missing"));
}

TEST_CASE("rms_norm_quant plans the outputs asked for") {
  const OpDefinition& op = definition_of<norm::RmsNormQuant>();
  Bindings bindings;
  bindings.set_tensor("x", TensorView::contiguous(memory, DType::bf16, {2, 3, 1152}));
  CHECK(op.plan_outputs(bindings)[1].shape == std::vector<std::int64_t>{2, 3, 1});
  bindings.set_param("has_y", "true");
  CHECK(op.plan_outputs(bindings).size() == 3);
  bindings.set_param("scaling", "per_tensor");
  CHECK(op.plan_outputs(bindings).size() == 2);
  Bindings packed;
  packed.set_tensor("x", TensorView::contiguous(memory, DType::bf16, {2, 3, 1152}));
  packed.set_param("scaling", "per_group");
  packed.set_param("scale_layout", "column_major_tma_aligned");
  packed.set_param("scale_format", "packed_ue8m0");
  CHECK(op.plan_outputs(packed)[1].strides == std::vector<std::int64_t>{1, 8});
}

TEST_CASE("the norms that quantise know the models") {
  for (const OpDefinition* op :
       {&definition_of<norm::RmsNormQuant>(), &definition_of<norm::FusedAddRmsNormQuant>()}) {
    check_cases(*op, deepseek_v3());
    CHECK(widths_of(*op, deepseek_v3(), "scale_format") == std::set<std::string>{"f32", "packed_ue8m0"});
    ModelConfig oss;
    oss.norms = {{.place = "norms", .width = 2880, .added = true, .quantised = true}};
    check_cases(*op, oss);
    CHECK(widths_of(*op, oss, "scaling") ==
          std::set<std::string>{"per_token", "per_tensor", "per_group", "mxfp8", "nvfp4"});
    oss.norms[0].kind = NormKind::layer;
    CHECK(op->model_cases(oss).empty());
  }
}

TEST_CASE("rms_norm_quant launches enough threads for every row and its padding") {
  const std::int64_t rows = GENERATE(1, 2, 133, 1001, 100001);
  const std::string hidden = GENERATE("128", "1536", "7168", "65536");
  const OpDefinition& op = definition_of<norm::RmsNormQuant>();
  const Specialisation spec = specialise(op, {{"hidden", hidden},
                                              {"scaling", "per_group"},
                                              {"scale_layout", "column_major_tma_aligned"},
                                              {"scale_format", "packed_ue8m0"}});
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
  check_choices(op, tunables);
  CHECK(tunables[norm::row_params::threads] / tunables[norm::row_params::rows_per_block] >= 32);
  const LaunchGeometry geometry = op.geometry(spec, tunables, DeviceTraits{}, rows);
  CHECK(std::int64_t{geometry.grid[0]} * geometry.grid[1] * tunables[norm::row_params::rows_per_block] >=
        (rows + 3) / 4 * 4);
}

TEST_CASE("few rows get a thread for each vector, in whole warps, where the device is quick in f64") {
  const OpDefinition& op = definition_of<norm::RmsNormQuant>();
  const Specialisation spec = specialise(op, {{"hidden", "5120"}});
  const auto threads_on = [&](int sm, int sm_count) {
    return op.default_tunables(spec, DeviceTraits{sm, sm_count, 101376}, 16)[norm::row_params::threads];
  };
  CHECK(threads_on(90, 132) == 640);
  CHECK(threads_on(100, 148) == 640);
  // Every warp adds what all have summed, in f64, of which this device does a sixty-fourth.
  CHECK(threads_on(89, 128) < 320);
}
