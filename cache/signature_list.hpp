#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cache/posix/byte_order.hpp"

namespace kerncast::cache {

/// An Ed25519 signature, and the public key that it belongs to.
struct Signature {
  std::array<char, 32> signer{};
  std::array<char, 64> bytes{};

  [[nodiscard]] bool operator==(const Signature&) const = default;
};

/// Most signatures of one entry or tuned record.
constexpr std::uint32_t max_signatures = 16;

/// Writes `u32 count, { 32 bytes signer, 64 bytes signature }`, little endian.
void write_signatures(Writer& out, const std::vector<Signature>& signatures);
/// Reads what write_signatures writes. False if the bytes end before, or if there are too many.
[[nodiscard]] bool read_signatures(Reader& in, std::vector<Signature>& signatures);

}  // namespace kerncast::cache
