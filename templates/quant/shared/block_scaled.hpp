#pragma once

#include <string_view>
#include <vector>

#include <kerncast/ops/scale_layout.h>
#include "kerncast/op_definition.hpp"

/// What the ops that quantise blocks of a row share on the host.
namespace kerncast::quant {

enum class BlockFormat : std::uint8_t { nvfp4, mxfp4, mxfp8 };

/// One of them.
struct BlockScaledVariant {
  std::string_view name;  ///< "nvfp4"
  std::string_view op;    ///< "quant.nvfp4"
  BlockFormat format;
  std::string_view summary;
  std::string_view formula;

  [[nodiscard]] constexpr std::int32_t block() const { return format == BlockFormat::nvfp4 ? 16 : 32; }
  [[nodiscard]] constexpr bool fp4() const { return format != BlockFormat::mxfp8; }
  [[nodiscard]] constexpr DType sf_dtype() const {
    return format == BlockFormat::nvfp4 ? DType::fp8_e4m3 : DType::ue8m0;
  }
};

struct BlockScaled {
  TensorView x;
  TensorView q;
  TensorView sf;
  TensorView global_scale;
  TensorView expert_offsets;
  TensorView sf_offsets;
  SfLayout layout = SfLayout::linear;
  bool ocp_floor = false;
};

[[nodiscard]] Call block_scaled_call(const BlockScaledVariant& variant, const BlockScaled& arguments);
[[nodiscard]] OpDefinition block_scaled_definition_base(const BlockScaledVariant& variant);
void block_scaled_validate(const BlockScaledVariant& variant, const Specialisation& spec);
[[nodiscard]] Tunables block_scaled_tunables(const BlockScaledVariant& variant, const Specialisation& spec,
                                             const DeviceTraits& device, std::int64_t rows);
[[nodiscard]] LaunchGeometry block_scaled_geometry(const BlockScaledVariant& variant,
                                                   const Specialisation& spec, const Tunables& tunables,
                                                   std::int64_t rows) noexcept;
[[nodiscard]] Call block_scaled_bind(const BlockScaledVariant& variant, const Bindings& bindings);
[[nodiscard]] std::vector<TensorPlan> block_scaled_inputs(const BlockScaledVariant& variant,
                                                          const Bindings& bindings, std::int64_t rows);
[[nodiscard]] std::vector<TensorPlan> block_scaled_outputs(const BlockScaledVariant& variant,
                                                           const Bindings& bindings);
[[nodiscard]] std::vector<ModelCase> block_scaled_cases(const BlockScaledVariant& variant,
                                                        const ModelConfig& model);

template <const BlockScaledVariant& Variant>
[[nodiscard]] OpDefinition block_scaled_definition() {
  OpDefinition op = block_scaled_definition_base(Variant);
  op.validate = [](const Specialisation& spec) { block_scaled_validate(Variant, spec); };
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return block_scaled_tunables(Variant, spec, device, rows);
  };
  op.geometry = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                   std::int64_t rows) noexcept {
    return block_scaled_geometry(Variant, spec, tunables, rows);
  };
  op.bind = [](const Bindings& bindings) { return block_scaled_bind(Variant, bindings); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return block_scaled_inputs(Variant, bindings, rows);
  };
  op.plan_outputs = [](const Bindings& bindings) { return block_scaled_outputs(Variant, bindings); };
  op.model_cases = [](const ModelConfig& model) { return block_scaled_cases(Variant, model); };
  return op;
}

}  // namespace kerncast::quant
