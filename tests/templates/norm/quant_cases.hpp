#pragma once

#include <string>

#include "tests/templates/cases.hpp"

/// Cases of the norms that quantise, with or without a residual.
namespace kerncast::test {

struct QuantNorm {
  bool adds = false;
  Shape shape = {3, 1024};
  DType x = DType::bf16;
  DType q = DType::fp8_e4m3;
  std::string scaling = "per_token";
  std::int64_t group = 128;
  std::string layout = "row_major";
  std::string format = "f32";
  std::string sf_layout = "linear";  ///< of mxfp8, mxfp4 and nvfp4
  double global_scale = 37.5;        ///< of nvfp4
  bool has_y = false;
  DType residual = DType::bf16;
  DType y = DType::bf16;
  DType weight = DType::bf16;
};

/// Adds the scale bytes of blocks, and makes q of the op one of halves of bytes if the format has them.
inline void add_blocks(OpCase& made, const QuantNorm& of) {
  const auto [rows, width] = of.shape;
  made.params.emplace_back("sf_layout", of.sf_layout);
  const bool nvfp4 = of.scaling == "nvfp4";
  if (of.scaling != "mxfp8") {
    TensorCase& q = tensor_of(made, "q");
    q.dtype = DType::u8;
    q.shape.back() = width / 2;
  }
  const std::int64_t blocks = width / (nvfp4 ? 16 : 32);
  TensorCase s{.name = "s", .dtype = nvfp4 ? DType::fp8_e4m3 : DType::ue8m0, .shape = {rows, blocks}};
  if (of.sf_layout == "swizzled") {
    s.shape = {(rows + 127) / 128 * 128, (blocks + 3) / 4 * 4};
  }
  made.tensors.push_back(s);
  if (nvfp4) {
    made.tensors.push_back({.name = "global_scale",
                            .dtype = DType::f32,
                            .shape = {1},
                            .bytes = to_bytes(DType::f32, {of.global_scale})});
  }
}

inline OpCase make_case(const QuantNorm& of) {
  const auto [rows, width] = of.shape;
  OpCase made;
  made.op = of.adds ? "norm.fused_add_rms_norm_quant" : "norm.rms_norm_quant";
  made.params = {{"scaling", of.scaling}};
  made.scalars = {{"eps", 1e-6}};
  // Elements differ much in magnitude along a row, so that a scale in the wrong place shows.
  std::vector<double> values = samples(of.shape.count(), 71);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] *= std::exp2(static_cast<double>(i / 16 * 5 % 9) - 4.0);
  }
  made.tensors = {input_rows("x", of.x, of.shape, 71), input_vector("weight", of.weight, width, 72),
                  output_rows("q", of.q, of.shape)};
  made.tensors[0].bytes = to_bytes(of.x, values);
  if (of.adds) {
    made.tensors.push_back(input_rows("residual", of.residual, of.shape, 73));
    made.tensors.push_back(output_rows("residual_out", of.residual, of.shape, "residual"));
  }
  if (of.has_y) {
    made.params.emplace_back("has_y", "true");
    made.tensors.push_back(output_rows("y", of.y, of.shape));
  }
  if (of.scaling == "per_tensor") {
    made.tensors.push_back(
        {.name = "scale", .dtype = DType::f32, .shape = {1}, .bytes = to_bytes(DType::f32, {0.01234})});
  } else if (of.scaling == "per_token") {
    made.tensors.push_back({.name = "s", .dtype = DType::f32, .shape = {rows, 1}});
  } else if (of.scaling != "per_group") {
    add_blocks(made, of);
  } else {
    made.params.insert(
        made.params.end(),
        {{"group", std::to_string(of.group)}, {"scale_layout", of.layout}, {"scale_format", of.format}});
    const bool packed = of.format == "packed_ue8m0";
    const std::int64_t groups = width / of.group;
    const std::int64_t columns = packed ? (groups + 3) / 4 : groups;
    TensorCase s{.name = "s", .dtype = packed ? DType::i32 : DType::f32, .shape = {rows, columns}};
    if (of.layout != "row_major") {
      const std::int64_t stride = of.layout == "column_major" ? rows : (rows + 3) / 4 * 4;
      s.strides = {1, stride};
      s.storage = columns * stride;
      s.owns_padding = packed;
    }
    made.tensors.push_back(s);
  }
  return made;
}

}  // namespace kerncast::test
