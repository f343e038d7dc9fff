#include "cache/signature/trusted_keys.hpp"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <optional>

#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"
#include "cache/signature/sodium.hpp"

namespace kerncast::cache {
namespace {

constexpr std::uint64_t most_file_bytes = 1 << 20;

/// Calls `take` with each part of `text` between separators.
template <class Take>
void for_each_part(std::string_view text, char separator, Take&& take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) {
      take(text.substr(0, end));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
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
  for_each_part(list, ',', [&](std::string_view part) {
    if (!part.starts_with('/')) {
      add(part, fmt::format("'{}'", part));
      return;
    }
    const std::size_t slash = part.rfind('/');
    const FileContent file =
        Folder::open(std::string(part.substr(0, slash + 1))).read(part.substr(slash + 1), most_file_bytes);
    const std::string reason = file.state == FileContent::State::read
                                   ? reason_not_trusted(file.info, Trust::mine)
                               : file.state == FileContent::State::absent ? "it does not exist"
                                                                          : file.defect;
    if (!reason.empty()) {
      say(fmt::format("{} is not used: {}", part, reason));
      return;
    }
    std::size_t number = 0;
    for_each_part(file.bytes, '\n', [&](std::string_view key) {
      if (!key.starts_with('#')) {
        add(key, fmt::format("key {} of {}", ++number, part));
      }
    });
  });
}

std::string TrustedKeys::defect_of(const Key& key, const Entry& entry) const {
  if (!demanded_) {
    return {};
  }
  std::string message;
  bool by_trusted = false;
  for (const Signature& signature : entry.signatures) {
    if (std::find(keys_.begin(), keys_.end(), signature.signer) == keys_.end() || !sodium::ready()) {
      continue;
    }
    by_trusted = true;
    message = message.empty() ? sodium::signed_message(key, entry) : message;
    if (::crypto_sign_verify_detached(sodium::bytes_of(signature.bytes.data()),
                                      sodium::bytes_of(message.data()), message.size(),
                                      sodium::bytes_of(signature.signer.data())) == 0) {
      return {};
    }
  }
  if (entry.signatures.empty()) {
    return "it is not signed, and KERNCAST_TRUSTED_KEYS demands it";
  }
  return by_trusted ? "its signature is not of this content"
                    : "no key of KERNCAST_TRUSTED_KEYS has signed it";
}

}  // namespace kerncast::cache
