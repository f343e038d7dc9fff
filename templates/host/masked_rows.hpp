#pragma once

#include "templates/host/checks.hpp"

/// Rows under a mask: only the first masked_m[e] rows of each expert e count.
/// templates/device/masked_rows.cuh is the device's side.
namespace kerncast::host {

constexpr std::int32_t max_masked_experts = 1024;

/// A tensor as rows: flattened, or [experts, rows, width] under a mask.
struct ExpertRows {
  std::int64_t experts = 0;  ///< 0: no mask
  Rows rows;                 ///< the rows of each expert
  std::int64_t expert_stride = 0;

  /// Rows of all experts.
  [[nodiscard]] std::int64_t count() const noexcept {
    return experts > 0 ? experts * rows.count : rows.count;
  }
};

/// Rows of `view`, whose last dimension must be contiguous.
[[nodiscard]] inline ExpertRows expert_rows(std::string_view op, std::string_view name,
                                            const TensorView& view, bool masked) {
  if (!masked) {
    return {0, contiguous_rows(op, name, view), 0};
  }
  if (view.rank != 3) [[unlikely]] {
    refuse_shape(op, name, view, "three dimensions, [experts, rows, width], to go with masked_m");
  }
  if (view.dim(0) < 1 || view.dim(0) > max_masked_experts) [[unlikely]] {
    refuse_range(op, "the number of experts", view.dim(0), 1, max_masked_experts);
  }
  if (view.stride(-1) != 1 && view.dim(-1) > 1) [[unlikely]] {
    refuse_last_stride(op, name, view);
  }
  return {view.dim(0), {view.dim(1), view.stride(1)}, view.stride(0)};
}

/// The rows of a tensor that is written, see expert_rows: they must not overlap.
[[nodiscard]] inline ExpertRows output_expert_rows(std::string_view op, std::string_view name,
                                                   const TensorView& view, bool masked) {
  if (!masked) {
    return {0, output_rows(op, name, view), 0};
  }
  const ExpertRows made = expert_rows(op, name, view, true);
  const std::int64_t width = view.dim(-1);
  const std::int64_t reach = made.rows.count > 0 ? (made.rows.count - 1) * made.rows.stride + width : 0;
  if ((made.rows.count > 1 && made.rows.stride < width) || (made.experts > 1 && made.expert_stride < reach))
      [[unlikely]] {
    refuse_overlap(op, name, view);
  }
  return made;
}

/// The misalignment of all experts' rows, see misalignment of flattened rows.
[[nodiscard]] inline std::uint64_t misalignment(const TensorView& view, const ExpertRows& rows) noexcept {
  return misalignment(view, rows.rows) |
         (rows.experts > 1 ? static_cast<std::uint64_t>(rows.expert_stride) *
                                 static_cast<std::uint64_t>(size_of(view.dtype))
                           : 0U);
}

/// Checks masked_m for `rows` of a tensor on `device`.
inline void require_mask(std::string_view op, const TensorView& masked_m, const ExpertRows& rows,
                         std::string_view other, int device) {
  if (masked_m.dtype != DType::i32) [[unlikely]] {
    refuse_dtype(op, "masked_m", masked_m.dtype, "i32");
  }
  if (masked_m.rank != 1 || masked_m.dim(0) != rows.experts || (rows.experts > 1 && masked_m.stride(0) != 1))
      [[unlikely]] {
    refuse_shape(op, "masked_m", masked_m, "one contiguous element per expert");
  }
  require_data(op, "masked_m", masked_m, rows.count());
  require_device(op, "masked_m", masked_m, other, device);
  if (reinterpret_cast<std::uintptr_t>(masked_m.data) % 4 != 0) [[unlikely]] {
    refuse_misaligned(op, "masked_m", masked_m);
  }
}

/// Ranks that the experts of `model` are spread over if their rows are masked.
[[nodiscard]] inline std::int64_t masked_ranks(const ModelConfig& model) {
  constexpr std::int64_t usual = 8;
  return model.expert_ranks > 0 ? model.expert_ranks : usual;
}

/// The parameter that says how many experts share a mask.
[[nodiscard]] inline ParamSpec masked_experts_param() {
  return integer_param(0, max_masked_experts, 0, "experts that masked_m counts rows of; 0: no mask");
}

inline constexpr const char* mask_doc =
    "[experts], i32: only the first masked_m[e] rows of expert e are read and written";

/// Repeats a grid for the rows of one expert for all experts.
[[nodiscard]] constexpr LaunchGeometry per_expert(LaunchGeometry geometry, std::int32_t experts) noexcept {
  geometry.grid[2] = static_cast<std::uint32_t>(std::max(experts, 1));
  return geometry;
}

}  // namespace kerncast::host
