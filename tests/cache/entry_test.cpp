#include "cache/entry.hpp"

#include <catch2/catch.hpp>

#include "tests/cache/damaged_bytes.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;

namespace {

const Key key{0x0123456789abcdef, 0xfedcba9876543210};

}  // namespace

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

TEST_CASE("an entry of another key is refused by name") {
  const std::string bytes = serialise(key, sample_entry());
  CHECK(parse(Key{1, 2}, bytes).defect == "holds another key");
  CHECK(parse(key, "garbage").defect == "not an entry");
}

TEST_CASE("another version is told from damage by its checksum") {
  std::string bytes = serialise(key, sample_entry());
  bytes[8] = 9;
  const ParsedEntry damaged = parse(key, bytes);
  CHECK(!damaged.other_version);
  CHECK(damaged.defect == "checksum mismatch");
  bytes.resize(bytes.size() - 16);
  const ParsedEntry future = parse(key, bytes + checksum_of(bytes));
  CHECK(!future.entry);
  CHECK(future.other_version);
  CHECK(future.defect.find("version 9") != std::string::npos);
}

TEST_CASE("the bytes of an entry never change") {
  Entry entry;
  entry.op = "a.b";
  entry.spec = "x=1";
  entry.arch = "sm_90a";
  entry.lowered_name = "_Z1kv";
  entry.cubin = "CUBIN";
  entry.ptx = "PTX";
  entry.resources = {{"registers", 40}, {"n", -2}};
  entry.key_fields = {{"source", "text"}};
  const auto text = [](const std::string& value) {
    return std::string(1, static_cast<char>(value.size())) + std::string(7, '\0') + value;
  };
  const std::string body = text("a.b") + text("x=1") + text("sm_90a") + text("_Z1kv") + text("CUBIN") +
                           text("PTX") + std::string("\2\0\0\0", 4) + text("registers") +
                           std::string("\x28\0\0\0\0\0\0\0", 8) + text("n") +
                           std::string("\xfe\xff\xff\xff\xff\xff\xff\xff", 8) + std::string("\1\0\0\0", 4) +
                           text("source") + text("text");
  const std::string covered =
      "KERNCAST" + std::string("\1\0\0\0", 4) +
      std::string("\xef\xcd\xab\x89\x67\x45\x23\x01\x10\x32\x54\x76\x98\xba\xdc\xfe", 16) + text(body);
  CHECK(serialise(key, entry) == covered + checksum_of(covered));
}
