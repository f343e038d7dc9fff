// A database that somebody else wrote runs nothing of its own.
#include "cache/posix/sqlite.hpp"

#include <catch2/catch.hpp>

#include "cache/tuning/tuning_store.hpp"
#include "tests/cache/tuning/database_connection.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"
#include "tests/temporary_directory.hpp"

using namespace kerncast::cache;

namespace {

constexpr const char* endless =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

sqlite::Database opened(const std::string& path) {
  sqlite::Database database;
  REQUIRE(sqlite::open(path, SQLITE_OPEN_READWRITE, 100, database) == SQLITE_OK);
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
