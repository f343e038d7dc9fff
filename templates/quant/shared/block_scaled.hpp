#pragma once

#include <string_view>
#include <vector>

#include <kerncast/ops/scale_layout.h>
#include "kerncast/op_definition.hpp"
#include "templates/host/define_op.hpp"
#include "templates/host/typed_op.hpp"

/// Host side of the ops that quantise rows by blocks.
namespace kerncast::quant {

enum class BlockFormat : std::uint8_t { nvfp4, mxfp4, mxfp8 };

/// Constants that tell one op that quantises by blocks from another.
struct BlockScaledVariant {
  std::string_view op;  ///< "quant.nvfp4"
  BlockFormat format;

  [[nodiscard]] constexpr std::int32_t block() const { return format == BlockFormat::nvfp4 ? 16 : 32; }
  [[nodiscard]] constexpr bool fp4() const { return format != BlockFormat::mxfp8; }
  [[nodiscard]] constexpr DType sf_dtype() const {
    return format == BlockFormat::nvfp4 ? DType::fp8_e4m3 : DType::ue8m0;
  }
};

/// The arguments of every variant.
struct BlockScaled {
  TensorView x;
  TensorView q;
  TensorView sf;
  TensorView global_scale = {};
  TensorView expert_offsets = {};
  TensorView sf_offsets = {};
  SfLayout sf_layout = SfLayout::linear;
  bool ocp_floor = false;
};

[[nodiscard]] Call block_scaled_call(const BlockScaledVariant& variant, const BlockScaled& arguments);
void block_scaled_validate(const BlockScaledVariant& variant, const Specialisation& spec);
[[nodiscard]] Tunables block_scaled_tunables(const BlockScaledVariant& variant, const Specialisation& spec,
                                             const DeviceTraits& device, std::int64_t rows);
[[nodiscard]] LaunchGeometry block_scaled_geometry(const BlockScaledVariant& variant,
                                                   const Specialisation& spec, const Tunables& tunables,
                                                   std::int64_t rows) noexcept;
[[nodiscard]] std::vector<TensorPlan> block_scaled_inputs(const BlockScaledVariant& variant,
                                                          const Bindings& bindings, std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> block_scaled_outputs(const BlockScaledVariant& variant,
                                                           const Bindings& bindings);
[[nodiscard]] std::vector<ModelCase> block_scaled_cases(const BlockScaledVariant& variant,
                                                        const ModelConfig& model);
/// Sets the parameters and tunables.
void complete_block_scaled(OpDefinition& op, const BlockScaledVariant& variant);
[[nodiscard]] std::string_view block_scaled_q_doc(const BlockScaledVariant& variant);
[[nodiscard]] std::string block_scaled_sf_doc(const BlockScaledVariant& variant);

/// Names the members of `call`: an Mxfp4, Mxfp8 or Nvfp4.
template <const BlockScaledVariant& Variant, class Arguments>
void describe_block_scaled(host::NamedArguments& named, Arguments& call) {
  named.input("x", call.x, "[..., hidden], x_dtype; rows may be strided");
  if constexpr (Variant.format == BlockFormat::nvfp4) {
    named.input("global_scale", call.global_scale, "[1], under expert_offsets [experts]; f32");
    named.optional_input("expert_offsets", call.expert_offsets,
                         "[experts + 1], i32: expert e has rows expert_offsets[e] to expert_offsets[e + 1]");
    named.optional_input(
        "sf_offsets", call.sf_offsets,
        "[experts + 1], i32, multiples of 128: where the experts' rows start in a swizzled sf");
  }
  named.output("q", call.q, block_scaled_q_doc(Variant));
  named.output("sf", call.sf, block_scaled_sf_doc(Variant));
  named.setting("sf_layout", call.sf_layout);
  if constexpr (Variant.format != BlockFormat::nvfp4) {
    named.setting("ocp_floor", call.ocp_floor);
  }
}

template <class Arguments, const BlockScaledVariant& Variant>
[[nodiscard]] OpDefinition block_scaled_definition(std::string_view summary, std::string_view formula) {
  OpDefinition op = host::define<Arguments, describe_block_scaled<Variant, Arguments>>();
  op.summary = summary;
  op.formula = formula;
  complete_block_scaled(op, Variant);
  op.validate = [](const Specialisation& spec) { block_scaled_validate(Variant, spec); };
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return block_scaled_tunables(Variant, spec, device, rows);
  };
  op.geometry = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                   std::int64_t rows) noexcept {
    return block_scaled_geometry(Variant, spec, tunables, rows);
  };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return block_scaled_inputs(Variant, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return block_scaled_outputs(Variant, bindings); };
  op.model_cases = [](const ModelConfig& model) { return block_scaled_cases(Variant, model); };
  return op;
}

}  // namespace kerncast::quant
