#include "cache/entry.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include "cache/posix/byte_order.hpp"

namespace kerncast::cache {
namespace {

constexpr std::string_view entry_magic = "KERNCAST";
// The fixed parts of the grammar in entry.hpp.
constexpr std::size_t version_at = entry_magic.size();
constexpr std::size_t key_at = version_at + sizeof(entry_version);
constexpr std::size_t body_size_at = key_at + sizeof(Key);
constexpr std::size_t header_bytes = body_size_at + sizeof(std::uint64_t);
constexpr std::size_t checksum_bytes = sizeof(XXH128_hash_t);
static_assert(sizeof(Key) == 2 * sizeof(std::uint64_t));

ParsedEntry defect(std::string text) {
  return {std::nullopt, std::move(text), false};
}

/// Reads at least one signature. False if there are none or too many.
bool read_signatures(Reader& body, std::vector<Signature>& signatures) {
  const auto count = body.integer<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && count <= max_signatures && body.ok(); ++i) {
    Signature& signature = signatures.emplace_back();
    body.raw(signature.signer);
    body.raw(signature.bytes);
  }
  return body.ok() && !signatures.empty();
}

}  // namespace

std::string content_of(const Entry& entry) {
  Writer content;
  for (const std::string* text :
       {&entry.op, &entry.spec, &entry.arch, &entry.lowered_name, &entry.cubin, &entry.ptx}) {
    content.text(*text);
  }
  content.integer(static_cast<std::uint32_t>(entry.resources.size()));
  for (const auto& [name, value] : entry.resources) {
    content.text(name);
    content.integer(value);
  }
  content.integer(static_cast<std::uint32_t>(entry.key_fields.size()));
  for (const auto& [label, value] : entry.key_fields) {
    content.text(label);
    content.text(value);
  }
  return content.take();
}

std::string serialise(const Key& key, const Entry& entry) {
  std::string body = content_of(entry);
  if (!entry.signatures.empty()) {
    Writer signatures;
    signatures.integer(static_cast<std::uint32_t>(entry.signatures.size()));
    for (const Signature& signature : entry.signatures) {
      signatures.raw({signature.signer.data(), signature.signer.size()});
      signatures.raw({signature.bytes.data(), signature.bytes.size()});
    }
    body += signatures.take();
  }
  Writer file;
  file.raw(entry_magic);
  file.integer(entry.signatures.empty() ? entry_version : signed_entry_version);
  file.integer(key.high);
  file.integer(key.low);
  file.text(body);
  std::string bytes = file.take();
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  Writer checksum;
  checksum.integer(hash.high64);
  checksum.integer(hash.low64);
  return bytes + checksum.take();
}

ParsedEntry parse(const Key& key, std::string_view bytes) {
  if (bytes.size() < header_bytes + checksum_bytes || !bytes.starts_with(entry_magic)) {
    return defect("not an entry");
  }
  const std::string_view covered = bytes.substr(0, bytes.size() - checksum_bytes);
  const XXH128_hash_t hash = XXH3_128bits(covered.data(), covered.size());
  Reader checksum(bytes.substr(covered.size()));
  const auto checksum_high = checksum.integer<std::uint64_t>();
  const auto checksum_low = checksum.integer<std::uint64_t>();
  if (checksum_high != hash.high64 || checksum_low != hash.low64) {
    return defect("checksum mismatch");
  }
  Reader header(bytes.substr(version_at));
  const auto version = header.integer<std::uint32_t>();
  if (version != entry_version && version != signed_entry_version) {
    ParsedEntry other = defect(fmt::format("entry version {}, this build reads {} and {}", version,
                                           entry_version, signed_entry_version));
    other.other_version = true;
    return other;
  }
  const auto high = header.integer<std::uint64_t>();
  const auto low = header.integer<std::uint64_t>();
  if (Key{high, low} != key) {
    return defect("holds another key");
  }
  if (header.integer<std::uint64_t>() != covered.size() - header_bytes) {
    return defect("wrong length");
  }
  Reader body(covered.substr(header_bytes));
  Entry entry;
  for (std::string* text :
       {&entry.op, &entry.spec, &entry.arch, &entry.lowered_name, &entry.cubin, &entry.ptx}) {
    *text = body.text();
  }
  for (auto left = body.integer<std::uint32_t>(); left > 0 && body.ok(); --left) {
    std::string name = body.text();
    const auto value = body.integer<std::int64_t>();
    entry.resources.emplace_back(std::move(name), value);
  }
  for (auto left = body.integer<std::uint32_t>(); left > 0 && body.ok(); --left) {
    std::string label = body.text();
    std::string value = body.text();
    entry.key_fields.emplace_back(std::move(label), std::move(value));
  }
  if (version == signed_entry_version && !read_signatures(body, entry.signatures)) {
    return defect("malformed signatures");
  }
  if (!body.done()) {
    return defect("malformed body");
  }
  return {std::move(entry), {}, false};
}

std::optional<Key> claimed_key(std::string_view bytes) {
  if (bytes.size() < header_bytes || !bytes.starts_with(entry_magic)) {
    return std::nullopt;
  }
  Reader header(bytes.substr(key_at));
  const auto high = header.integer<std::uint64_t>();
  const auto low = header.integer<std::uint64_t>();
  return Key{high, low};
}

}  // namespace kerncast::cache
