#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/tuning/tuned_record.hpp"

/// The parts of libsodium that signatures need.
namespace kerncast::cache::sodium {

/// Makes libsodium ready. False if it cannot be, for want of random numbers. Thread-safe.
[[nodiscard]] bool ready();

/// The bytes at `data` as libsodium takes them.
[[nodiscard]] inline unsigned char* bytes_of(char* data) {
  return reinterpret_cast<unsigned char*>(data);
}
[[nodiscard]] inline const unsigned char* bytes_of(const char* data) {
  return reinterpret_cast<const unsigned char*>(data);
}

[[nodiscard]] std::string to_base64(const std::array<char, 32>& bytes);
/// The `size` bytes that `text`, URL-safe base64 without padding, spells.
template <std::size_t size>
[[nodiscard]] std::optional<std::array<char, size>> from_base64(std::string_view text);

/// The bytes that a signature of `entry` under `key` covers: a label that no other use of a key has, the key
/// of the entry, and BLAKE2b-512 of its content.
[[nodiscard]] std::string signed_message(const Key& key, const Entry& entry);
/// The bytes that a signature of `record` covers: a label of its own, and BLAKE2b-512 of its content.
[[nodiscard]] std::string signed_message(const TunedRecord& record);

}  // namespace kerncast::cache::sodium
