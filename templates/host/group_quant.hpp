#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <kerncast/ops/scale_layout.h>
#include "kerncast/op_definition.hpp"
#include "kerncast/tensor.hpp"
#include "templates/host/checks.hpp"

/// The host side that the ops share which quantise rows by groups: parameters, checks, and the layout of the
/// scales.
namespace kerncast::host {

/// The group size, and the layout and format of the scales.
struct GroupQuant {
  int group = 128;
  quant::ScaleLayout layout = quant::ScaleLayout::row_major;
  quant::ScaleFormat format = quant::ScaleFormat::f32;
};

/// Rows whose scales are written.
[[nodiscard]] constexpr std::int64_t scale_rows(quant::ScaleFormat format, std::int64_t rows) noexcept {
  return format == quant::ScaleFormat::packed_ue8m0 ? round_up(rows, 4) : rows;
}

/// The largest group, a power of two up to 128, that divides `width`.
[[nodiscard]] constexpr std::int64_t largest_group(std::int64_t width) noexcept {
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(width) | 128U) &
                                   (~(static_cast<std::uint64_t>(width) | 128U) + 1U));
}

/// Refuses a group other than 16, 32, 64 and 128, and a width that it does not divide or that is above
/// `widest`. `what` names the width.
void require_groups(std::string_view op, std::string_view what, std::int64_t width, int group,
                    std::int64_t widest);

/// Refuses packed_ue8m0 in another layout than its own.
void require_format(std::string_view op, const GroupQuant& quant);

/// Checks the type of the quantised values.
void require_quantised(std::string_view op, std::string_view name, const TensorView& view);

/// Checks s for `rows` rows of `width` values; returns its stride along the dimension that is not contiguous.
[[nodiscard]] std::int64_t group_scale_stride(std::string_view op, const GroupQuant& quant,
                                              const TensorView& s, std::int64_t rows, std::int64_t width);

/// Parameters: q_dtype; group, scale_layout, scale_format.
[[nodiscard]] ParamSpec quantised_dtype_param();
[[nodiscard]] ParamSpec group_param();
[[nodiscard]] ParamSpec scale_layout_param();
[[nodiscard]] ParamSpec scale_format_param();

/// The settings of these parameters.
[[nodiscard]] GroupQuant group_quant_settings(const OpDefinition& op, const Bindings& bindings);

/// The doc of tensor s.
inline constexpr const char* group_scales_doc =
    "[..., hidden / group], f32, with the strides of scale_layout; packed_ue8m0: [T, ceil(hidden / group / "
    "4)] i32, strides (1, T rounded up to 4)";

/// Output s for rows of shape `shape` ([..., hidden]).
[[nodiscard]] TensorPlan plan_group_scales(const GroupQuant& quant, const std::vector<std::int64_t>& shape);

}  // namespace kerncast::host
