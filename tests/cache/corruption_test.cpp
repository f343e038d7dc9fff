// A small entry is damaged in every way, in the store and for the reader alone.

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <random>

#include "cache/directory/store.hpp"
#include "cache/posix/file.hpp"
#include "tests/cache/damaged_bytes.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 0xfedcba9876543210};

/// A store whose entry is replaced by damaged bytes many times.
struct Damaged {
  explicit Damaged(const Entry& entry) : store(folder.path(), nullptr) {
    REQUIRE(store.publish(key, entry));
    path = store.path_of(key);
    good = *read_file(path);
  }

  void check_miss(const std::string& bytes) {
    overwrite(path, bytes);
    const std::uint64_t before = store.counters().quarantined;
    REQUIRE(!store.load(key));
    REQUIRE(store.counters().quarantined == before + 1);
    REQUIRE(!fs::exists(path));
  }

  TemporaryDirectory folder;
  Store store;
  std::string path;
  std::string good;
};

}  // namespace

TEST_CASE("every changed byte is a miss and quarantined") {
  for (const Entry& entry : {sample_entry(), dated_entry()}) {
    Damaged damaged(entry);
    for (std::size_t i = 0; i < damaged.good.size(); ++i) {
      for (const int mask : {0x01, 0x80, 0xff}) {
        INFO("byte " << i << " mask " << mask);
        std::string bytes = damaged.good;
        bytes[i] = static_cast<char>(bytes[i] ^ mask);
        damaged.check_miss(bytes);
      }
    }
    overwrite(damaged.path, damaged.good);
    CHECK(damaged.store.load(key) == entry);
  }
}

TEST_CASE("every truncation and every extension is a miss and quarantined") {
  for (const Entry& entry : {sample_entry(), dated_entry()}) {
    Damaged damaged(entry);
    const std::string& good = damaged.good;
    for (std::size_t length = 0; length < good.size(); ++length) {
      INFO("length " << length);
      damaged.check_miss(good.substr(0, length));
    }
    for (std::size_t more = 1; more <= 64; ++more) {
      INFO("more " << more);
      damaged.check_miss(good + std::string(more, '\0'));
      damaged.check_miss(good + good.substr(0, more));
    }
  }
}

TEST_CASE("every value of every byte is refused by the reader") {
  const std::string good = serialise(key, GENERATE(sample_entry(), dated_entry()));
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bytes = good;
    for (int value = 0; value < 256; ++value) {
      bytes[i] = static_cast<char>(value);
      if (bytes[i] != good[i]) {
        INFO("byte " << i << " value " << value);
        REQUIRE(!parse(key, bytes).entry);
        static_cast<void>(claimed_key(bytes));
      }
    }
  }
}

TEST_CASE("a wrong body under a right checksum is an entry that writes the same bytes, or none") {
  const std::string good = serialise(key, GENERATE(sample_entry(), dated_entry()));
  const std::string covered = good.substr(0, good.size() - 16);
  std::mt19937_64 random(20240607);
  const auto check = [&](const std::string& changed) {
    const std::string bytes = changed + checksum_of(changed);
    const ParsedEntry parsed = parse(key, bytes);
    REQUIRE(parsed.entry.has_value() == parsed.defect.empty());
    if (parsed.entry) {
      REQUIRE(serialise(key, *parsed.entry) == bytes);
    }
  };
  for (std::size_t i = 0; i < covered.size(); ++i) {
    for (const int mask : {0x01, 0x02, 0x10, 0x7f, 0x80, 0xff}) {
      std::string changed = covered;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      check(changed);
    }
    check(covered.substr(0, i));
  }
  // The bytes include lengths and counts that overflow, and random ones.
  constexpr std::size_t body = 8 + 4 + 16 + 8;
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = covered;
    for (std::uint64_t edits = 1 + random() % 4; edits > 0; --edits) {
      const std::size_t at = body + random() % (changed.size() - body - 8);
      const std::uint64_t values[] = {
          ~std::uint64_t{0},     std::uint64_t{1} << 63, (std::uint64_t{1} << 32) - 1,
          changed.size() - body, random() % 64,          random()};
      std::memcpy(changed.data() + at, &values[random() % std::size(values)], 8);
    }
    check(changed);
  }
}

TEST_CASE("a renamed entry of another key is a miss") {
  const TemporaryDirectory folder;
  Store store(folder.path(), nullptr);
  const Key other{key.high, key.low + 1};
  REQUIRE(store.publish(other, sample_entry("other")));
  fs::rename(store.path_of(other), store.path_of(key));
  CHECK(!store.load(key));
  CHECK(store.counters().quarantined == 1);
}

TEST_CASE("an undamaged entry of another version is a miss and left alone") {
  for (const char version : {'\0', '\4'}) {
    const TemporaryDirectory folder;
    int warnings = 0;
    Store store(folder.path(), [&](std::string_view) { ++warnings; });
    REQUIRE(store.publish(key, sample_entry()));
    std::string bytes = *read_file(store.path_of(key));
    bytes.resize(bytes.size() - 16);
    bytes[8] = version;
    bytes += checksum_of(bytes);
    overwrite(store.path_of(key), bytes);
    CHECK(!store.load(key));
    CHECK(store.counters().quarantined == 0);
    CHECK(warnings == 0);
    CHECK(read_file(store.path_of(key)) == bytes);
    CHECK(store.publish(key, sample_entry()));
    CHECK(store.load(key) == sample_entry());
  }
}
