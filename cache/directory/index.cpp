#include "cache/directory/index.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <tuple>

#include "cache/layout.hpp"
#include "cache/posix/file.hpp"
#include "cache/posix/file_system.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/signal_guard.hpp"
#include "cache/posix/sqlite.hpp"
#include "cache/posix/trust.hpp"

namespace kerncast::cache {
namespace {

using sqlite::column;
using sqlite::Database;
using sqlite::execute;
using sqlite::prepare;
using sqlite::State;
using sqlite::state_of;
using sqlite::Statement;

constexpr int schema_version = 1;

// Another process that lists entries holds the lock for milliseconds. A person does not notice this time-out.
constexpr int busy_timeout_ms = 200;

constexpr std::string_view entry_table =
    "entry(key TEXT PRIMARY KEY, op TEXT, spec TEXT, arch TEXT, bytes INTEGER, modified_ns INTEGER)";
constexpr const char* select_entries = "SELECT key, op, spec, arch, bytes, modified_ns FROM entry";

struct Index {
  Folder root;
  /// The file of the database, so that discard() never removes another one.
  Descriptor file;
  Database database;
  std::map<std::string, IndexedEntry> known;
};

State read_rows(const Database& database, std::map<std::string, IndexedEntry>& known) {
  Statement query;
  int result = prepare(database, select_entries, query);
  if (result == SQLITE_ERROR) {
    return State::broken;  // no such table or column
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

/// Creates the table in an empty database, unless another process has done so meanwhile.
State create(const Database& database) {
  const std::string sql =
      fmt::format("BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS {}; PRAGMA user_version = {}; COMMIT",
                  entry_table, schema_version);
  return state_of(execute(database, sql.c_str()));
}

State open_index(const std::string& path, Index& index) {
  const int opened = sqlite::open(path, index.file, SQLITE_OPEN_READWRITE, busy_timeout_ms, index.database);
  if (opened != SQLITE_OK) {
    return state_of(opened);
  }
  int version = 0;
  State state = sqlite::read_version(index.database, version);
  if (state != State::usable || version > schema_version) {
    return state == State::usable ? State::unavailable : state;
  }
  if (version == 0) {
    state = create(index.database);
    if (state != State::usable) {
      return state;
    }
  }
  state = sqlite::compare_schema(index.database, entry_table);
  if (state != State::usable) {
    return state;
  }
  return read_rows(index.database, index.known);
}

/// The path of `name` in the directory of `store`, without symbolic links: SQLite is told to follow none, but
/// the path of the cache directory may contain some. Empty on failure.
std::string real_path(const Store& store, const std::string& name) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::canonical(store.root(), error);
  return error ? std::string() : folder.string() + '/' + name;
}

/// Removes a broken index, unless another process has replaced it meanwhile.
void discard(Index& index) {
  const std::string name(layout::index);
  if (!index.file.valid() || !index.root.names(name, index.file.get())) {
    return;
  }
  index.database.reset();
  sqlite::remove(index.root, name);
}

/// The index of `store`. It has no database if none can be used.
Index usable_index(Store& store) {
  const std::string& directory = store.root();
  const std::string name(layout::index);
  for (int attempt = 0; attempt < 2; ++attempt) {
    Index index;
    index.root = store.open_root();
    const std::string path = real_path(store, name);
    const std::optional<FileKind> kind = index.root.kind(name);
    // SQLite's locks are reliable on local disks only.
    if (!index.root.valid() || path.empty() || is_on_network(path) || is_on_network(directory) ||
        (kind && *kind != FileKind::regular)) {
      break;
    }
    index.file = index.root.pin_or_create(name);
    const State state = open_index(path, index);
    if (state == State::usable) {
      return index;
    }
    if (state == State::broken) {
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
      sqlite::bind(insert, at++, *text);
    }
    sqlite3_bind_int64(insert.get(), at++, static_cast<sqlite3_int64>(entry.bytes));
    sqlite3_bind_int64(insert.get(), at, entry.modified_ns);
    sqlite3_step(insert.get());
    result = sqlite3_reset(insert.get());
  }
  return result;
}

/// Replaces the content of the index, all or nothing: closing the database rolls back what was not committed.
void write_index(Index& index, const std::vector<IndexedEntry>& entries) {
  int result = execute(index.database, "BEGIN IMMEDIATE; DELETE FROM entry");
  if (result == SQLITE_OK) {
    result = insert_all(index.database, entries);
  }
  if (result == SQLITE_OK) {
    result = execute(index.database, "COMMIT");
  }
  if (state_of(result) == State::broken) {
    discard(index);
  }
}

}  // namespace

std::vector<IndexedEntry> list_entries(Store& store) {
  // SQLite writes to files as well.
  const SignalGuard guard(SIGXFSZ);
  Index index = store.root().empty() ? Index() : usable_index(store);
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
    const std::optional<std::string> bytes = read_file(file.path, max_entry_bytes);
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

std::string index_defect(Store& store) {
  const std::string name(layout::index);
  Index index;
  index.root = store.open_root();
  const std::string path = real_path(store, name);
  if (!index.root.valid() || path.empty() || !index.root.kind(name)) {
    return {};
  }
  index.file = index.root.pin(name);
  if (const std::string reason = reason_not_trusted(index.file.get(), store.trust()); !reason.empty()) {
    return "it is not used: " + reason;
  }
  int result = sqlite::open(path, index.file, SQLITE_OPEN_READONLY, busy_timeout_ms, index.database);
  int version = 0;
  if (result == SQLITE_OK && sqlite::read_version(index.database, version) == State::usable &&
      version > schema_version) {
    return {};
  }
  if (result == SQLITE_OK && sqlite::compare_schema(index.database, entry_table) == State::broken) {
    return "it holds something else than the table of entries";
  }
  Statement check;
  if (result == SQLITE_OK) {
    result = prepare(index.database, "PRAGMA quick_check(1)", check);
  }
  if (result == SQLITE_OK) {
    result = sqlite3_step(check.get());
  }
  if (result != SQLITE_ROW) {
    return sqlite3_errstr(result);
  }
  const std::string answer = column(check, 0);
  return answer == "ok" ? std::string() : answer;
}

}  // namespace kerncast::cache
