#include "cache/entry.hpp"

#include <catch2/catch.hpp>

#include "tests/cache/sample.hpp"

using namespace kerncast::cache;

namespace {
const Key key{0x0123456789abcdef, 0xfedcba9876543210};
}

TEST_CASE("an entry survives the round trip") {
  const Entry entry = sample_entry();
  const std::string bytes = serialise(key, entry);
  const ParsedEntry parsed = parse(key, bytes);
  REQUIRE(parsed.entry);
  CHECK(*parsed.entry == entry);
  CHECK(claimed_key(bytes) == key);
  const ParsedEntry empty = parse(key, serialise(key, Entry{}));
  REQUIRE(empty.entry);
  CHECK(*empty.entry == Entry{});
}

TEST_CASE("flipping any bit of an entry is noticed") {
  const std::string bytes = serialise(key, sample_entry());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const ParsedEntry parsed = parse(key, flipped);
      INFO("byte " << i << " bit " << bit);
      REQUIRE(!parsed.entry);
      REQUIRE(!parsed.defect.empty());
    }
  }
}

TEST_CASE("every truncation and every appended byte is noticed") {
  const std::string bytes = serialise(key, sample_entry());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    INFO("length " << length);
    REQUIRE(!parse(key, bytes.substr(0, length)).entry);
  }
  CHECK(!parse(key, bytes + '\0').entry);
}

TEST_CASE("an entry of another key or version is refused by name") {
  const std::string bytes = serialise(key, sample_entry());
  CHECK(parse(Key{1, 2}, bytes).defect == "holds another key");
  std::string future = bytes;
  future[8] = 9;
  CHECK(parse(key, future).defect.find("version 9") != std::string::npos);
  CHECK(parse(key, "garbage").defect == "not an entry");
}
