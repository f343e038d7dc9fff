#include "cache/index.hpp"

#include <catch2/catch.hpp>
#include <fstream>

#include "cache/health.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;

namespace {

std::vector<std::string> ops(Store& store) {
  std::vector<std::string> names;
  for (const IndexedEntry& entry : list_entries(store)) {
    names.push_back(entry.op);
  }
  return names;
}

}  // namespace

TEST_CASE("the listing follows the files, whatever becomes of the index") {
  const TemporaryFolder folder;
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

TEST_CASE("health names each problem with a remedy") {
  const TemporaryFolder folder;
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
