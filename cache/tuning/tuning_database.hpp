#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/posix/sqlite.hpp"
#include "cache/tuning/tuned_record.hpp"

/// Access to the tables of the tuning store. tuning_store.hpp has their schema.
namespace kerncast::cache::tuning_database {

constexpr int schema_version = 3;
/// A database has this version until a record with details is stored in it, and the one below until a signed
/// record is, so that builds which know neither read it up to then.
constexpr int signed_schema_version = 2;
constexpr int unsigned_schema_version = 1;

/// State of a tuning database.
enum class Condition : std::uint8_t {
  usable,
  empty,        ///< has no tables
  newer,        ///< written by a newer build
  broken,       ///< damaged, or not written by this store
  unavailable,  ///< locked or unreadable at present; it may be sound
};

/// Content of a database. If it is broken, `records` still has the sound ones.
struct Content {
  Condition condition = Condition::unavailable;
  /// The result code of SQLite and errno because of which it is unavailable, or 0.
  int result = SQLITE_OK;
  int system_error = 0;
  std::string defect;  ///< the reason if it is newer, broken or unavailable
  std::vector<TunedRecord> records;
};

/// Checks the whole database, and each record by its checksum, and reads it.
[[nodiscard]] Content read(const sqlite::Database& database);
/// Checks and reads the bytes of a database file.
[[nodiscard]] Content read(std::string_view bytes);

/// The last result code of SQLite and the number of changed rows.
struct Change {
  int result = SQLITE_OK;
  std::uint64_t rows = 0;
};
/// Creates the tables of the unsigned version if there are none.
[[nodiscard]] int create(const sqlite::Database& database);
/// Stores each record, unless its place has a record that keeps() says is kept. Before it stores a record
/// that the tables cannot hold it changes them to the first version that can. All or nothing.
[[nodiscard]] Change insert(const sqlite::Database& database, const std::vector<TunedRecord>& records);
/// Removes the record in the place of each of `records`. All or nothing.
[[nodiscard]] Change remove(const sqlite::Database& database, const std::vector<TunedRecord>& records);

/// A consistent copy of the whole database as the bytes of a file, made by SQLite's backup function. Empty on
/// failure.
[[nodiscard]] std::string copy_of(const sqlite::Database& database);
/// The bytes of a database file that holds `records`. Empty if there is not enough memory.
[[nodiscard]] std::string database_of(const std::vector<TunedRecord>& records);

}  // namespace kerncast::cache::tuning_database
