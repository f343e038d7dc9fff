#pragma once

#include <cstddef>
#include <string_view>

/// Sizes of what pack.hpp describes.
namespace kerncast::cache::pack_format {

constexpr std::string_view magic = "KERNPACK";
constexpr std::size_t head_bytes = 8 + 4;
constexpr std::size_t item_bytes = 6 * 8;
constexpr std::size_t tuned_place_bytes = 3 * 8;
constexpr std::size_t footer_bytes = 4 * 8;  ///< without tuned_place

}  // namespace kerncast::cache::pack_format
