#include "cache/entry.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <tuple>
#include <utility>

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

/// Reads what follows the content in an entry file of `version`. Returns the defect if it is unsound.
std::string read_rest(Reader& body, std::uint32_t version, Entry& entry) {
  if (version != entry_version && !read_signatures(body, entry.signatures)) {
    return "malformed signatures";
  }
  if (version == signed_entry_version && entry.signatures.empty()) {
    return "malformed signatures";
  }
  if (version == dated_entry_version && !read_provenance(body, entry.provenance.emplace())) {
    return "malformed provenance";
  }
  return {};
}

}  // namespace

bool Entry::operator==(const Entry& other) const {
  const auto fields = [](const Entry& entry) {
    return std::tie(entry.op, entry.spec, entry.arch, entry.lowered_name, entry.cubin, entry.ptx,
                    entry.resources, entry.key_fields, entry.signatures);
  };
  return fields(*this) == fields(other);
}

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
  return serialise(key, entry, entry.provenance);
}

std::string serialise(const Key& key, const Entry& entry, const std::optional<Provenance>& provenance) {
  std::string body = content_of(entry);
  Writer rest;
  if (provenance || !entry.signatures.empty()) {
    write_signatures(rest, entry.signatures);
  }
  if (provenance) {
    write_provenance(rest, *provenance);
  }
  body += rest.bytes();
  Writer file;
  file.raw(entry_magic);
  file.integer(provenance                 ? dated_entry_version
               : entry.signatures.empty() ? entry_version
                                          : signed_entry_version);
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
  if (version < entry_version || version > dated_entry_version) {
    ParsedEntry other = defect(fmt::format("entry version {}, this build reads {} to {}", version,
                                           entry_version, dated_entry_version));
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
  if (std::string unsound = read_rest(body, version, entry); !unsound.empty()) {
    return defect(std::move(unsound));
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
