#include "cache/signature/trusted_keys.hpp"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <optional>

#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"
#include "cache/signature/sodium.hpp"
#include "runtime/util/split.hpp"

namespace kerncast::cache {
namespace {

constexpr std::uint64_t most_file_bytes = 1 << 20;

/// Calls `add` with each key in the file at `path`, or `say` with the reason why the file is not used.
template <class Add, class Say>
void read_file_of_keys(const std::string& path, const Add& add, const Say& say) {
  const std::size_t slash = path.rfind('/');
  const FileContent file =
      Folder::open(path.substr(0, slash + 1)).read(path.substr(slash + 1), most_file_bytes);
  const std::string reason = file.state == FileContent::State::read
                                 ? reason_not_trusted(file.info, Trust::mine)
                             : file.state == FileContent::State::absent ? "it does not exist"
                                                                        : file.defect;
  if (!reason.empty()) {
    say(fmt::format("{} is not used: {}", path, reason));
    return;
  }
  std::size_t number = 0;
  for (const std::string& key : non_empty_parts(file.bytes, '\n')) {
    if (!key.starts_with('#')) {
      add(key, fmt::format("key {} of {}", ++number, path));
    }
  }
}

/// True if `signature` is one of `message`.
bool is_of(const Signature& signature, const std::string& message) {
  return ::crypto_sign_verify_detached(sodium::bytes_of(signature.bytes.data()),
                                       sodium::bytes_of(message.data()), message.size(),
                                       sodium::bytes_of(signature.signer.data())) == 0;
}

}  // namespace

TrustedKeys::TrustedKeys(std::string_view list, const WarningSink& warn) : demanded_(!list.empty()) {
  const auto say = [&](const std::string& text) {
    if (warn) {
      warn("KERNCAST_TRUSTED_KEYS: " + text);
    }
  };
  const auto add = [&](std::string_view text, const std::string& place) {
    if (const std::optional<PublicKey> key = parse_public_key(text)) {
      keys_.push_back(*key);
    } else {
      say(fmt::format("{} is no public key, such as `kerncast key show` prints", place));
    }
  };
  for (const std::string& part : non_empty_parts(list, ',')) {
    if (part.starts_with('/')) {
      read_file_of_keys(part, add, say);
    } else {
      add(part, fmt::format("'{}'", part));
    }
  }
}

bool TrustedKeys::has(const PublicKey& key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

std::vector<SignatureState> TrustedKeys::states_of(const Key& key, const Entry& entry) const {
  std::vector<SignatureState> states;
  states.reserve(entry.signatures.size());
  const std::string message =
      !entry.signatures.empty() && sodium::ready() ? sodium::signed_message(key, entry) : std::string();
  for (const Signature& signature : entry.signatures) {
    states.push_back(message.empty() || !is_of(signature, message) ? SignatureState::wrong
                     : has(signature.signer)                       ? SignatureState::trusted
                                                                   : SignatureState::stranger);
  }
  return states;
}

template <class MessageOf>
std::string TrustedKeys::defect(const std::vector<Signature>& signatures, const MessageOf& message_of) const {
  if (!demanded_) {
    return {};
  }
  std::string message;
  bool by_trusted = false;
  for (const Signature& signature : signatures) {
    if (!has(signature.signer) || !sodium::ready()) {
      continue;
    }
    by_trusted = true;
    message = message.empty() ? message_of() : message;
    if (is_of(signature, message)) {
      return {};
    }
  }
  if (signatures.empty()) {
    return "it is not signed, and KERNCAST_TRUSTED_KEYS demands it";
  }
  return by_trusted ? "its signature is not of this content"
                    : "no key of KERNCAST_TRUSTED_KEYS has signed it";
}

std::string TrustedKeys::defect_of(const Key& key, const Entry& entry) const {
  return defect(entry.signatures, [&] { return sodium::signed_message(key, entry); });
}

std::string TrustedKeys::defect_of(const TunedRecord& record) const {
  return defect(record.signatures, [&] { return sodium::signed_message(record); });
}

}  // namespace kerncast::cache
