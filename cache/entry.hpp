#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/key.hpp"
#include "cache/provenance.hpp"
#include "cache/signature_list.hpp"

namespace kerncast::cache {

/// A compiled kernel, kept as one file. Integers are little endian.
///
///     file      = magic version key body_size body checksum
///     magic     = "KERNCAST"                      8 bytes
///     version   = u32                             entry_version, or one of the two below it
///     key       = u64 high, u64 low               the key the file was published under
///     body_size = u64                             bytes of body
///     body      = content                         in version entry_version
///               | content signatures              in version signed_entry_version: at least one signature
///               | content signatures provenance   in version dated_entry_version
///     content   = text op, text spec, text arch, text lowered_name, text cubin, text ptx,
///                 u32 count, { text name, i64 value } resources,
///                 u32 count, { text label, text value } key fields
///     signatures = u32 count, { 32 bytes signer, 64 bytes signature }
///     provenance = text build, i64 compiled, text host, u8 source, text from, i64 copied
///     text      = u64 length, bytes
///     checksum  = u64 high, u64 low               XXH3-128 of every byte before it
///
/// Magic, version and checksum have this place and meaning in every version.
struct Entry {
  std::string op;
  std::string spec;
  std::string arch;
  std::string lowered_name;  ///< names of the entry points in PTX and cubin, one per line, in order of launch
  std::string cubin;
  std::string ptx;
  std::vector<std::pair<std::string, std::int64_t>> resources;
  std::vector<std::pair<std::string, std::string>> key_fields;
  std::vector<Signature> signatures;     ///< at most max_signatures
  std::optional<Provenance> provenance;  ///< the history of this copy, if it is known

  /// Two copies of an entry are equal whatever their provenance.
  [[nodiscard]] bool operator==(const Entry& other) const;
};

constexpr std::uint32_t entry_version = 1;
/// Version of an entry with signatures. A build that reads version 1 alone leaves such entries alone.
constexpr std::uint32_t signed_entry_version = 2;
/// Version of an entry with a provenance. A build that reads versions 1 and 2 leaves such entries alone.
constexpr std::uint32_t dated_entry_version = 3;

/// Largest entry file that is written or read. It is far above the size of any kernel's binaries.
constexpr std::uint64_t max_entry_bytes = 256ULL << 20;

/// The file of `entry`, in the oldest version that can hold it.
[[nodiscard]] std::string serialise(const Key& key, const Entry& entry);
/// The file of `entry` with `provenance` in the place of its own.
[[nodiscard]] std::string serialise(const Key& key, const Entry& entry,
                                    const std::optional<Provenance>& provenance);
/// The content of the file of `entry`: all of it but key, signatures and provenance.
[[nodiscard]] std::string content_of(const Entry& entry);

/// Result of parse(): the entry, or the reason why the bytes are not one.
struct ParsedEntry {
  std::optional<Entry> entry;
  std::string defect;
  /// True if the file is intact but has a version that this build does not read.
  bool other_version = false;
};
/// Reads the entry file `bytes`, which must be the entry of `key`. Verifies checksum, length, key and
/// grammar.
[[nodiscard]] ParsedEntry parse(const Key& key, std::string_view bytes);

/// The key that the header of an entry file states. Empty if `bytes` is no entry file. Nothing else is
/// verified; this is for tools that are given a file without knowing its key.
[[nodiscard]] std::optional<Key> claimed_key(std::string_view bytes);

}  // namespace kerncast::cache
