#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/signature/public_key.hpp"
#include "cache/signature_list.hpp"
#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// An Ed25519 key that signs entries and tuned records. Its memory is overwritten when it is destroyed.
///
/// Its file is one line: "kerncast-signing-key-1 ", then the seed as 43 characters of URL-safe base64.
class SigningKey {
 public:
  /// A new key. Empty if the system gives no random numbers.
  [[nodiscard]] static std::optional<SigningKey> generate();
  /// The key in the file at `path`, which must be a SecretFile of this user or root. Empty otherwise, with
  /// the reason in `defect`; no part of the content is in it.
  [[nodiscard]] static std::optional<SigningKey> read(const std::string& path, std::string& defect);
  SigningKey(const SigningKey&) = default;
  SigningKey& operator=(const SigningKey&) = default;
  ~SigningKey();

  /// The content of the key's file.
  [[nodiscard]] std::string file_text() const;
  [[nodiscard]] PublicKey public_key() const;
  /// Adds a signature of `entry` under `key`, in place of an earlier one by this key. False if it has too
  /// many already.
  bool sign(const Key& key, Entry& entry) const;
  /// Adds a signature of `record` in the same way.
  bool sign(TunedRecord& record) const;

 private:
  bool sign(const std::string& message, std::vector<Signature>& signatures) const;

  using Seed = std::array<char, 32>;
  explicit SigningKey(const Seed& seed);

  Seed seed_;
  std::array<char, 64> secret_{};  ///< libsodium's form: seed and public key
};

}  // namespace kerncast::cache
