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

/// A file with many entries and tuned records that can be copied anywhere and is read in place. Integers are
/// little endian.
///
///     pack   = magic version shared { blob } tuned table footer
///     magic  = "KERNPACK"                        8 bytes
///     version = u32                              see pack_version
///     shared = one zstd frame                    text that entries share: the dictionary of the other frames
///     blob   = one zstd frame                    an entry file without a provenance; see entry.hpp
///     tuned  = one zstd frame                    tuned records in the form of the version; see
///                                                tuned_record.hpp
///     table  = { u64 high, u64 low               the key, in ascending order, each once
///                u64 offset, place }             the blob, which begins where the previous one ends
///     footer = place of shared, place of tuned, u64 table_offset, u64 count,
///              u64 high, u64 low                 XXH3-128 of magic, version, table and the footer up to here
///     place  = u64 packed_bytes, u64 bytes       size of the frame and of its content; 0 and 0 without one
///              u64 hash                          XXH3-64 of the frame
///
/// A pack is written in the first version from unsigned_pack_version on whose form of records can hold its
/// own. Version 1 has no shared and tuned frames and not their places. The file contains
/// nothing else, so every byte is verified, and the same contents packed by the same version of zstd give the
/// same bytes.
constexpr std::uint32_t pack_version = 4;           ///< RecordForm::with_details
constexpr std::uint32_t signed_pack_version = 3;    ///< RecordForm::with_signed
constexpr std::uint32_t unsigned_pack_version = 2;  ///< RecordForm::plain
constexpr std::uint32_t first_pack_version = 1;

/// Writes a pack piece by piece.
class PackWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  /// `sink` receives the bytes of the file in order; its exceptions pass through. `shared` is text that
  /// entries have in common. The records `tuned` must be in order.
  explicit PackWriter(Sink sink, const std::string& shared = {}, const std::vector<TunedRecord>& tuned = {});
  ~PackWriter();
  PackWriter(const PackWriter&) = delete;
  PackWriter& operator=(const PackWriter&) = delete;

  /// Adds an entry, without its provenance: equal entries give equal bytes whenever they were compiled. Keys
  /// must ascend.
  void add(const Key& key, const Entry& entry);
  /// Writes table and footer. Nothing may be added afterwards.
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

/// A pack that is read in place. Damage to the file is reported as a defect and never throws. Thread-safe.
class Pack {
 public:
  /// Opens a pack. Null, with the reason in `defect`, if `path` is not a sound pack or `trust` refuses the
  /// file.
  [[nodiscard]] static std::unique_ptr<Pack> open(const std::string& path, const Trust& trust,
                                                  std::string& defect);
  ~Pack();
  Pack(const Pack&) = delete;
  Pack& operator=(const Pack&) = delete;

  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] const Key& key(std::size_t index) const { return items_[index].key; }
  /// The size of the entry file at `index`, as the table promises it. read() yields that many bytes or a
  /// defect.
  [[nodiscard]] std::uint64_t bytes(std::size_t index) const { return items_[index].blob.bytes; }
  /// The entry at `index`, verified.
  [[nodiscard]] LayerAnswer read(std::size_t index) const;
  [[nodiscard]] LayerAnswer find(const Key& key) const;
  /// The tuned records, verified. If they are unsound, the result is empty and `defect` receives the reason.
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
  /// False if compressing so few bytes never gives a frame so large. Its size could be that of a sparse file.
  [[nodiscard]] static bool is_compressed(const Blob& blob);
  /// The content of a frame. Empty, with the reason in `defect`, if it is unsound.
  [[nodiscard]] std::string unpack(const Blob& blob, std::string& defect) const;
  [[nodiscard]] std::string unpack(const Blob& blob, Dictionary* dictionary, std::string& defect) const;
  /// Reads the table. Returns the defect if it is unsound.
  [[nodiscard]] std::string read_table(std::uint64_t file_bytes);

  Descriptor file_;
  std::vector<Item> items_;
  Blob shared_;
  Blob tuned_;
  RecordForm tuned_form_ = RecordForm::plain;
  std::unique_ptr<Dictionary> dictionary_;  ///< made from shared_ at first use
};

}  // namespace kerncast::cache
