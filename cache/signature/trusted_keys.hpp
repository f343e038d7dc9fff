#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/posix/warn_once.hpp"
#include "cache/signature/public_key.hpp"
#include "cache/signature_list.hpp"
#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// The worth of one signature of an entry.
enum class SignatureState : std::uint8_t {
  trusted,   ///< one of the trusted keys has made it
  stranger,  ///< it is sound, and none of the trusted keys has made it
  wrong,     ///< it is not of this key and content
};

/// The public keys, one of which must have signed what comes from outside.
class TrustedKeys {
 public:
  /// No keys: nothing has to be signed.
  TrustedKeys() = default;
  /// Reads `list`: keys as text, or absolute paths of files with one key in each line, separated by commas.
  /// Lines that are empty or begin with '#' are left out. `warn` is told of each part that gives no key. An
  /// empty list demands nothing; one that gives no key demands signatures that nobody can make.
  TrustedKeys(std::string_view list, const WarningSink& warn);

  [[nodiscard]] bool demanded() const { return demanded_; }
  [[nodiscard]] const std::vector<PublicKey>& keys() const { return keys_; }
  /// The reason why `entry`, which came from outside under `key`, is not used. Empty if one of the keys has
  /// signed it, or if no signature is demanded.
  [[nodiscard]] std::string defect_of(const Key& key, const Entry& entry) const;
  /// The reason why `record`, which came from outside, is not used. Empty as above.
  [[nodiscard]] std::string defect_of(const TunedRecord& record) const;
  /// The state of each signature of `entry` under `key`, in order.
  [[nodiscard]] std::vector<SignatureState> states_of(const Key& key, const Entry& entry) const;

 private:
  [[nodiscard]] bool has(const PublicKey& key) const;
  /// The defect of what has `signatures`. `message_of` gives the bytes that they must cover.
  template <class MessageOf>
  [[nodiscard]] std::string defect(const std::vector<Signature>& signatures,
                                   const MessageOf& message_of) const;

  bool demanded_ = false;
  std::vector<PublicKey> keys_;
};

}  // namespace kerncast::cache
