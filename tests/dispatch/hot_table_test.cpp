#include "runtime/dispatch/hot_table.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

using namespace kerncast;

namespace {

HotKey key_of(int i) {
  HotKey key;
  key.device = i % 3;
  key.bucket = i % 5;
  key.spec.values[0] = i;
  return key;
}

HotEntry entry_of(int i) {
  HotEntry entry;
  entry.key = key_of(i);
  entry.tunables.values[0] = i;
  return entry;
}

}  // namespace

TEST_CASE("inserted entries are found while the table grows") {
  HotTable table;
  for (int i = 0; i < 1000; ++i) {
    CHECK(table.find(key_of(i), HotTable::hash(key_of(i))) == nullptr);
    table.insert(entry_of(i));
  }
  CHECK(table.size() == 1000);
  for (int i = 0; i < 1000; ++i) {
    const HotEntry* entry = table.find(key_of(i), HotTable::hash(key_of(i)));
    REQUIRE(entry != nullptr);
    CHECK(entry->tunables[0] == i);
  }
}

TEST_CASE("the first of two entries for one key stays") {
  HotTable table;
  const HotEntry* first = table.insert(entry_of(1));
  CHECK(table.insert(entry_of(1)) == first);
  CHECK(table.size() == 1);
}

TEST_CASE("readers see whole entries while writers grow the table") {
  HotTable table;
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        for (int i = 0; i < 2000; i += 17) {
          const HotEntry* entry = table.find(key_of(i), HotTable::hash(key_of(i)));
          wrong += entry != nullptr && entry->tunables[0] != i ? 1 : 0;
        }
      }
    });
  }
  for (int i = 0; i < 2000; ++i) {
    table.insert(entry_of(i));
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  CHECK(wrong == 0);
}
