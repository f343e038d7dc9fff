#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cache/directory/store.hpp"
#include "cache/key.hpp"
#include "cache/pack/pack.hpp"
#include "cache/tuning/tuning_store.hpp"

namespace kerncast::cache {

/// Result of export_pack().
struct ExportResult {
  std::uint64_t entries = 0;
  std::uint64_t damaged = 0;  ///< files that are not sound entries and were left out
};

/// Changes an entry before it is written, as by a signature.
using Finish = std::function<void(const Key&, Entry&)>;

/// Writes a pack with the entries of `store` for which `wanted` is true, after `finish`, and the records
/// `tuned`, which must be in order. What the functions throw passes through.
[[nodiscard]] ExportResult export_pack(const Store& store, const std::function<bool(const Entry&)>& wanted,
                                       const PackWriter::Sink& sink,
                                       const std::vector<TunedRecord>& tuned = {},
                                       const Finish& finish = nullptr);

/// Content of a pack, verified entry by entry.
struct PackCheck {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  ///< cubin and PTX
  std::uint64_t tuned = 0;  ///< tuned records
  std::string defect;       ///< what is wrong with the pack; empty if it is sound
};
[[nodiscard]] PackCheck verify_pack(const std::string& path);

/// Outcome of an import for one entry of a pack.
enum class ImportFate : std::uint8_t {
  imported,  ///< the store has nothing in its place
  present,   ///< the store has a sound one
  replaced,  ///< what the store has in its place is unsound
  refused,   ///< it would be imported, but the pack does not fit
};

struct ImportedEntry {
  Key key;
  std::string op;
  std::string spec;
  std::string arch;
  std::uint64_t bytes = 0;  ///< size of the entry file
  ImportFate fate = ImportFate::imported;
};

/// Result of import_pack().
struct ImportResult {
  std::uint64_t published = 0;
  std::uint64_t already = 0;   ///< the store had a sound one before
  std::uint64_t replaced = 0;  ///< published in place of something unsound; also counted as published
  std::uint64_t failed = 0;    ///< could not be written
  RecordResult tuned;          ///< result for the tuned records
  std::string defect;          ///< what is wrong with the pack; then nothing was published
  std::string refusal;         ///< why the pack does not fit into the budget; then nothing was published
  bool stopped = false;        ///< asked to stop before the end; what was published stays
  std::vector<ImportedEntry> entries;
};

enum class ImportMode : std::uint8_t { write, dry_run };

/// Conditions that everything in a sound pack has to meet before anything of it is imported.
struct ImportDemand {
  /// The reason why an entry is not taken; empty if it is. Null: every intact entry is taken.
  std::function<std::string(const Key&, const Entry&)> disproof;
  /// The reason why a tuned record is not taken; empty if it is. Null: every sound record is taken.
  std::function<std::string(const TunedRecord&)> tuned_defect;
  /// Asked before each entry; true ends the import there. Null: it is not stopped.
  std::function<bool()> stopped = nullptr;
};

/// Verifies the whole pack against `demand` and that it fits into the budget of `store`, by the sizes that it
/// promises. Then makes room, publishes the entries that `store` lacks, and stores the tuned records that
/// `tuning` lacks or has older. An estimate never replaces a measurement, since they have different places. A
/// dry run writes nothing, and its result says what would be done.
[[nodiscard]] ImportResult import_pack(const std::string& path, Store& store, TuningStore& tuning,
                                       ImportMode mode = ImportMode::write, const ImportDemand& demand = {});

}  // namespace kerncast::cache
