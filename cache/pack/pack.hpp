#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/descriptor.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/layer.hpp"

namespace kerncast::cache {

/// Many entries in one file that can be carried anywhere and read in place. Integers are little endian.
///
///     pack   = magic version { blob } table footer
///     magic  = "KERNPACK"                        8 bytes
///     version = u32                              pack_version
///     blob   = one entry file (see entry.hpp) as one zstd frame
///     table  = { u64 high, u64 low               the key; in ascending order, none twice
///                u64 offset, u64 packed_bytes    the blob; each begins where the one before ends
///                u64 bytes                       of the entry file
///                u64 hash }                      XXH3-64 of the blob
///     footer = u64 table_offset, u64 count,
///              u64 high, u64 low                 XXH3-128 of magic, version, table, table_offset and count
///
/// Nothing else is in the file, so every byte is covered, and the same entries packed by the same zstd are
/// the same bytes.
constexpr std::uint32_t pack_version = 1;

/// Writes a pack piece by piece.
class PackWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  /// `sink` receives the bytes of the file in order; what it throws passes through.
  explicit PackWriter(Sink sink);
  ~PackWriter();
  PackWriter(const PackWriter&) = delete;
  PackWriter& operator=(const PackWriter&) = delete;

  /// Keys must ascend.
  void add(const Key& key, const Entry& entry);
  /// Table and footer. Nothing may be added after it.
  void finish();

 private:
  struct Compressor;
  void write(std::string_view bytes);

  Sink sink_;
  std::unique_ptr<Compressor> compressor_;
  std::string head_;
  std::string table_;
  std::uint64_t offset_ = 0;
  std::uint64_t count_ = 0;
};

/// A pack that is read in place. Whatever happens to the file is an answer, never an error. Thread-safe.
class Pack {
 public:
  /// Null with `defect` where `path` is no sound pack. `trust` is asked about the file.
  [[nodiscard]] static std::unique_ptr<Pack> open(const std::string& path, Trust trust, std::string& defect);

  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] const Key& key(std::size_t index) const { return items_[index].key; }
  /// The entry at `index`, verified.
  [[nodiscard]] LayerAnswer read(std::size_t index) const;
  [[nodiscard]] LayerAnswer find(const Key& key) const;

 private:
  struct Item {
    Key key;
    std::uint64_t offset = 0;
    std::uint64_t packed_bytes = 0;
    std::uint64_t bytes = 0;
    std::uint64_t hash = 0;
  };
  Pack() = default;
  /// Reads the table; the reason where it is unsound.
  [[nodiscard]] std::string read_table(std::uint64_t file_bytes);

  Descriptor file_;
  std::vector<Item> items_;
};

}  // namespace kerncast::cache
