#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache/event_log.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"
#include "cache/posix/warn_once.hpp"
#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// Result of TuningStore::record().
struct RecordResult {
  std::uint64_t written = 0;
  std::uint64_t kept = 0;    ///< not written, since their places have the same or newer ones
  std::uint64_t failed = 0;  ///< could not be written; there was a warning
};

/// Changes a record before it is stored, as by a signature.
using FinishRecord = std::function<void(TunedRecord&)>;

/// State of a tuning store. It is sound if both texts are empty.
struct TuningCheck {
  std::uint64_t records = 0;
  std::string defect;       ///< of the database
  std::string copy_defect;  ///< of its last good copy

  [[nodiscard]] bool sound() const { return defect.empty() && copy_defect.empty(); }
};

/// The tuned records of a cache directory: which tunables are best for an op, specialisation, architecture
/// and range of rows. Tuning takes hours, so these records are protected more than anything else in the
/// directory:
///
///     ROOT/tuning.sqlite        with a write-ahead log; on network file systems with a rollback journal
///     ROOT/tuning.good.sqlite   its last good copy, written and renamed into place after each change
///
///     PRAGMA user_version = 3, application_id = 0x4B430003
///     tuned(op TEXT, spec TEXT, arch TEXT, rows_low INTEGER, rows_high INTEGER, source TEXT, device TEXT,
///           tunables TEXT, time_us REAL, templates TEXT, recorded_us INTEGER, checksum INTEGER,
///           low_us REAL, high_us REAL, default_us REAL, trials INTEGER, policy TEXT, data TEXT,
///           compiler TEXT, driver TEXT, tool TEXT, signatures BLOB,
///           PRIMARY KEY(op, spec, arch, rows_low, rows_high, source, device))
///
/// The columns are the fields of TunedRecord: source is "measured" or "estimate", tunables are "name=value
/// name=value", checksum is checksum_of(), and signatures are as signature_list.hpp writes them, or empty. A
/// database without a record that has details has version 2, which lacks their columns, and one without a
/// signed record has version 1, which lacks the signatures too. The database is checked completely each time
/// it is opened. A damaged one is moved to quarantine, with one warning, and rebuilt from its last good copy
/// and from its sound records. If the database is locked or unreadable, the copy is read. A database of a
/// newer build is left alone. No operation throws because of the state of the disk, and reading waits only a
/// moment for other processes. Thread-safe; many processes may record at once.
class TuningStore {
 public:
  /// `root` is the cache directory; if it is empty, there are no records and none can be stored. `warn`
  /// receives each kind of warning once. A directory or database that `trust` refuses is neither read nor
  /// written. `finish` is called with each record that is stored.
  TuningStore(std::string root, WarningSink warn, Trust trust = Trust::mine, FinishRecord finish = nullptr);

  /// Stores the sound ones of `records`, all or none. Each replaces an older record of the same op,
  /// specialisation, architecture, rows, source and device. A time of recording that cannot be right is
  /// stored as 0, and the signatures, which cover it, are dropped then.
  RecordResult record(const std::vector<TunedRecord>& records);
  /// Every record, in order. Warns if there may be some that cannot be read.
  [[nodiscard]] std::vector<TunedRecord> list();
  /// Every record, in order. If there may be some, and neither the database nor its last good copy can be
  /// used, `defect` receives the reason and what to do about it, and nothing is warned of.
  [[nodiscard]] std::vector<TunedRecord> list(std::string& defect);
  /// Removes the records for which `unwanted` is true and returns their number. Empty if they cannot be
  /// removed.
  std::optional<std::uint64_t> remove(const std::function<bool(const TunedRecord&)>& unwanted);

  /// Checks the database and its copy, without recovering anything. A store of a newer build is sound.
  [[nodiscard]] TuningCheck check();
  /// Restores the database and its copy from what is sound of both. False, with one warning, if that fails.
  bool repair();

  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  struct Opened;
  enum class Use : std::uint8_t { read, write };
  [[nodiscard]] Opened open(Use use);
  /// Reads the copy because the database itself cannot be read. Without a copy `defect` receives why.
  [[nodiscard]] std::vector<TunedRecord> read_copy(const Opened& opened, std::string& defect);
  /// Replaces a damaged or missing database and returns the recovered records. A damaged one stays if its
  /// copy is of a newer build or unreadable at present; `defect` receives why. The process lock must be held.
  std::vector<TunedRecord> recover(Opened& opened, std::string& defect);
  /// Opens the database for writing, after recovering it if necessary, runs `work`, which returns a result
  /// code of SQLite, and publishes a new copy.
  template <class Work>
  bool change(Work&& work);
  void log(const Folder& root, EventKind kind, const std::string& reason, std::uint64_t records) const;

  std::string root_;
  Trust trust_;
  FinishRecord finish_;
  WarnOnce warnings_;
};

/// The records of a directory that is only read: from the last good copy or, if there is none, from the
/// database. If they cannot be used, `defect` receives the reason.
[[nodiscard]] std::vector<TunedRecord> read_tuned(const Folder& root, const Trust& trust,
                                                  std::string& defect);

}  // namespace kerncast::cache
