#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

/// Sizes of the parts of a pack; pack.hpp has the grammar.
namespace kerncast::cache::pack_format {

constexpr std::string_view magic = "KERNPACK";
constexpr std::size_t head_bytes = magic.size() + sizeof(std::uint32_t);
constexpr std::size_t place_bytes = 3 * sizeof(std::uint64_t);
constexpr std::size_t item_bytes = 3 * sizeof(std::uint64_t) + place_bytes;
constexpr std::size_t footer_bytes = 4 * sizeof(std::uint64_t);  ///< without the places before it
/// Largest shared part, which a reader keeps in memory.
constexpr std::uint64_t max_shared_bytes = 4ULL << 20;
/// Most entries of a pack, whose table a reader keeps in memory.
constexpr std::uint64_t max_entries = 1ULL << 22;

}  // namespace kerncast::cache::pack_format
