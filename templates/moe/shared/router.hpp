#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kerncast/op.hpp"
#include "templates/host/checks.hpp"

/// What the definitions of the routers share. Their tensors are logits, bias, weights and ids; their tunables
/// threads_per_row and rows_per_block, in this order.
namespace kerncast::moe::router {

constexpr std::int64_t max_experts = 1024;
constexpr std::int64_t max_top_k = 32;

struct Tensors {
  const TensorView& logits;
  const TensorView& bias;
  const TensorView& weights;
  const TensorView& ids;
};

/// The checked extents of a call.
struct Extents {
  host::Rows logits;
  host::Rows weights;
  host::Rows ids;
  std::int64_t experts = 0;
  std::int64_t slots = 0;
};

/// Throws Error(invalid_argument). An absent bias passes where it is optional.
[[nodiscard]] Extents check(std::string_view op, const Tensors& tensors, bool bias_is_optional);

[[nodiscard]] std::vector<TunableSpec> tunables();
[[nodiscard]] Tunables default_tunables(std::int64_t experts, const DeviceTraits& device, std::int64_t rows);
[[nodiscard]] LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables,
                                      const DeviceTraits& device, std::int64_t rows) noexcept;

/// The setting called `name`, which has no default.
[[nodiscard]] std::int32_t required_setting(const OpDefinition& op, const Bindings& bindings,
                                            std::string_view name);
[[nodiscard]] std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings,
                                                  std::int64_t rows, bool with_bias);
[[nodiscard]] std::vector<TensorPlan> plan_outputs(const OpDefinition& op, const Bindings& bindings);

}  // namespace kerncast::moe::router
