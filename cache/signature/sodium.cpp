#include "cache/signature/sodium.hpp"

#include <sodium.h>

#include "cache/posix/byte_order.hpp"

namespace kerncast::cache::sodium {
namespace {

constexpr int base64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

std::array<char, crypto_generichash_BYTES_MAX> digest_of(const std::string& content) {
  std::array<char, crypto_generichash_BYTES_MAX> digest{};
  ::crypto_generichash(bytes_of(digest.data()), digest.size(), bytes_of(content.data()), content.size(),
                       nullptr, 0);
  return digest;
}

}  // namespace

bool ready() {
  // Negative means failure, 1 that it was ready before.
  return ::sodium_init() >= 0;
}

std::string to_base64(const std::array<char, 32>& bytes) {
  std::string text(sodium_base64_encoded_len(bytes.size(), base64), '\0');
  ::sodium_bin2base64(text.data(), text.size(), bytes_of(bytes.data()), bytes.size(), base64);
  text.pop_back();  // the end of the C string
  return text;
}

template <std::size_t size>
std::optional<std::array<char, size>> from_base64(std::string_view text) {
  std::array<char, size> bytes{};
  std::size_t written = 0;
  const int failed = ::sodium_base642bin(bytes_of(bytes.data()), bytes.size(), text.data(), text.size(),
                                         nullptr, &written, nullptr, base64);
  return failed == 0 && written == size ? std::optional(bytes) : std::nullopt;
}
template std::optional<std::array<char, 32>> from_base64<32>(std::string_view);

std::string signed_message(const Key& key, const Entry& entry) {
  const auto digest = digest_of(content_of(entry));
  Writer message;
  message.text("kerncast entry 1");
  message.integer(key.high);
  message.integer(key.low);
  message.raw({digest.data(), digest.size()});
  return message.take();
}

std::string signed_message(const TunedRecord& record) {
  const auto digest = digest_of(content_of(record));
  Writer message;
  message.text("kerncast tuned record 1");
  message.raw({digest.data(), digest.size()});
  return message.take();
}

}  // namespace kerncast::cache::sodium
