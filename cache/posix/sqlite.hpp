#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

/// What the databases of a cache directory share: owned handles, and what an answer of SQLite means for them.
namespace kerncast::cache::sqlite {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinishStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinishStatement>;

/// What SQLite says of a database, as far as it decides what to do with it.
enum class State : std::uint8_t { usable, unavailable, broken };
[[nodiscard]] State state_of(int result);

/// Opens the file at `path`, never through a symbolic link, with `flags` as of sqlite3_open_v2.
[[nodiscard]] int open(const std::string& path, int flags, int busy_timeout_ms, Database& database);
[[nodiscard]] int execute(const Database& database, const char* sql);
[[nodiscard]] int prepare(const Database& database, const char* sql, Statement& statement);
[[nodiscard]] std::string column(const Statement& statement, int index);
/// The text must outlive the statement's next step.
void bind(const Statement& statement, int index, std::string_view text);
/// Reads `PRAGMA user_version`.
[[nodiscard]] State read_version(const Database& database, int& version);

/// Endings of the files that SQLite keeps beside a database.
constexpr const char* companions[] = {"-journal", "-wal", "-shm"};

}  // namespace kerncast::cache::sqlite
