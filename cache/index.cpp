#include "cache/index.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <tuple>

#include "cache/file.hpp"
#include "cache/file_system.hpp"
#include "cache/folder.hpp"
#include "cache/layout.hpp"
#include "cache/signal_guard.hpp"

namespace kerncast::cache {
namespace {

constexpr int schema_version = 1;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinishStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinishStatement>;

// Another lister holds the lock for milliseconds; a listing waits no longer than a person would notice.
constexpr int busy_timeout_ms = 200;

constexpr const char* select_entries = "SELECT key, op, spec, arch, bytes, modified_ns FROM entry";

/// What SQLite says of the database, as far as it decides what to do with it.
enum class IndexState : std::uint8_t { usable, unavailable, broken };

IndexState state_of(int result) {
  switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return IndexState::usable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return IndexState::broken;
    default:
      return IndexState::unavailable;
  }
}

int execute(const Database& database, const char* sql) {
  return sqlite3_exec(database.get(), sql, nullptr, nullptr, nullptr);
}

int prepare(const Database& database, const char* sql, Statement& statement) {
  sqlite3_stmt* raw = nullptr;
  const int result = sqlite3_prepare_v2(database.get(), sql, -1, &raw, nullptr);
  statement.reset(raw);
  return result;
}

std::string column(const Statement& statement, int index) {
  const unsigned char* text = sqlite3_column_text(statement.get(), index);
  return text != nullptr ? reinterpret_cast<const char*>(text) : "";
}

struct Index {
  Folder root;
  /// The file that the database is, so that no other is removed in its stead.
  Descriptor file;
  Database database;
  std::map<std::string, IndexedEntry> known;
};

IndexState read_version(const Database& database, int& version) {
  Statement query;
  int result = prepare(database, "PRAGMA user_version", query);
  if (result == SQLITE_OK) {
    result = sqlite3_step(query.get());
  }
  if (result == SQLITE_ROW) {
    version = sqlite3_column_int(query.get(), 0);
  }
  return state_of(result);
}

IndexState read_rows(const Database& database, std::map<std::string, IndexedEntry>& known) {
  Statement query;
  int result = prepare(database, select_entries, query);
  if (result == SQLITE_ERROR) {
    return IndexState::broken;  // no such table or column
  }
  while (result == SQLITE_OK || result == SQLITE_ROW) {
    result = sqlite3_step(query.get());
    if (result == SQLITE_ROW) {
      IndexedEntry entry{column(query, 0),
                         column(query, 1),
                         column(query, 2),
                         column(query, 3),
                         static_cast<std::uint64_t>(sqlite3_column_int64(query.get(), 4)),
                         sqlite3_column_int64(query.get(), 5)};
      std::string key = entry.key;
      known.insert_or_assign(std::move(key), std::move(entry));
    }
  }
  return state_of(result);
}

IndexState open_index(const std::string& path, Index& index) {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(
      path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, nullptr);
  index.database.reset(raw);
  if (opened != SQLITE_OK) {
    return state_of(opened);
  }
  sqlite3_busy_timeout(index.database.get(), busy_timeout_ms);
  int version = 0;
  IndexState state = read_version(index.database, version);
  if (state != IndexState::usable || version > schema_version) {
    return state == IndexState::usable ? IndexState::unavailable : state;
  }
  if (version == 0) {
    state =
        state_of(execute(index.database,
                         "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS entry(key TEXT PRIMARY KEY, op TEXT, "
                         "spec TEXT, arch TEXT, bytes INTEGER, modified_ns INTEGER); "
                         "PRAGMA user_version = 1; COMMIT"));
    if (state != IndexState::usable) {
      return state;
    }
  }
  return read_rows(index.database, index.known);
}

/// Removes a broken index, unless another process has made it anew.
void discard(Index& index) {
  const std::string name(layout::index);
  if (!index.file.valid() || !index.root.names(name, index.file.get())) {
    return;
  }
  index.database.reset();
  for (const char* ending : {"", "-journal", "-wal", "-shm"}) {
    index.root.remove(name + ending);
  }
}

/// The index below `directory`, or one without a database.
Index usable_index(const std::string& directory) {
  const std::string name(layout::index);
  for (int attempt = 0; attempt < 2; ++attempt) {
    Index index;
    index.root = Folder::open(directory);
    std::error_code error;
    // SQLite is told to follow no link, and the way to the cache directory may lead through some.
    const std::string path = std::filesystem::canonical(directory, error).string() + '/' + name;
    const std::optional<FileKind> kind = index.root.kind(name);
    // SQLite's own locks are at home on a local disk only.
    if (!index.root.valid() || error || is_on_network(path) || is_on_network(directory) ||
        (kind && *kind != FileKind::regular)) {
      break;
    }
    index.file = index.root.pin(name);
    const IndexState state = open_index(path, index);
    if (state == IndexState::usable) {
      return index;
    }
    if (state == IndexState::broken) {
      discard(index);
    }
  }
  return {};
}

int insert_all(const Database& database, const std::vector<IndexedEntry>& entries) {
  Statement insert;
  int result = prepare(database, "INSERT INTO entry VALUES(?, ?, ?, ?, ?, ?)", insert);
  for (const IndexedEntry& entry : entries) {
    if (result != SQLITE_OK) {
      break;
    }
    int at = 1;
    for (const std::string* text : {&entry.key, &entry.op, &entry.spec, &entry.arch}) {
      sqlite3_bind_text(insert.get(), at++, text->c_str(), static_cast<int>(text->size()), SQLITE_STATIC);
    }
    sqlite3_bind_int64(insert.get(), at++, static_cast<sqlite3_int64>(entry.bytes));
    sqlite3_bind_int64(insert.get(), at, entry.modified_ns);
    sqlite3_step(insert.get());
    result = sqlite3_reset(insert.get());
  }
  return result;
}

/// All or nothing: closing rolls back what was not committed.
void write_index(Index& index, const std::vector<IndexedEntry>& entries) {
  int result = execute(index.database, "BEGIN IMMEDIATE; DELETE FROM entry");
  if (result == SQLITE_OK) {
    result = insert_all(index.database, entries);
  }
  if (result == SQLITE_OK) {
    result = execute(index.database, "COMMIT");
  }
  if (state_of(result) == IndexState::broken) {
    discard(index);
  }
}

}  // namespace

