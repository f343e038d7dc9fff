#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"
#include "cache/posix/warn_once.hpp"
#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// What record() did with records.
struct RecordResult {
  std::uint64_t written = 0;
  std::uint64_t kept = 0;    ///< the same or a newer one was in its place
  std::uint64_t failed = 0;  ///< could not be written: warned of
};

/// The tuned records of a cache directory: which tunables are best for an op, specialisation, architecture
/// and range of rows. Tuning costs hours, so unlike all else in the directory this cannot be made again:
///
///     ROOT/tuning.sqlite        with a write-ahead log; on network file systems with a rollback journal
///     ROOT/tuning.good.sqlite   its last good copy, written and renamed into place after each change
///
///     PRAGMA user_version = 1, application_id = 0x4B430001
///     tuned(op TEXT, spec TEXT, arch TEXT, rows_low INTEGER, rows_high INTEGER, source TEXT, device TEXT,
///           tunables TEXT, time_us REAL, templates TEXT, recorded_us INTEGER, checksum INTEGER,
///           PRIMARY KEY(op, spec, arch, rows_low, rows_high, source, device))
///
/// with the fields of TunedRecord, source as "measured" or "estimate", tunables as "name=value name=value",
/// and the XXH3-64 of them all as checksum. It is checked whole each time it is opened. One that is damaged
/// is moved to quarantine, warned of once, and made anew from its last good copy and from what is sound of
/// itself. A locked or unreadable one is read by its copy; one of a newer build is left alone. There is no
/// older schema than version 1. Nothing throws on the state of the disk, and reading waits for nobody longer
/// than a moment. Thread-safe, and safe among processes: many may record at once.
class TuningStore {
 public:
  /// `root` is the cache directory; empty: no records, and none can be kept. `warn` receives each kind of
  /// warning once. A directory or database that `trust` refuses is neither read nor written.
  TuningStore(std::string root, WarningSink warn, Trust trust = Trust::mine);

  /// Keeps `records`, all or none of those that are sound; each takes the place of an older one of the same
  /// op, specialisation, architecture, rows, source and device.
  RecordResult record(const std::vector<TunedRecord>& records);
  /// Every record, in order.
  [[nodiscard]] std::vector<TunedRecord> list();
  /// Removes the records that `unwanted` names, and says how many; nothing where they cannot be removed.
  std::optional<std::uint64_t> remove(const std::function<bool(const TunedRecord&)>& unwanted);

  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  struct Opened;
  enum class Use : std::uint8_t { read, write };
  [[nodiscard]] Opened open(Use use);
  /// Reads the copy where the database itself cannot be.
  [[nodiscard]] std::vector<TunedRecord> read_copy(const Opened& opened);
  /// Replaces a damaged or missing database; the process lock must be held. Returns what was recovered.
  std::vector<TunedRecord> recover(Opened& opened);
  /// Opens for writing, recovering first where that is needed, and publishes a new copy after `work`, which
  /// gives an answer of SQLite.
  template <class Work>
  bool change(Work&& work);

  std::string root_;
  Trust trust_;
  WarnOnce warnings_;
};

/// The records of a directory that is only read, from its last good copy or, without one, its database.
/// `defect` receives what is wrong with them.
[[nodiscard]] std::vector<TunedRecord> read_tuned(const Folder& root, Trust trust, std::string& defect);

}  // namespace kerncast::cache
