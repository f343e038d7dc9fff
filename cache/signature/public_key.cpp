#include "cache/signature/public_key.hpp"

#include "cache/signature/sodium.hpp"

namespace kerncast::cache {
namespace {

constexpr std::string_view prefix = "ed25519:";

}  // namespace

std::string format_public_key(const PublicKey& key) {
  return std::string(prefix) + sodium::to_base64(key);
}

std::optional<PublicKey> parse_public_key(std::string_view text) {
  return text.starts_with(prefix) ? sodium::from_base64<PublicKey().size()>(text.substr(prefix.size()))
                                  : std::nullopt;
}

}  // namespace kerncast::cache
