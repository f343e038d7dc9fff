#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/posix/trust.hpp"
#include "cache/read_only_layer.hpp"
#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// Many entries and tuned records in one file that can be carried anywhere and read in place. Integers are
/// little endian.
///
///     pack   = magic version shared { blob } tuned table footer
///     magic  = "KERNPACK"                        8 bytes
///     version = u32                              pack_version
///     shared = what many entries hold, as their source texts, as one zstd frame; the dictionary of all
///     others blob   = one entry file (see entry.hpp) as one zstd frame tuned  = tuned records (see
///     tuned_record.hpp) as one zstd frame table  = { u64 high, u64 low               the key; in ascending
///     order, none twice
///                u64 offset, place }             the blob; each begins where the one before ends
///     footer = place of shared, place of tuned, u64 table_offset, u64 count,
///              u64 high, u64 low                 XXH3-128 of magic, version, table and the footer before
///              this
///     place  = u64 packed_bytes, u64 bytes       of the frame and of what it holds; no bytes, no frame
///              u64 hash                          XXH3-64 of the frame
///
/// Version 1 has neither shared nor tuned, nor their places. Nothing else is in the file, so every byte is
/// covered, and the same contents packed by the same zstd are the same bytes.
constexpr std::uint32_t pack_version = 2;
constexpr std::uint32_t first_pack_version = 1;

/// Writes a pack piece by piece.
class PackWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  /// `sink` receives the bytes of the file in order; what it throws passes through. `shared` is anything that
  /// entries have in common; `tuned` records are in order.
  explicit PackWriter(Sink sink, const std::string& shared = {}, const std::vector<TunedRecord>& tuned = {});
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
  /// Writes `bytes` as a frame, and returns its place.
  [[nodiscard]] std::string write_frame(const std::string& bytes);

  Sink sink_;
  std::unique_ptr<Compressor> compressor_;
  std::string head_;
  std::string shared_place_;
  std::string tuned_;
  std::string table_;
  std::uint64_t offset_ = 0;
  std::uint64_t count_ = 0;
};

/// A pack that is read in place. Whatever happens to the file is an answer, never an error. Thread-safe.
class Pack {
 public:
  /// Null with `defect` where `path` is no sound pack. `trust` is asked about the file.
  [[nodiscard]] static std::unique_ptr<Pack> open(const std::string& path, Trust trust, std::string& defect);
  ~Pack();
  Pack(const Pack&) = delete;
  Pack& operator=(const Pack&) = delete;

  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] const Key& key(std::size_t index) const { return items_[index].key; }
  /// The entry at `index`, verified.
  [[nodiscard]] LayerAnswer read(std::size_t index) const;
  [[nodiscard]] LayerAnswer find(const Key& key) const;
  /// The tuned records, verified; `defect` receives why there are none where they are unsound.
  [[nodiscard]] std::vector<TunedRecord> tuned(std::string& defect) const;

 private:
  /// One zstd frame.
  struct Blob {
    std::uint64_t offset = 0;
    std::uint64_t packed_bytes = 0;
    std::uint64_t bytes = 0;
    std::uint64_t hash = 0;
  };
  struct Item {
    Key key;
    Blob blob;
  };
  class Dictionary;
  Pack();
  /// What the frame holds; empty with `defect` where it is unsound.
  [[nodiscard]] std::string unpack(const Blob& blob, std::string& defect) const;
  [[nodiscard]] std::string unpack(const Blob& blob, Dictionary* dictionary, std::string& defect) const;
  /// Reads the table; the reason where it is unsound.
  [[nodiscard]] std::string read_table(std::uint64_t file_bytes);

  Descriptor file_;
  std::vector<Item> items_;
  Blob shared_;
  Blob tuned_;
  std::unique_ptr<Dictionary> dictionary_;  ///< of shared_, read when first needed
};

}  // namespace kerncast::cache
