#include "templates/host/group_quant.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace kerncast::host {

using quant::ScaleFormat;
using quant::ScaleLayout;

namespace {

std::int64_t scale_columns(const GroupQuant& quant, std::int64_t width) {
  const std::int64_t groups = width / quant.group;
  return quant.format == ScaleFormat::packed_ue8m0 ? divide_up(groups, 4) : groups;
}

}  // namespace

void require_groups(std::string_view op, std::string_view what, std::int64_t width, int group,
                    std::int64_t widest) {
  if (group != 128 && group != 64 && group != 32 && group != 16) [[unlikely]] {
    int nearest = 16;
    for (const int valid : {16, 32, 64, 128}) {
      nearest = std::abs(valid - group) < std::abs(nearest - group) ? valid : nearest;
    }
    refuse(op, fmt::format("group is {}, but must be 16, 32, 64 or 128; nearest valid: {}", group, nearest));
  }
  if (width < 1 || width > widest || width % group != 0) [[unlikely]] {
    const std::int64_t fits = width >= 1 && width <= widest ? largest_group(width) : 0;
    refuse(op,
           fmt::format("{} is {}, but must be a multiple of group = {} from {} to {}; {}", what, width, group,
                       group, widest,
                       fits >= 16 ? fmt::format("the largest group that divides it is {}", fits)
                                  : fmt::format("nearest valid: {}",
                                                std::clamp<std::int64_t>((width + group / 2) / group * group,
                                                                         group, widest))));
  }
}

void require_format(std::string_view op, const GroupQuant& quant) {
  if (quant.format == ScaleFormat::packed_ue8m0 && quant.layout != ScaleLayout::column_major_tma_aligned)
      [[unlikely]] {
    refuse(op, "scale_format = packed_ue8m0 needs scale_layout = column_major_tma_aligned; set it");
  }
}

void require_quantised(std::string_view op, std::string_view name, const TensorView& view) {
  if (view.dtype != DType::fp8_e4m3 && view.dtype != DType::fp8_e5m2 && view.dtype != DType::i8)
      [[unlikely]] {
    refuse_dtype(op, name, view.dtype, "fp8_e4m3, fp8_e5m2 or i8");
  }
}

std::int64_t group_scale_stride(std::string_view op, const GroupQuant& quant, const TensorView& s,
                                std::int64_t rows, std::int64_t width) {
  const bool packed = quant.format == ScaleFormat::packed_ue8m0;
  if (s.dtype != (packed ? DType::i32 : DType::f32)) [[unlikely]] {
    refuse_dtype(op, "s", s.dtype, packed ? "i32 (four ue8m0 exponents)" : "f32");
  }
  const std::int64_t columns = scale_columns(quant, width);
  const Rows s_rows = flatten(op, "s", s);
  if (s_rows.count != rows || s.dim(-1) != columns) [[unlikely]] {
    refuse_shape(op, "s", s,
                 fmt::format("{} rows of {} (a row for each row of the data, one {} per {} elements)", rows,
                             columns, packed ? "int32" : "scale", quant.group * (packed ? 4 : 1)));
  }
  require_data(op, "s", s, rows);
  const auto address = reinterpret_cast<std::uintptr_t>(s.data);
  if (address % 4 != 0) [[unlikely]] {
    refuse_misaligned(op, "s", s);
  }
  if (quant.layout == ScaleLayout::row_major) {
    if ((columns > 1 && s.stride(-1) != 1) || (rows > 1 && s_rows.stride < columns)) [[unlikely]] {
      refuse_shape(op, "s", s, fmt::format("strides [>= {}, 1] for scale_layout = row_major", columns));
    }
    return s_rows.stride;
  }
  if (rows > 1 && s_rows.stride != 1) [[unlikely]] {
    refuse_shape(op, "s", s, "a token stride of 1 for a column-major scale_layout");
  }
  if (quant.layout == ScaleLayout::column_major) {
    if (columns > 1 && s.stride(-1) < rows) [[unlikely]] {
      refuse_shape(op, "s", s, fmt::format("strides [1, >= {}] for scale_layout = column_major", rows));
    }
    return s.stride(-1);
  }
  const std::int64_t padded = round_up(rows, 4);
  if ((columns > 1 && s.stride(-1) != padded) || address % 16 != 0) [[unlikely]] {
    refuse_shape(op, "s", s,
                 fmt::format("strides [1, {}] (T rounded up to 4) and a pointer that is a multiple of 16 for "
                             "scale_layout = column_major_tma_aligned; the pointer is {}",
                             padded, s.data));
  }
  return padded;
}

ParamSpec quantised_dtype_param() {
  return dtype_param({DType::fp8_e4m3, DType::fp8_e5m2, DType::i8}, DType::fp8_e4m3, "element type of q");
}

ParamSpec group_param() {
  return listed_param({16, 32, 64, 128}, 128, "neighbours that share a scale");
}

ParamSpec scale_layout_param() {
  return choice_param(
      quant::scale_layout_names,
      "where scales lie; column_major: token stride 1; tma_aligned: group stride T rounded up to 4");
}

ParamSpec scale_format_param() {
  return choice_param(
      quant::scale_format_names,
      "f32; ue8m0: f32 rounded up to a power of two; packed_ue8m0: 4 exponent bytes per int32, "
      "column_major_tma_aligned only");
}

GroupQuant group_quant_settings(const OpDefinition& op, const Bindings& bindings) {
  GroupQuant quant;
  quant.group = setting(op, bindings, "group").value_or(128);
  quant.layout = static_cast<ScaleLayout>(setting(op, bindings, "scale_layout").value_or(0));
  quant.format = static_cast<ScaleFormat>(setting(op, bindings, "scale_format").value_or(0));
  return quant;
}

TensorPlan plan_group_scales(const GroupQuant& quant, const std::vector<std::int64_t>& shape) {
  TensorPlan s{"s", quant.format == ScaleFormat::packed_ue8m0 ? DType::i32 : DType::f32, shape, {}, {}};
  s.shape.back() = scale_columns(quant, shape.back());
  if (quant.layout == ScaleLayout::row_major) {
    return s;
  }
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) {
    rows *= shape[i];
  }
  const std::int64_t stride =
      quant.layout == ScaleLayout::column_major_tma_aligned ? round_up(rows, 4) : rows;
  s.shape = {rows, s.shape.back()};
  s.strides = {1, stride};
  s.storage_shape = {s.shape.back(), stride};
  return s;
}

}  // namespace kerncast::host
