#include "cache/directory/index.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "cache/directory/health.hpp"
#include "cache/posix/file.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/tuning/database_connection.hpp"

using namespace kerncast::cache;

namespace {

std::vector<std::string> ops(Store& store) {
  std::vector<std::string> names;
  for (const IndexedEntry& entry : list_entries(store)) {
    names.push_back(entry.op);
  }
  return names;
}

ino_t inode(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace

TEST_CASE("the listing follows the files, whatever becomes of the index") {
  const TemporaryDirectory folder;
  Store store(folder.path(), nullptr);
  CHECK(ops(store).empty());
  REQUIRE(store.publish({1, 1}, sample_entry("b.op")));
  REQUIRE(store.publish({1, 2}, sample_entry("a.op")));
  const std::vector<std::string> both{"a.op", "b.op"};
  CHECK(ops(store) == both);
  CHECK(ops(store) == both);
  const std::string index = folder.path() + "/index.sqlite";
  REQUIRE(std::filesystem::exists(index));

  std::ofstream(index, std::ios::trunc)
      << "this is no database, and longer than one hundred bytes so that SQLite "
         "reads it as a header: 0123456789 0123456789 0123456789";
  CHECK(ops(store) == both);
  std::filesystem::remove(index);
  CHECK(ops(store) == both);
  std::filesystem::remove(index);
  std::filesystem::create_directory(index);
  std::ofstream(index + "/occupied") << "x";
  CHECK(ops(store) == both);

  std::filesystem::remove(store.path_of({1, 1}));
  CHECK(ops(store) == std::vector<std::string>{"a.op"});
}

TEST_CASE("a locked index is passed over, not removed") {
  const TemporaryDirectory folder;
  Store store(folder.path(), nullptr);
  REQUIRE(store.publish({1, 1}, sample_entry("a.op")));
  REQUIRE(ops(store).size() == 1);
  const std::string path = folder.path() + "/index.sqlite";
  const ino_t before = inode(path);
  {
    const DatabaseConnection other(path);
    other.run("BEGIN EXCLUSIVE; UPDATE entry SET op = 'kept'");
    REQUIRE(store.publish({1, 2}, sample_entry("b.op")));
    CHECK(ops(store) == std::vector<std::string>{"a.op", "b.op"});
    CHECK(inode(path) == before);
    other.run("COMMIT");
    CHECK(other.text("SELECT op FROM entry") == "kept");
  }
  CHECK(inode(path) == before);
}

TEST_CASE("an index of a newer build is left alone") {
  const TemporaryDirectory folder;
  Store store(folder.path(), nullptr);
  REQUIRE(store.publish({1, 1}, sample_entry("a.op")));
  const std::string path = folder.path() + "/index.sqlite";
  DatabaseConnection(path).run(
      "CREATE TABLE later(x TEXT); INSERT INTO later VALUES('kept'); PRAGMA user_version = 7");
  CHECK(ops(store) == std::vector<std::string>{"a.op"});
  CHECK(DatabaseConnection(path).text("SELECT x FROM later") == "kept");
}

TEST_CASE("an index with other columns is made anew") {
  const TemporaryDirectory folder;
  Store store(folder.path(), nullptr);
  REQUIRE(store.publish({1, 1}, sample_entry("a.op")));
  const std::string path = folder.path() + "/index.sqlite";
  DatabaseConnection(path).run("CREATE TABLE entry(other TEXT); PRAGMA user_version = 1");
  CHECK(ops(store) == std::vector<std::string>{"a.op"});
  CHECK(ops(store) == std::vector<std::string>{"a.op"});
  CHECK(DatabaseConnection(path).text("SELECT op FROM entry") == "a.op");
}

TEST_CASE("a damaged index is made anew, wherever the damage is") {
  const TemporaryDirectory folder;
  Store store(folder.path(), nullptr);
  std::vector<std::string> expected;
  for (std::uint64_t i = 0; i < 100; ++i) {
    Entry entry = sample_entry(fmt::format("op.{:03}", i));
    entry.spec.assign(200, 's');
    REQUIRE(store.publish({i, i}, entry));
    expected.push_back(entry.op);
  }
  const Entry first = *store.load({0, 0});
  REQUIRE(ops(store) == expected);
  const std::string path = folder.path() + "/index.sqlite";
  const std::string good = *read_file(path);
  REQUIRE(good.size() > 16384);
  for (std::size_t page = 0; page < good.size(); page += 4096) {
    INFO("page at " << page);
    std::string bytes = good;
    bytes.replace(page, 4096, std::string(4096, '\xff'));
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    CHECK(ops(store) == expected);
    // Damage outside the table is noticed only when something is written.
    REQUIRE(store.publish({0, 0}, first));
    CHECK(ops(store) == expected);
    CHECK(ops(store) == expected);
    CHECK(DatabaseConnection(path).text("PRAGMA integrity_check") == "ok");
  }
  for (const std::size_t length : {std::size_t{1}, std::size_t{50}, std::size_t{1024}, good.size() / 2}) {
    INFO("length " << length);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << good.substr(0, length);
    CHECK(ops(store) == expected);
  }
}

TEST_CASE("what is no file in the index's place is left alone") {
  const TemporaryDirectory folder;
  const TemporaryDirectory elsewhere;
  Store store(folder.path(), nullptr);
  REQUIRE(store.publish({1, 1}, sample_entry("a.op")));
  const std::string path = folder.path() + "/index.sqlite";
  const std::string target = elsewhere.path() + "/precious";
  std::ofstream(target) << "not a database, and nobody's to replace";
  std::filesystem::create_symlink(target, path);
  CHECK(ops(store) == std::vector<std::string>{"a.op"});
  CHECK(read_file(target) == "not a database, and nobody's to replace");
  CHECK(std::filesystem::is_symlink(path));
  std::filesystem::remove(path);
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  CHECK(run_child([&] { return ops(store).size() == 1 ? 0 : 1; }, 20) == 0);
  CHECK(std::filesystem::is_fifo(path));
}

TEST_CASE("processes that list and publish at once see every entry") {
  const TemporaryDirectory folder;
  std::vector<pid_t> children;
  for (std::uint64_t i = 0; i < 4; ++i) {
    children.push_back(start_child([&, i] {
      Store store(folder.path(), nullptr);
      for (std::uint64_t k = 0; k < 20; ++k) {
        store.publish({k, i}, sample_entry());
        if (list_entries(store).size() < k + 1) {
          return 1;
        }
      }
      return 0;
    }));
  }
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
  Store store(folder.path(), nullptr);
  CHECK(list_entries(store).size() == 80);
}

TEST_CASE("health names each problem with a remedy") {
  const TemporaryDirectory folder;
  const Store good(folder.path(), nullptr);
  const Health healthy = check_health(good);
  CHECK(healthy.exists);
  CHECK(healthy.writable);
  CHECK(healthy.problems.empty());
  CHECK(healthy.free_bytes > 0);

  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  const Health open = check_health(good);
  REQUIRE(open.problems.size() == 1);
  CHECK(open.problems[0].remedy.find("chmod go-w") != std::string::npos);

  const Health none = check_health(Store("", nullptr));
  REQUIRE(none.problems.size() == 1);
  CHECK(none.problems[0].remedy.find("KERNCAST_CACHE_DIR") != std::string::npos);

  const Health impossible = check_health(Store("/proc/kerncast", nullptr));
  CHECK(!impossible.exists);
  CHECK(impossible.problems.size() == 1);
}
