#include "cache/signature/signing_key.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "cache/posix/descriptor.hpp"
#include "cache/posix/trust.hpp"
#include "cache/signature/sodium.hpp"

namespace kerncast::cache {
namespace {

constexpr std::string_view head = "kerncast-signing-key-1 ";

/// A text that is overwritten when it is destroyed.
struct Secret {
  Secret() = default;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { ::sodium_memzero(text.data(), text.size()); }
  std::array<char, 128> text{};
};

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
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (!file.valid() || ::fstat(file.get(), &info) != 0) {
    defect = std::generic_category().message(errno);
    return std::nullopt;
  }
  defect = S_ISREG(info.st_mode) ? reason_not_trusted(info, Trust::mine) : "it is not a regular file";
  if (defect.empty() && (info.st_mode & (S_IRGRP | S_IROTH)) != 0) {
    defect = "others may read it; chmod 600 it";
  }
  Secret secret;
  const ssize_t size = defect.empty() ? ::read(file.get(), secret.text.data(), secret.text.size()) : 0;
  std::string_view text(secret.text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
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
  const std::string message = sodium::signed_message(key, entry);
  Signature signature{public_key(), {}};
  ::crypto_sign_detached(sodium::bytes_of(signature.bytes.data()), nullptr, sodium::bytes_of(message.data()),
                         message.size(), sodium::bytes_of(secret_.data()));
  const auto earlier = std::find_if(entry.signatures.begin(), entry.signatures.end(),
                                    [&](const Signature& other) { return other.signer == signature.signer; });
  if (earlier != entry.signatures.end()) {
    *earlier = signature;
    return true;
  }
  if (entry.signatures.size() == max_signatures) {
    return false;
  }
  entry.signatures.push_back(signature);
  return true;
}

}  // namespace kerncast::cache
