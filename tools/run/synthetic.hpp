#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"

/// Data for runs without a model's tensors. It is the same on every machine and distributed like real
/// tensors.
namespace kerncast::tools {

/// The bits of the value of `type` that is nearest to `value` (ties to even, saturating). `type` must be a
/// floating-point type of 8 or 16 bits.
[[nodiscard]] std::uint16_t encode_float(double value, DType type);

/// The seed of the tensor `tensor` in the run that `run` identifies.
[[nodiscard]] std::uint64_t seed_of(std::string_view run, std::string_view tensor);

/// Draws `elements` values of `type`, according to the tensor's name: weights near 1, biases near 0, router
/// logits around 0 with standard deviation 2, positive scales, else activations (normal with rare large
/// outliers). i32 and i64 values are from 0 to `integers_below` - 1; those of the i32 tensor "sorted" are its
/// places in another order, and those of "total" are `integers_below` - 1.
[[nodiscard]] std::vector<std::byte> synthetic_data(std::string_view tensor, DType type,
                                                    std::int64_t elements, std::uint64_t seed,
                                                    std::int64_t integers_below = 8);

}  // namespace kerncast::tools
