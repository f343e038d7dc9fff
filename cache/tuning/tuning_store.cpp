#include "cache/tuning/tuning_store.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "cache/key.hpp"
#include "cache/layout.hpp"
#include "cache/posix/file_system.hpp"
#include "cache/posix/signal_guard.hpp"
#include "cache/process_lock.hpp"
#include "cache/quarantine.hpp"
#include "cache/tuning/tuning_database.hpp"
#include "cache/tuning/unusable_reason.hpp"

namespace kerncast::cache {
namespace {

using tuning_database::Condition;
using tuning_database::Content;

// Reading delays a launch, so it waits little. A tool that records can wait for other tools.
constexpr int read_timeout_ms = 100;
constexpr int recover_timeout_ms = 500;
constexpr int write_timeout_ms = 30'000;
// The holder of the process lock waits for readers only, and they are quick.
constexpr int alone_timeout_ms = 1000;

// Far above the size of any real store.
constexpr std::uint64_t most_copy_bytes = 256ULL << 20;

/// Key of the lock that a writing process holds.
Key lock_key() {
  KeyFields fields;
  fields.add("lock", std::string(layout::tuning));
  return fields.key();
}

/// The records of both lists. If both have one in the same place, the newer is taken.
std::vector<TunedRecord> merged(std::vector<TunedRecord> a, const std::vector<TunedRecord>& b) {
  for (const TunedRecord& record : b) {
    const auto found = std::lower_bound(a.begin(), a.end(), record, in_order);
    if (found == a.end() || !same_place(*found, record)) {
      a.insert(found, record);
    } else if (dated_us(record) > dated_us(*found)) {
      *found = record;
    }
  }
  return a;
}

Content read_copy_in(const Folder& root, const Trust& trust) {
  const FileContent content = root.read(layout::tuning_copy, most_copy_bytes);
  Content out;
  switch (content.state) {
    case FileContent::State::absent:
      out.condition = Condition::empty;
      return out;
    case FileContent::State::unreadable:
    case FileContent::State::foreign:
      out.defect = content.defect;
      return out;
    case FileContent::State::read:
      break;
  }
  out.defect = reason_not_trusted(content.info, trust);
  return out.defect.empty() ? tuning_database::read(content.bytes) : out;
}

/// The reason why the last good copy does not serve, in words.
std::string copy_defect(const Content& copy) {
  return fmt::format("its last good copy {} cannot be used: {}", layout::tuning_copy, copy.defect);
}

}  // namespace

struct TuningStore::Opened {
  Folder root;
  std::string path;
  /// The file of the database, so that recover() never moves another one.
  Descriptor file;
  sqlite::Database database;
  Content content;
};

TuningStore::TuningStore(std::string root, WarningSink warn, Trust trust, FinishRecord finish)
    : root_(std::move(root)),
      trust_(std::move(trust)),
      finish_(std::move(finish)),
      warnings_(std::move(warn)) {}

TuningStore::Opened TuningStore::open(Use use) {
  Opened out;
  if (root_.empty()) {
    out.content.defect = "there is no cache directory";
    return out;
  }
  out.root = use == Use::write ? Folder::make(root_) : Folder::open(root_);
  if (!out.root.valid()) {
    out.content.condition = use == Use::read ? Condition::empty : Condition::unavailable;
    out.content.defect = out.root.failure().text;
    return out;
  }
  out.root = trusted(std::move(out.root), trust_);
  if (!out.root.valid()) {
    out.content.defect = out.root.failure().text;
    return out;
  }
  const std::optional<FileKind> kind = out.root.kind(layout::tuning);
  if (!kind && use == Use::read) {
    out.content.condition = Condition::empty;
    return out;
  }
  // SQLite is told to follow no symbolic link, but the path of the cache directory may contain some.
  std::error_code error;
  out.path = std::filesystem::canonical(root_, error).string() + '/' + std::string(layout::tuning);
  if (error || (kind && *kind != FileKind::regular)) {
    out.content.defect = error ? error.message() : "it is not a regular file";
    return out;
  }
  // SQLite would apply the umask to a file that it creates.
  out.file = out.root.pin_or_create(layout::tuning);
  out.content.defect = out.file.valid() ? reason_not_trusted(out.file.get(), trust_) : std::string();
  if (!out.content.defect.empty()) {
    return out;
  }
  const bool writes = use == Use::write;
  const int opened = sqlite::open(out.path, out.file, SQLITE_OPEN_READWRITE,
                                  writes ? alone_timeout_ms : read_timeout_ms, out.database);
  if (opened != SQLITE_OK) {
    out.content.condition =
        sqlite::state_of(opened) == sqlite::State::broken ? Condition::broken : Condition::unavailable;
    out.content.defect = out.content.condition == Condition::broken
                             ? sqlite3_errstr(opened)
                             : unusable_reason(opened, 0, out.root, writes);
    return out;
  }
  if (!writes) {
    // The last reader to close would remove the log by name, and by then the name may belong to another
    // database.
    sqlite3_db_config(out.database.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }
  out.content = tuning_database::read(out.database);
  if (out.content.condition == Condition::unavailable) {
    out.content.defect = unusable_reason(out.content.result, out.content.system_error, out.root, writes);
  }
  if (writes && out.content.condition == Condition::usable &&
      sqlite3_db_readonly(out.database.get(), "main") == 1 && ::access(out.path.c_str(), W_OK) == 0) {
    out.content.condition = Condition::broken;
    out.content.defect = "its header forbids writing";
  }
  return out;
}

std::vector<TunedRecord> TuningStore::read_copy(const Opened& opened, std::string& defect) {
  Content copy = opened.root.valid() ? read_copy_in(opened.root, trust_) : Content();
  // Without a directory there is no database, and publishing warns about that.
  const bool unread = opened.content.condition != Condition::empty && !root_.empty();
  if (copy.condition != Condition::usable) {
    const bool has_copy =
        opened.root.valid() && copy.condition != Condition::empty && copy.condition != Condition::broken;
    defect = unread ? opened.content.defect : has_copy ? copy_defect(copy) : std::string();
    return {};
  }
  if (unread) {
    warnings_.once("unread",
                   fmt::format("the tuning database {} cannot be used ({}); its last good copy is used",
                               opened.path, opened.content.defect));
  }
  return std::move(copy.records);
}

std::vector<TunedRecord> TuningStore::recover(Opened& opened, std::string& defect) {
  const Content copy = read_copy_in(opened.root, trust_);
  const bool missing = opened.content.condition == Condition::empty;
  // A copy that cannot be read at present may be sound, so it is not replaced.
  if (copy.condition == Condition::newer || copy.condition == Condition::unavailable ||
      (missing && copy.condition != Condition::usable)) {
    defect = missing ? std::string() : fmt::format("{}; {}", opened.content.defect, copy_defect(copy));
    return {};
  }
  std::vector<TunedRecord> records =
      merged(copy.condition == Condition::usable ? copy.records : std::vector<TunedRecord>(),
             opened.content.records);
  const std::string bytes = records.empty() ? std::string() : tuning_database::database_of(records);
  if (!records.empty() && (bytes.empty() || opened.root.publish(layout::tuning_copy, bytes))) {
    return records;  // The disk may be full. The files stay as they are.
  }
  opened.database.reset();
  const Folder quarantine = trusted(opened.root.make_child(layout::quarantine), trust_);
  const SetAside outcome =
      missing ? SetAside::moved
              : set_aside(opened.root, layout::tuning, opened.file, quarantine, layout::tuning);
  bool restored = false;
  if (outcome == SetAside::moved) {
    // If these files stayed, SQLite would use them with the new database.
    for (const char* ending : sqlite::companions) {
      const std::string name = std::string(layout::tuning) + ending;
      if (::renameat(opened.root.fd(), name.c_str(), quarantine.fd(), name.c_str()) != 0) {
        opened.root.remove(name);
      }
    }
    // If this fails, readers use the copy, and the next writer tries again.
    if (!bytes.empty()) {
      restored = !opened.root.publish(layout::tuning, bytes);
    }
  }
  if (!missing && outcome == SetAside::moved) {
    log(opened.root, EventKind::quarantine, opened.content.defect, records.size());
  }
  if (restored) {
    log(opened.root, EventKind::repair, "from the last good copy and what was sound", records.size());
  }
  if (!missing) {
    warnings_.once(
        "quarantine",
        fmt::format("the tuning database {} was unusable ({}); {}, and {} recovered "
                    "from its last good copy and from itself",
                    opened.path, opened.content.defect,
                    outcome == SetAside::failed ? "it could not be moved away"
                                                : "it was moved to " + quarantine.path(),
                    records.size() == 1 ? "1 record was" : fmt::format("{} records were", records.size())));
  }
  return records;
}

void TuningStore::log(const Folder& root, EventKind kind, const std::string& reason,
                      std::uint64_t records) const {
  append_event(root, trust_, {kind, std::nullopt, {}, "tuned records", reason, {{"records", records}}});
}

TuningCheck TuningStore::check() {
  const SignalGuard guard(SIGXFSZ);
  TuningCheck out;
  const Opened opened = open(Use::read);
  const Condition condition = opened.content.condition;
  if (!opened.root.valid()) {
    out.defect = root_.empty() || condition == Condition::empty ? std::string() : opened.content.defect;
    return out;
  }
  const Content copy = read_copy_in(opened.root, trust_);
  const bool usable = condition == Condition::usable;
  out.records = usable ? opened.content.records.size() : copy.records.size();
  if (condition == Condition::broken || condition == Condition::unavailable) {
    out.defect = opened.content.defect;
  } else if (condition == Condition::empty && !copy.records.empty()) {
    out.defect = fmt::format("it is missing, and its last good copy has {} records", copy.records.size());
  }
  if (copy.condition == Condition::broken || copy.condition == Condition::unavailable) {
    out.copy_defect = copy.defect;
  } else if (copy.condition == Condition::empty && usable && !opened.content.records.empty()) {
    out.copy_defect = "it is missing";
  }
  return out;
}

bool TuningStore::repair() {
  return change([](const sqlite::Database&, const std::vector<TunedRecord>&) { return SQLITE_OK; });
}

std::vector<TunedRecord> TuningStore::list() {
  std::string defect;
  std::vector<TunedRecord> records = list(defect);
  if (!defect.empty()) {
    warnings_.once("unread",
                   fmt::format("the tuning database {}/{} cannot be used ({}); ops use their default "
                               "tunables",
                               root_, layout::tuning, defect));
  }
  return records;
}

std::vector<TunedRecord> TuningStore::list(std::string& defect) {
  const SignalGuard guard(SIGXFSZ);
  defect.clear();
  Opened opened = open(Use::read);
  if (opened.content.condition == Condition::usable) {
    return std::move(opened.content.records);
  }
  if (opened.content.condition != Condition::broken) {
    return read_copy(opened, defect);
  }
  const ProcessLock lock(root_, lock_key(), recover_timeout_ms, trust_);
  if (!lock.held()) {
    return read_copy(opened, defect);
  }
  // Another process may have recovered the database meanwhile.
  opened = open(Use::read);
  if (opened.content.condition == Condition::broken) {
    return recover(opened, defect);
  }
  return opened.content.condition == Condition::usable ? std::move(opened.content.records)
                                                       : read_copy(opened, defect);
}

template <class Work>
bool TuningStore::change(Work&& work) {
  const SignalGuard guard(SIGXFSZ);
  const ProcessLock lock(root_, lock_key(), write_timeout_ms, trust_);
  Opened opened = open(Use::write);
  if (lock.held() &&
      (opened.content.condition == Condition::broken || opened.content.condition == Condition::empty)) {
    std::string unused;
    static_cast<void>(recover(opened, unused));
    opened = open(Use::write);
  }
  const auto refuse = [&](const std::string& why) {
    warnings_.once("unwritten", fmt::format("the tuning database {} cannot be changed ({}); nothing was kept",
                                            opened.path.empty() ? root_ : opened.path, why));
    return false;
  };
  if (opened.content.condition != Condition::usable && opened.content.condition != Condition::empty) {
    return refuse(opened.content.defect);
  }
  if (opened.content.condition == Condition::empty) {
    // Without the old records, the next copy would hold only the new ones.
    const Content copy = read_copy_in(opened.root, trust_);
    if (copy.condition != Condition::empty && copy.condition != Condition::broken) {
      return refuse(copy.condition == Condition::usable ? "it could not be restored from its last good copy"
                                                        : copy_defect(copy));
    }
  }
  if (!lock.held()) {
    sqlite3_busy_timeout(opened.database.get(), write_timeout_ms);
  }
  // A write-ahead log needs locks and shared memory, which may not work on network file systems.
  static_cast<void>(sqlite::execute(opened.database, is_on_network(opened.path) || is_on_network(root_)
                                                         ? "PRAGMA journal_mode = DELETE"
                                                         : "PRAGMA journal_mode = WAL"));
  int result =
      opened.content.condition == Condition::empty ? tuning_database::create(opened.database) : SQLITE_OK;
  if (result == SQLITE_OK) {
    result = work(opened.database, opened.content.records);
  }
  if (result != SQLITE_OK) {
    // The message of the database is that of its last statement, which took the change back.
    return refuse(unusable_reason(result, sqlite3_system_errno(opened.database.get()), opened.root, true));
  }
  // Write the log back into the database, so that damage to the log loses nothing.
  static_cast<void>(sqlite::execute(opened.database, "PRAGMA wal_checkpoint(TRUNCATE)"));
  const std::string copy = tuning_database::copy_of(opened.database);
  const IoFailure failure =
      copy.empty() ? IoFailure{ENOMEM, "copying it failed"} : opened.root.publish(layout::tuning_copy, copy);
  if (failure) {
    warnings_.once("copy", fmt::format("the last good copy of the tuning database {} cannot be written ({})",
                                       opened.path, failure.text));
  }
  return true;
}

RecordResult TuningStore::record(const std::vector<TunedRecord>& records) {
  RecordResult result;
  std::vector<TunedRecord> sound;
  for (const TunedRecord& record : records) {
    if (const std::string defect = defect_of(record); !defect.empty()) {
      warnings_.once("record " + defect, fmt::format("a tuned record of {} [{}] for {} is not kept: {}",
                                                     record.op, record.spec, record.arch, defect));
      ++result.failed;
    } else {
      sound.push_back(stored_form(record));
      if (finish_) {
        finish_(sound.back());
      }
    }
  }
  if (sound.empty()) {
    return result;
  }
  const bool done = change([&](const sqlite::Database& database, const std::vector<TunedRecord>&) {
    const tuning_database::Change made = tuning_database::insert(database, sound);
    result.written = made.rows;
    return made.result;
  });
  if (done) {
    result.kept = sound.size() - result.written;
  } else {
    result.written = 0;
    result.failed += sound.size();
  }
  return result;
}

std::optional<std::uint64_t> TuningStore::remove(const std::function<bool(const TunedRecord&)>& unwanted) {
  std::uint64_t removed = 0;
  const std::vector<TunedRecord> all = list();
  if (std::none_of(all.begin(), all.end(), unwanted)) {
    return 0;
  }
  const bool done = change([&](const sqlite::Database& database, const std::vector<TunedRecord>& records) {
    std::vector<TunedRecord> chosen;
    std::copy_if(records.begin(), records.end(), std::back_inserter(chosen), unwanted);
    const tuning_database::Change made = tuning_database::remove(database, chosen);
    removed = made.rows;
    return made.result;
  });
  if (done) {
    log(trusted(Folder::open(root_), trust_), EventKind::clear, "tuned records that were selected", removed);
  }
  return done ? std::optional(removed) : std::nullopt;
}

std::vector<TunedRecord> read_tuned(const Folder& root, const Trust& trust, std::string& defect) {
  if (!root.valid()) {
    return {};
  }
  if (const std::string reason = reason_not_trusted(root.fd(), trust); !reason.empty()) {
    // Most directories have no records, and look-ups of entries warn about the directory themselves.
    defect = root.kind(layout::tuning_copy) || root.kind(layout::tuning) ? "not trusted: " + reason : "";
    return {};
  }
  Content content = read_copy_in(root, trust);
  if (content.condition == Condition::empty) {
    const FileContent file = root.read(layout::tuning, most_copy_bytes);
    if (file.state == FileContent::State::read && reason_not_trusted(file.info, trust).empty()) {
      content = tuning_database::read(file.bytes);
    }
  }
  if (content.condition == Condition::usable) {
    return std::move(content.records);
  }
  defect = content.defect;
  return {};
}

}  // namespace kerncast::cache
