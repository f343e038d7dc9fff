#pragma once

#include <zstd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// Fat binaries as nvcc writes them, made by hand.
namespace kerncast::tests {

struct FatEntry {
  std::uint16_t kind = 1;  ///< 1: PTX, 2: device binary
  std::uint32_t sm = 75;
  std::string payload;
  std::uint64_t flags = 0x11;
  std::uint64_t unpacked_size = 0;
};

template <class Number>
void append(std::string& to, Number number) {
  to.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

/// A container of entries, each padded to eight bytes.
inline std::string fat_binary(const std::vector<FatEntry>& entries) {
  std::string body;
  for (const FatEntry& entry : entries) {
    std::string padded = entry.payload;
    padded.resize((padded.size() + 8) / 8 * 8, '\0');
    append<std::uint16_t>(body, entry.kind);
    append<std::uint16_t>(body, 0x101);
    append<std::uint32_t>(body, 64);
    append<std::uint64_t>(body, padded.size());
    append<std::uint32_t>(body,
                          static_cast<std::uint32_t>(entry.unpacked_size != 0 ? entry.payload.size() : 0));
    append<std::uint64_t>(body, 0);
    append<std::uint32_t>(body, entry.sm);
    append<std::uint64_t>(body, 0);
    append<std::uint64_t>(body, entry.flags);
    append<std::uint64_t>(body, 0);
    append<std::uint64_t>(body, entry.unpacked_size);
    body += padded;
  }
  std::string made;
  append<std::uint32_t>(made, 0xba55ed50);
  append<std::uint16_t>(made, 1);
  append<std::uint16_t>(made, 16);
  append<std::uint64_t>(made, body.size());
  return made + body;
}

inline FatEntry zstd_entry(std::string_view ptx, std::uint32_t sm = 75) {
  std::string packed(ZSTD_compressBound(ptx.size()), '\0');
  const std::size_t size = ZSTD_compress(packed.data(), packed.size(), ptx.data(), ptx.size(), 3);
  if (ZSTD_isError(size) != 0) {
    throw std::runtime_error("the text cannot be compressed");
  }
  packed.resize(size);
  return {1, sm, packed, 0x8011, ptx.size()};
}

inline void append_lz4_length(std::string& to, std::size_t rest) {
  for (; rest >= 255; rest -= 255) {
    to += '\xff';
  }
  to += static_cast<char>(rest);
}

/// `ptx` and a comment of 1,000 equal letters behind it, as one LZ4 block: the letters are a match that
/// overlaps itself.
inline FatEntry lz4_entry(std::string_view ptx, std::uint32_t sm = 75) {
  const std::string literals = std::string(ptx) + "\n//x";
  constexpr std::size_t repeated = 1000;
  std::string packed = "\xff";  // long literals, long match
  append_lz4_length(packed, literals.size() - 15);
  packed += literals;
  append<std::uint16_t>(packed, 1);
  append_lz4_length(packed, repeated - 4 - 15);
  packed += "\x50//end";
  return {1, sm, packed, 0x2011, literals.size() + repeated + 5};
}

}  // namespace kerncast::tests
