#include "cache/posix/sqlite.hpp"

#include <sys/stat.h>

#include <ctime>
#include <utility>

namespace kerncast::cache::sqlite {

namespace {

// Every value and every statement of ours is far shorter.
constexpr int longest_value = 256 << 10;
constexpr int longest_statement = 16 << 10;
// Instructions of SQLite's virtual machine between two looks at the clock, which take less than 1 % of their
// time.
constexpr int instructions_per_look = 10'000;

std::chrono::nanoseconds thread_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

int is_over(void* limit) {
  return thread_time() > static_cast<const WorkLimit*>(limit)->end ? 1 : 0;
}

/// Allows what this library's own statements need and nothing that a file could add: its schema may have been
/// written by somebody who wants views, triggers or functions to run.
void harden(sqlite3* database) {
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  for (const int off : {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER,
                        SQLITE_DBCONFIG_ENABLE_VIEW, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION}) {
    sqlite3_db_config(database, off, 0, nullptr);
  }
  sqlite3_limit(database, SQLITE_LIMIT_LENGTH, longest_value);
  sqlite3_limit(database, SQLITE_LIMIT_SQL_LENGTH, longest_statement);
  sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
  // Otherwise temporary files go where the environment says.
  sqlite3_exec(database, "PRAGMA temp_store = MEMORY", nullptr, nullptr, nullptr);
}

int open_hardened(const char* path, int flags, Database& database) {
  auto limit = std::make_unique<WorkLimit>();
  sqlite3* raw = nullptr;
  const int result = sqlite3_open_v2(path, &raw, flags, nullptr);
  database.reset();
  database.get_deleter().limit = std::move(limit);
  database.reset(raw);
  if (result == SQLITE_OK) {
    database.get_deleter().limit->end = thread_time() + most_work;
    sqlite3_progress_handler(raw, instructions_per_look, is_over, database.get_deleter().limit.get());
    harden(raw);
  }
  return result;
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
    case SQLITE_TOOBIG:
      return State::broken;
    default:
      return State::unavailable;
  }
}

int open(const std::string& path, const Descriptor& file, int flags, int busy_timeout_ms,
         Database& database) {
  struct stat pinned{};
  if (!file.valid() || ::fstat(file.get(), &pinned) != 0) {
    return SQLITE_CANTOPEN;
  }
  if (static_cast<std::uint64_t>(pinned.st_size) > most_bytes) {
    return SQLITE_TOOBIG;
  }
  const int result = open_hardened(path.c_str(), flags | SQLITE_OPEN_NOFOLLOW, database);
  if (result != SQLITE_OK) {
    return result;
  }
  struct stat opened{};
  if (::lstat(path.c_str(), &opened) != 0 || opened.st_dev != pinned.st_dev ||
      opened.st_ino != pinned.st_ino) {
    database.reset();
    return SQLITE_CANTOPEN;
  }
  sqlite3_busy_timeout(database.get(), busy_timeout_ms);
  return SQLITE_OK;
}

int open_in_memory(Database& database) {
  return open_hardened(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, database);
}

State compare_schema(const Database& database, std::string_view table) {
  const std::string create = "CREATE TABLE " + std::string(table);
  // An index without a statement is the one behind a primary key.
  Statement query;
  int result =
      prepare(database, "SELECT sql FROM sqlite_schema WHERE type <> 'index' OR sql IS NOT NULL", query);
  int statements = 0;
  bool same = true;
  while (same && (result == SQLITE_OK || result == SQLITE_ROW)) {
    result = sqlite3_step(query.get());
    if (result == SQLITE_ROW) {
      ++statements;
      same = column(query, 0) == create;
    }
  }
  if (same && result != SQLITE_DONE) {
    return result == SQLITE_ERROR ? State::broken : state_of(result);
  }
  return same && statements == 1 ? State::usable : State::broken;
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
