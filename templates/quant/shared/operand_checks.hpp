#pragma once

#include <cstdint>
#include <string_view>

#include "kerncast/tensor.hpp"

/// Checks that the ops of this family share. Each throws Error(invalid_argument).
namespace kerncast::quant {

/// Most elements of a row.
inline constexpr std::int64_t max_hidden = 65536;

/// Refuses more than 2^44 elements in rows of `width`: a grid cannot cover them, and no device can hold them.
void require_row_count(std::string_view op, std::string_view tensor, std::int64_t rows, std::int64_t width);

/// Refuses a row width of `tensor` that is not a multiple of `block` from `block` to max_hidden.
void require_block_width(std::string_view op, std::string_view tensor, std::int64_t width,
                         std::int32_t block);

/// Requires a contiguous vector of `elements` of `type` on the device of `other`. Its pointer may be null if
/// the call has no rows. `why` says where the number of elements comes from, if that needs saying.
void require_vector(std::string_view op, std::string_view name, const TensorView& view, DType type,
                    std::int64_t elements, std::string_view other_name, const TensorView& other,
                    std::int64_t rows, std::string_view why = {});

}  // namespace kerncast::quant
