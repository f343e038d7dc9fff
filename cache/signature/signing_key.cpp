#include "cache/signature/signing_key.hpp"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <string_view>

#include "cache/posix/secret_file.hpp"
#include "cache/posix/trust.hpp"
#include "cache/signature/sodium.hpp"

namespace kerncast::cache {
namespace {

constexpr std::string_view head = "kerncast-signing-key-1 ";

}  // namespace

SigningKey::SigningKey(const Seed& seed) : seed_(seed) {
  PublicKey unused;
  ::crypto_sign_seed_keypair(sodium::bytes_of(unused.data()), sodium::bytes_of(secret_.data()),
                             sodium::bytes_of(seed_.data()));
}

SigningKey::~SigningKey() {
  ::sodium_memzero(seed_.data(), seed_.size());
  ::sodium_memzero(secret_.data(), secret_.size());
}

std::optional<SigningKey> SigningKey::generate() {
  if (!sodium::ready()) {
    return std::nullopt;
  }
  Seed seed;
  ::randombytes_buf(seed.data(), seed.size());
  return SigningKey(seed);
}

std::optional<SigningKey> SigningKey::read(const std::string& path, std::string& defect) {
  const SecretFile file(path, Trust::mine);
  defect = file.defect();
  std::string_view text = file.text();
  text = text.substr(0, text.find('\n'));
  std::optional<Seed> seed = text.starts_with(head) && sodium::ready()
                                 ? sodium::from_base64<Seed().size()>(text.substr(head.size()))
                                 : std::nullopt;
  if (!seed) {
    defect = defect.empty() ? "it holds no signing key" : defect;
    return std::nullopt;
  }
  SigningKey key(*seed);
  ::sodium_memzero(seed->data(), seed->size());
  return key;
}

std::string SigningKey::file_text() const {
  return fmt::format("{}{}\n", head, sodium::to_base64(seed_));
}

PublicKey SigningKey::public_key() const {
  PublicKey key;
  std::copy(secret_.begin() + seed_.size(), secret_.end(), key.begin());
  return key;
}

bool SigningKey::sign(const Key& key, Entry& entry) const {
  return sign(sodium::signed_message(key, entry), entry.signatures);
}

bool SigningKey::sign(TunedRecord& record) const {
  return sign(sodium::signed_message(record), record.signatures);
}

bool SigningKey::sign(const std::string& message, std::vector<Signature>& signatures) const {
  Signature signature{public_key(), {}};
  ::crypto_sign_detached(sodium::bytes_of(signature.bytes.data()), nullptr, sodium::bytes_of(message.data()),
                         message.size(), sodium::bytes_of(secret_.data()));
  const auto earlier = std::find_if(signatures.begin(), signatures.end(),
                                    [&](const Signature& other) { return other.signer == signature.signer; });
  if (earlier != signatures.end()) {
    *earlier = signature;
    return true;
  }
  if (signatures.size() == max_signatures) {
    return false;
  }
  signatures.push_back(signature);
  return true;
}

}  // namespace kerncast::cache
