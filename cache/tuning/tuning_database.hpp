#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/posix/sqlite.hpp"
#include "cache/tuning/tuned_record.hpp"

/// The tables of the tuning store; tuning_store.hpp has their schema.
namespace kerncast::cache::tuning_database {

constexpr int schema_version = 1;

enum class Condition : std::uint8_t {
  usable,
  empty,        ///< without any table
  newer,        ///< of a newer build
  broken,       ///< damaged, or not what this store writes
  unavailable,  ///< locked or unreadable, which says nothing against it
};

/// What a database holds. Records that are sound are there even where it is broken.
struct Content {
  Condition condition = Condition::unavailable;
  std::string defect;  ///< why it is newer, broken or unavailable
  std::vector<TunedRecord> records;
};

/// Checks all of `database`, each record by its checksum, and reads it.
[[nodiscard]] Content read(const sqlite::Database& database);
/// The same of a database file's bytes.
[[nodiscard]] Content read(std::string_view bytes);

/// What SQLite answered last, and how many rows were changed.
struct Change {
  int result = SQLITE_OK;
  std::uint64_t rows = 0;
};
/// Makes the tables where there are none.
[[nodiscard]] int create(const sqlite::Database& database);
/// Keeps each record unless a newer or the same one is in its place. All or nothing.
[[nodiscard]] Change insert(const sqlite::Database& database, const std::vector<TunedRecord>& records);
/// Removes what is in the place of each record. All or nothing.
[[nodiscard]] Change remove(const sqlite::Database& database, const std::vector<TunedRecord>& records);

/// A consistent copy of the whole database as the bytes of a file, by SQLite's backup; empty where it fails.
[[nodiscard]] std::string copy_of(const sqlite::Database& database);
/// The bytes of a database that holds `records`; empty where there is no memory.
[[nodiscard]] std::string database_of(const std::vector<TunedRecord>& records);

}  // namespace kerncast::cache::tuning_database
