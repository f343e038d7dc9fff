#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "templates/host/checks.hpp"

/// The host side of all routers, whose tensors are logits, bias, weights and ids.
namespace kerncast::moe::router {

constexpr std::int64_t max_experts = 1024;
constexpr std::int64_t max_top_k = 32;

/// The tunables of every router.
enum Tunable : std::size_t { threads_per_row, rows_per_block };

/// The tensors of a call.
struct Tensors {
  const TensorView& logits;
  const TensorView& bias;
  const TensorView& weights;
  const TensorView& ids;
  const TensorView& num_token_non_padded;  ///< may be absent
};

/// The checked extents of a call.
struct Extents {
  host::Rows logits;
  host::Rows weights;
  host::Rows ids;
  std::int64_t experts = 0;
  std::int64_t slots = 0;
};

/// Checks the tensors. Throws Error(invalid_argument). The bias may be absent if `bias_is_optional`.
[[nodiscard]] Extents check(std::string_view op, const Tensors& tensors, bool bias_is_optional);

/// The doc of the tensor num_token_non_padded, and the parameter that says whether there is one.
inline constexpr const char* non_padded_doc =
    "[1], i32: the rows that are no padding. Past them weights are 0 and ids -1";
[[nodiscard]] ParamSpec has_non_padded_param();

[[nodiscard]] std::vector<TunableSpec> tunables();
/// The reason why a thread cannot hold its part of the experts; empty if it can.
[[nodiscard]] std::string tunables_defect(std::int64_t experts, const Tunables& tunables);
[[nodiscard]] Tunables default_tunables(std::int64_t experts, const DeviceTraits& device, std::int64_t rows);
[[nodiscard]] LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables,
                                      const DeviceTraits& device, std::int64_t rows) noexcept;

[[nodiscard]] std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings,
                                                  std::int64_t rows, bool with_bias);
[[nodiscard]] std::vector<TensorPlan> plan_outputs(const OpDefinition& op, const Bindings& bindings);

}  // namespace kerncast::moe::router
