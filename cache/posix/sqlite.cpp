#include "cache/posix/sqlite.hpp"

namespace kerncast::cache::sqlite {

namespace {

// Every value of ours is far shorter.
constexpr int longest_value = 16 << 20;

/// Allows what this library's own statements need and nothing that a file could add: its schema may have been
/// written by somebody who wants views, triggers or functions to run.
void harden(sqlite3* database) {
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  for (const int off : {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER,
                        SQLITE_DBCONFIG_ENABLE_VIEW, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION}) {
    sqlite3_db_config(database, off, 0, nullptr);
  }
  sqlite3_limit(database, SQLITE_LIMIT_LENGTH, longest_value);
  sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
  // Otherwise temporary files go where the environment says.
  sqlite3_exec(database, "PRAGMA temp_store = MEMORY", nullptr, nullptr, nullptr);
}

}  // namespace

State state_of(int result) {
  switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return State::usable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return State::broken;
    default:
      return State::unavailable;
  }
}

int open(const std::string& path, int flags, int busy_timeout_ms, Database& database) {
  sqlite3* raw = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOFOLLOW, nullptr);
  database.reset(raw);
  if (result == SQLITE_OK) {
    sqlite3_busy_timeout(raw, busy_timeout_ms);
    harden(raw);
  }
  return result;
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
  const int size = sqlite3_column_bytes(statement.get(), index);
  return text != nullptr ? std::string(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size))
                         : std::string();
}

void bind(const Statement& statement, int index, std::string_view text) {
  sqlite3_bind_text(statement.get(), index, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

State read_version(const Database& database, int& version) {
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

void remove(const Folder& folder, const std::string& name) {
  folder.remove(name);
  for (const char* ending : companions) {
    folder.remove(name + ending);
  }
}

}  // namespace kerncast::cache::sqlite
