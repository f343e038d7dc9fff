#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cache/posix/folder.hpp"

/// Parts that the databases of a cache directory share: owning handles, and the meaning of SQLite's result
/// codes.
namespace kerncast::cache::sqlite {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinishStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinishStatement>;

/// The state of a database according to a result code of SQLite: broken means damaged, unavailable means
/// locked or unreadable at present.
enum class State : std::uint8_t { usable, unavailable, broken };
[[nodiscard]] State state_of(int result);

/// Opens the file at `path`, which must not be a symbolic link. `flags` are those of sqlite3_open_v2.
[[nodiscard]] int open(const std::string& path, int flags, int busy_timeout_ms, Database& database);
[[nodiscard]] int execute(const Database& database, const char* sql);
[[nodiscard]] int prepare(const Database& database, const char* sql, Statement& statement);
[[nodiscard]] std::string column(const Statement& statement, int index);
/// Binds `text`, which must stay valid until the statement's next step.
void bind(const Statement& statement, int index, std::string_view text);
/// Reads `PRAGMA user_version`.
[[nodiscard]] State read_version(const Database& database, int& version);

/// Suffixes of the files that SQLite keeps beside a database.
constexpr const char* companions[] = {"-journal", "-wal", "-shm"};
/// Removes the database `name` in `folder` and its companions. It must not be open in this process.
void remove(const Folder& folder, const std::string& name);

}  // namespace kerncast::cache::sqlite
