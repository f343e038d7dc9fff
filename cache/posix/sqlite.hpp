#pragma once

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"

/// Parts that the databases of a cache directory share: owning handles, and the meaning of SQLite's result
/// codes.
namespace kerncast::cache::sqlite {

/// The processor time of this thread up to which a connection executes statements.
struct WorkLimit {
  std::chrono::nanoseconds end{0};
};
/// Closes a connection. The limit has to live as long as the connection.
struct CloseDatabase {
  std::unique_ptr<WorkLimit> limit;
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

/// A file above this size is not opened. It is far above the size of any real database of ours.
constexpr std::uint64_t most_bytes = 256ULL << 20;
/// Processor time that the statements of one connection may take. Those of a real database take far less.
constexpr std::chrono::nanoseconds most_work = std::chrono::seconds(2);

/// Opens the database `file`, a pinned file whose path is `path`. SQLite opens the path; if it leads to
/// another file or is a symbolic link the result is SQLITE_CANTOPEN. `flags` are those of sqlite3_open_v2.
/// The content cannot make statements call functions or run views and triggers. What takes longer than
/// `most_work` fails with SQLITE_INTERRUPT.
[[nodiscard]] int open(const std::string& path, const Descriptor& file, int flags, int busy_timeout_ms,
                       Database& database);
/// Opens a new database in memory, with the same rules.
[[nodiscard]] int open_in_memory(Database& database);
/// Usable if `database` has one table and nothing else, created as `CREATE TABLE table`, where `table` is its
/// name and columns; broken if it is not so.
[[nodiscard]] State compare_schema(const Database& database, std::string_view table);
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
