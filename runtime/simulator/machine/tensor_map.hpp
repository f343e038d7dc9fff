#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

/// The 128 bytes of a tensor map, which are opaque to programs: the driver writes what copies read. Plain
/// data only: this header is compiled into the executors of every x86-64 level.
namespace kerncast::simulator {

inline constexpr std::uint32_t most_tensor_dimensions = 5;

struct alignas(64) TensorMap {
  static constexpr std::uint64_t mark = 0x70616d726f736e74ULL;

  std::uint64_t marked = 0;
  std::uint64_t address = 0;
  std::uint64_t stride[most_tensor_dimensions] = {};  ///< bytes; that of dimension 0 is the element's size
  std::uint32_t last[most_tensor_dimensions] = {};    ///< the largest coordinate
  std::uint16_t box[most_tensor_dimensions] = {};     ///< elements that a copy goes over, by step
  std::uint8_t step[most_tensor_dimensions] = {};
  std::uint8_t rank = 0;
  std::uint8_t element_bytes = 0;
  std::uint8_t span = 0;  ///< chunks of 16 bytes that a swizzle mixes; 1 for none
  std::uint8_t unused[30] = {};

  /// Elements that a copy moves along dimension `i`.
  [[nodiscard]] std::uint32_t count(std::uint32_t i) const {
    return (std::uint32_t{box[i]} + step[i] - 1) / step[i];
  }
};
static_assert(sizeof(TensorMap) == 128);

}  // namespace kerncast::simulator
