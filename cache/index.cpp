#include "cache/index.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <tuple>

#include "cache/file.hpp"

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

bool execute(const Database& database, const char* sql) {
  return sqlite3_exec(database.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK;
}

Statement prepare(const Database& database, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(database.get(), sql, -1, &statement, nullptr);
  return Statement(statement);
}

/// Null where the index cannot be used at all.
Database open_index(const std::string& path) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    sqlite3* raw = nullptr;
    const int opened =
        sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    Database database(raw);
    if (opened == SQLITE_OK) {
      sqlite3_busy_timeout(database.get(), 200);
      int version = -1;
      const Statement query = prepare(database, "PRAGMA user_version");
      if (query != nullptr && sqlite3_step(query.get()) == SQLITE_ROW) {
        version = sqlite3_column_int(query.get(), 0);
      }
      const bool fresh =
          version == 0 &&
          execute(database,
                  "CREATE TABLE IF NOT EXISTS entry(key TEXT PRIMARY KEY, op TEXT, spec TEXT, arch "
                  "TEXT, bytes INTEGER, modified_ns INTEGER); PRAGMA user_version = 1");
      if (fresh || version == schema_version) {
        return database;
      }
    }
    database.reset();
    std::error_code error;
    std::filesystem::remove(path, error);
  }
  return nullptr;
}

std::string column(const Statement& statement, int index) {
  const unsigned char* text = sqlite3_column_text(statement.get(), index);
  return text != nullptr ? reinterpret_cast<const char*>(text) : "";
}

std::map<std::string, IndexedEntry> read_index(const Database& database) {
  std::map<std::string, IndexedEntry> known;
  const Statement query = prepare(database, "SELECT key, op, spec, arch, bytes, modified_ns FROM entry");
  while (query != nullptr && sqlite3_step(query.get()) == SQLITE_ROW) {
    IndexedEntry entry{column(query, 0),
                       column(query, 1),
                       column(query, 2),
                       column(query, 3),
                       static_cast<std::uint64_t>(sqlite3_column_int64(query.get(), 4)),
                       sqlite3_column_int64(query.get(), 5)};
    std::string key = entry.key;
    known.insert_or_assign(std::move(key), std::move(entry));
  }
  return known;
}

void write_index(const Database& database, const std::vector<IndexedEntry>& entries) {
  if (!execute(database, "BEGIN IMMEDIATE; DELETE FROM entry")) {
    return;
  }
  const Statement insert = prepare(database, "INSERT INTO entry VALUES(?, ?, ?, ?, ?, ?)");
  for (const IndexedEntry& entry : entries) {
    if (insert == nullptr) {
      break;
    }
    int at = 1;
    for (const std::string* text : {&entry.key, &entry.op, &entry.spec, &entry.arch}) {
      sqlite3_bind_text(insert.get(), at++, text->c_str(), static_cast<int>(text->size()), SQLITE_STATIC);
    }
    sqlite3_bind_int64(insert.get(), at++, static_cast<sqlite3_int64>(entry.bytes));
    sqlite3_bind_int64(insert.get(), at, entry.modified_ns);
    sqlite3_step(insert.get());
    sqlite3_reset(insert.get());
  }
  if (!execute(database, "COMMIT")) {
    execute(database, "ROLLBACK");
  }
}

}  // namespace

std::vector<IndexedEntry> list_entries(Store& store) {
  std::error_code error;
  const Database database = std::filesystem::is_directory(store.root(), error)
                                ? open_index(store.root() + "/index.sqlite")
                                : nullptr;
  const std::map<std::string, IndexedEntry> known =
      database != nullptr ? read_index(database) : std::map<std::string, IndexedEntry>();
  std::vector<IndexedEntry> entries;
  std::size_t reused = 0;
  for (const StoredFile& file : store.list()) {
    const std::string hex = file.key.hex();
    const auto found = known.find(hex);
    if (found != known.end() && found->second.bytes == file.bytes &&
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
  if (database != nullptr && (reused != entries.size() || reused != known.size())) {
    write_index(database, entries);
  }
  std::sort(entries.begin(), entries.end(), [](const IndexedEntry& a, const IndexedEntry& b) {
    return std::tie(a.op, a.spec, a.arch, a.key) < std::tie(b.op, b.spec, b.arch, b.key);
  });
  return entries;
}

}  // namespace kerncast::cache
