#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

/// A custom mutator's work: an empty input becomes `sample`, others are mutated as libFuzzer does.
inline std::size_t mutate_from(std::string_view sample, std::uint8_t* data, std::size_t size,
                               std::size_t most) {
  if (size < 2) {
    const std::size_t bytes = std::min(most, sample.size());
    std::memcpy(data, sample.data(), bytes);
    return bytes;
  }
  return LLVMFuzzerMutate(data, size, most);
}
