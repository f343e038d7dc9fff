#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace kerncast::cache {

/// An Ed25519 public key. As text it is "ed25519:" and 43 characters of URL-safe base64 without padding.
using PublicKey = std::array<char, 32>;

[[nodiscard]] std::string format_public_key(const PublicKey& key);
/// The key that `text` spells. Empty if it spells none.
[[nodiscard]] std::optional<PublicKey> parse_public_key(std::string_view text);

}  // namespace kerncast::cache
