#pragma once

#include "device/formats/convert.cuh"
#include "device/types.cuh"
#include "device/vec.cuh"

/// Rows as messages hold them: lines of 16 bytes, of which the last one of a row ends in zeros.
namespace kerncast::comm {

template <class Config>
using Element = typename Config::x_dtype;

/// Lines of a row.
template <class Config>
inline constexpr int row_lines = (Config::hidden * static_cast<int>(sizeof(Element<Config>)) + 15) / 16;

/// Elements of a line.
template <class Config>
inline constexpr int line_elements = 16 / static_cast<int>(sizeof(Element<Config>));

/// The word with each -0 replaced by 0, so that no word is the mark of an empty one.
template <class T>
__device__ __forceinline__ unsigned without_negative_zeros(unsigned word) {
  if constexpr (sizeof(T) == 4) {
    return word == 0x80000000u ? 0u : word;
  } else {
    const unsigned low = word & 0xffffu;
    const unsigned high = word & 0xffff0000u;
    return (low == 0x8000u ? 0u : low) | (high == 0x80000000u ? 0u : high);
  }
}

template <class T>
__device__ __forceinline__ uint4 without_negative_zeros(const uint4& line) {
  return make_uint4(without_negative_zeros<T>(line.x), without_negative_zeros<T>(line.y),
                    without_negative_zeros<T>(line.z), without_negative_zeros<T>(line.w));
}

/// Line `index` of a row, by accesses of Config::alignment bytes.
template <class Config>
__device__ __forceinline__ uint4 load_line(const Element<Config>* row, int index) {
  constexpr int bytes = Config::alignment;
  const char* from = reinterpret_cast<const char*>(row) + index * 16;
  uint4 line = make_uint4(0, 0, 0, 0);
  if constexpr (bytes == 16) {
    line = *reinterpret_cast<const uint4*>(from);
  } else {
    constexpr int width = Config::hidden * static_cast<int>(sizeof(Element<Config>));
    unsigned words[4] = {0, 0, 0, 0};
#pragma unroll
    for (int i = 0; i < 16; i += bytes) {
      if (index * 16 + i < width) {
        if constexpr (bytes == 8) {
          const uint2 part = *reinterpret_cast<const uint2*>(from + i);
          words[i / 4] = part.x;
          words[i / 4 + 1] = part.y;
        } else if constexpr (bytes == 4) {
          words[i / 4] = *reinterpret_cast<const unsigned*>(from + i);
        } else {
          words[i / 4] |= static_cast<unsigned>(*reinterpret_cast<const unsigned short*>(from + i))
                          << i % 4 * 8;
        }
      }
    }
    line = make_uint4(words[0], words[1], words[2], words[3]);
  }
  return line;
}

/// Stores line `index` of a row.
template <class Config>
__device__ __forceinline__ void store_line(Element<Config>* row, int index, const uint4& line) {
  constexpr int bytes = Config::alignment;
  char* to = reinterpret_cast<char*>(row) + index * 16;
  if constexpr (bytes == 16) {
    *reinterpret_cast<uint4*>(to) = line;
  } else {
    constexpr int width = Config::hidden * static_cast<int>(sizeof(Element<Config>));
    const unsigned words[4] = {line.x, line.y, line.z, line.w};
#pragma unroll
    for (int i = 0; i < 16; i += bytes) {
      if (index * 16 + i < width) {
        if constexpr (bytes == 8) {
          *reinterpret_cast<uint2*>(to + i) = make_uint2(words[i / 4], words[i / 4 + 1]);
        } else if constexpr (bytes == 4) {
          *reinterpret_cast<unsigned*>(to + i) = words[i / 4];
        } else {
          *reinterpret_cast<unsigned short*>(to + i) = static_cast<unsigned short>(words[i / 4] >> i % 4 * 8);
        }
      }
    }
  }
}

}  // namespace kerncast::comm