std::vector<IndexedEntry> list_entries(Store& store) {
  // SQLite writes too.
  const SignalGuard guard(SIGXFSZ);
  Index index = store.root().empty() ? Index() : usable_index(store.root());
  std::vector<IndexedEntry> entries;
  std::size_t reused = 0;
  for (const StoredFile& file : store.list()) {
    const std::string hex = file.key.hex();
    const auto found = index.known.find(hex);
    if (found != index.known.end() && found->second.bytes == file.bytes &&
        found->second.modified_ns == file.modified_ns) {
      entries.push_back(found->second);
      ++reused;
      continue;
    }
    const std::optional<std::string> bytes = read_file(file.path);
    const ParsedEntry parsed = bytes ? parse(file.key, *bytes) : ParsedEntry{};
    if (parsed.entry) {
      entries.push_back(
          {hex, parsed.entry->op, parsed.entry->spec, parsed.entry->arch, file.bytes, file.modified_ns});
    }
  }
  if (index.database != nullptr && (reused != entries.size() || reused != index.known.size())) {
    write_index(index, entries);
  }
  std::sort(entries.begin(), entries.end(), [](const IndexedEntry& a, const IndexedEntry& b) {
    return std::tie(a.op, a.spec, a.arch, a.key) < std::tie(b.op, b.spec, b.arch, b.key);
  });
  return entries;
}

}  // namespace kerncast::cache
