#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kerncast/op.hpp"

/// Data for runs without a model's tensors: the same bytes on every machine, drawn as such tensors are in
/// practice.
namespace kerncast::tools {

/// The nearest value of `type` (ties to even, saturating), as its bits; floating-point types of 8 and 16 bits
/// only.
[[nodiscard]] std::uint16_t encode_float(double value, DType type);

/// Seed of the tensor called `tensor` in a run identified by `run`.
[[nodiscard]] std::uint64_t seed_of(std::string_view run, std::string_view tensor);

/// `elements` values of `type`: weights near 1, biases near 0, router logits around 0 with deviation 2,
/// positive scales, i32 and i64 from 0 up to `integers_below`, exclusive (at least 1), and for everything
/// else activations: normal with rare large outliers.
[[nodiscard]] std::vector<std::byte> synthetic_data(std::string_view tensor, DType type,
                                                    std::int64_t elements, std::uint64_t seed,
                                                    std::int64_t integers_below = 8);

}  // namespace kerncast::tools
