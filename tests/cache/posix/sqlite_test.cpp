// A database that somebody else wrote runs nothing of its own.
#include "cache/posix/sqlite.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "cache/posix/descriptor.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "tests/cache/tuning/database_connection.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"
#include "tests/temporary_directory.hpp"

using namespace kerncast::cache;

namespace {

constexpr const char* endless =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

Descriptor pinned(const std::string& path) {
  return Descriptor(::open(path.c_str(), O_PATH | O_CLOEXEC));
}

sqlite::Database opened(const std::string& path) {
  sqlite::Database database;
  REQUIRE(sqlite::open(path, pinned(path), SQLITE_OPEN_READWRITE, 100, database) == SQLITE_OK);
  return database;
}

}  // namespace

TEST_CASE("views and triggers of a database do not run, and huge values are refused") {
  const TemporaryDirectory folder;
  const std::string path = folder.file("some.sqlite");
  DatabaseConnection(path).run(
      std::string("CREATE TABLE kept(i); CREATE TABLE told(i); ") + "CREATE VIEW seen AS " + endless +
      "; CREATE TRIGGER tell AFTER DELETE ON kept BEGIN INSERT INTO told VALUES(1); END; "
      "INSERT INTO kept VALUES(zeroblob(64000000));");
  {
    const sqlite::Database database = opened(path);
    CHECK(sqlite::execute(database, "SELECT * FROM seen") == SQLITE_ERROR);
    CHECK(sqlite::execute(database, "SELECT * FROM kept") == SQLITE_TOOBIG);
    CHECK(sqlite::execute(database, "ATTACH ':memory:' AS other") != SQLITE_OK);
    CHECK(sqlite::execute(database, "DELETE FROM kept") == SQLITE_OK);
  }
  CHECK(DatabaseConnection(path).text("SELECT count(*) FROM told") == "0");
}

TEST_CASE("a tuning database with a view in place of its table does not hang") {
  const TemporaryDirectory folder;
  TuningStore store(folder.path(), nullptr);
  REQUIRE(store.record({sample_record()}).written == 1);
  const std::string path = folder.file("tuning.sqlite");
  DatabaseConnection(path).run(std::string(
      "DROP TABLE tuned; CREATE VIEW tuned AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
      "FROM n) SELECT '' op, '' spec, '' arch, i rows_low, i rows_high, '' source, '' device, '' tunables, "
      "1.0 time_us, '' templates, 1 recorded_us, 1 checksum FROM n WHERE i < 0"));
  CHECK(store.list().size() == 1);  // from the last good copy
}

TEST_CASE("statements that do not end are stopped") {
  const TemporaryDirectory folder;
  const std::string path = folder.file("some.sqlite");
  DatabaseConnection(path).run("CREATE TABLE kept(i)");
  const sqlite::Database database = opened(path);
  CHECK(sqlite::execute(database, "SELECT * FROM kept") == SQLITE_OK);
  CHECK(sqlite::execute(database, endless) == SQLITE_INTERRUPT);
}

TEST_CASE("a database is opened only if its path leads to the file that was looked at, and it is not huge") {
  const TemporaryDirectory folder;
  const std::string path = folder.file("some.sqlite");
  const std::string other = folder.file("other.sqlite");
  DatabaseConnection(path).run("CREATE TABLE kept(i)");
  DatabaseConnection(other).run("CREATE TABLE kept(i)");
  sqlite::Database database;
  CHECK(sqlite::open(path, pinned(other), SQLITE_OPEN_READWRITE, 100, database) == SQLITE_CANTOPEN);
  CHECK(sqlite::open(path, Descriptor(), SQLITE_OPEN_READWRITE, 100, database) == SQLITE_CANTOPEN);
  const std::string link = folder.file("link.sqlite");
  REQUIRE(::symlink(path.c_str(), link.c_str()) == 0);
  CHECK(sqlite::open(link, pinned(path), SQLITE_OPEN_READWRITE, 100, database) != SQLITE_OK);
  REQUIRE(::truncate(path.c_str(), static_cast<off_t>(sqlite::most_bytes) + 1) == 0);
  CHECK(sqlite::open(path, pinned(path), SQLITE_OPEN_READWRITE, 100, database) == SQLITE_TOOBIG);
  CHECK(sqlite::state_of(SQLITE_TOOBIG) == sqlite::State::broken);
}

TEST_CASE("a schema is the expected table and nothing else, or it is refused") {
  const TemporaryDirectory folder;
  const char* table = "kept(i INTEGER PRIMARY KEY, text TEXT UNIQUE)";
  const auto compared = [&](const std::string& sql) {
    const std::string path = folder.file("some.sqlite");
    std::remove(path.c_str());
    DatabaseConnection(path).run(sql);
    return sqlite::compare_schema(opened(path), table);
  };
  const std::string right = std::string("CREATE TABLE IF NOT EXISTS ") + table + ";";
  CHECK(compared(right) == sqlite::State::usable);
  CHECK(compared("") == sqlite::State::broken);
  CHECK(compared("CREATE TABLE kept(i INTEGER PRIMARY KEY, text TEXT)") == sqlite::State::broken);
  // A column that is computed at each read, a default and a check are code too.
  CHECK(compared("CREATE TABLE kept(i INTEGER PRIMARY KEY, text TEXT AS (hex(i)))") == sqlite::State::broken);
  CHECK(compared(right + "CREATE TABLE more(i)") == sqlite::State::broken);
  CHECK(compared(right + "CREATE INDEX more ON kept(lower(text))") == sqlite::State::broken);
  CHECK(compared(right + "CREATE VIEW more AS SELECT 1") == sqlite::State::broken);
  CHECK(compared(right + "CREATE TRIGGER more AFTER DELETE ON kept BEGIN SELECT 1; END") ==
        sqlite::State::broken);
  CHECK(compared(right + "ANALYZE") == sqlite::State::broken);
}

TEST_CASE("a tuning database with more in its schema is set aside, and its records are kept") {
  const TemporaryDirectory folder;
  TuningStore store(folder.path(), nullptr);
  REQUIRE(store.record({sample_record()}).written == 1);
  const std::string path = folder.file("tuning.sqlite");
  DatabaseConnection(path).run("CREATE INDEX more ON tuned(hex(op))");
  CHECK(store.list().size() == 1);
  CHECK(DatabaseConnection(path).text("SELECT count(*) FROM sqlite_schema WHERE name = 'more'") == "0");
}
