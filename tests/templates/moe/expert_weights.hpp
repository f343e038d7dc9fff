#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kerncast/dtype.hpp"

namespace kerncast::test {

/// The form of the matrices of a layer's experts: bf16 or f16, or one of those with scales.
enum class WeightForm { plain, fp8_rows, fp8_blocks, int8, mxfp4, int4 };

/// The matrices [experts, n, k] of a layer, as the device's memory holds them, and their scales.
struct ExpertWeights {
  DType type = DType::bf16;
  std::vector<std::int64_t> dims;
  std::vector<std::byte> bytes;
  DType scale_type = DType::f32;
  std::vector<std::int64_t> scale_dims;  ///< empty: no scales
  std::vector<std::byte> scales;
  std::vector<double> values;  ///< [experts, n, k], the scales applied
};

/// Matrices whose elements deviate from 0 by about `spread`. Those of the form plain are of `plain_type`.
[[nodiscard]] ExpertWeights expert_weights(WeightForm form, DType plain_type, std::int64_t experts,
                                           std::int64_t n, std::int64_t k, double spread, std::uint64_t seed);

/// The values of type `type` that `bytes` holds.
[[nodiscard]] std::vector<double> decoded(DType type, const std::vector<std::byte>& bytes);

}  // namespace kerncast::test
