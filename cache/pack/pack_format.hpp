#pragma once

#include <cstddef>
#include <string_view>

/// Sizes of what pack.hpp describes.
namespace kerncast::cache::pack_format {

constexpr std::string_view magic = "KERNPACK";
constexpr std::size_t head_bytes = 8 + 4;
constexpr std::size_t place_bytes = 3 * 8;
constexpr std::size_t item_bytes = 3 * 8 + place_bytes;
constexpr std::size_t footer_bytes = 4 * 8;  ///< without the places before it
/// The most that may be shared: what a reader keeps in memory.
constexpr std::uint64_t max_shared_bytes = 4ULL << 20;

}  // namespace kerncast::cache::pack_format
