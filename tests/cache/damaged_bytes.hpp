#pragma once

#include <xxhash.h>

#include <fstream>
#include <string>

#include "cache/posix/byte_order.hpp"

/// The checksum at the end of entries and packs: XXH3-128 of `covered`, little endian.
inline std::string checksum_of(const std::string& covered) {
  const XXH128_hash_t hash = XXH3_128bits(covered.data(), covered.size());
  kerncast::cache::Writer out;
  out.integer(hash.high64);
  out.integer(hash.low64);
  return out.take();
}

/// Replaces the content of the file at `path`.
inline void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}
