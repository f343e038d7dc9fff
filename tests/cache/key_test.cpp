#include "cache/key.hpp"

#include <xxhash.h>

#include <catch2/catch.hpp>

using kerncast::cache::Key;
using kerncast::cache::KeyFields;

namespace {

Key key_of(std::initializer_list<std::pair<std::string, std::string>> fields) {
  KeyFields out;
  for (const auto& [label, value] : fields) {
    out.add(label, value);
  }
  return out.key();
}

}  // namespace

TEST_CASE("keys of fixed fields never change") {
  CHECK(key_of({}).hex() == "5920c1616dab48f212aaa68bc3363ccb");
  CHECK(key_of({{"source", "int x;"}, {"arch", "sm_90a"}}).hex() == "a2afb1ea52484a8fabb181b93311cb28");
}

TEST_CASE("a key is the hash of the schema and the fields, each with its length before it") {
  std::string bytes;
  for (const std::string text : {"kerncast-key-1", "source", "int x;", "arch", "sm_90a"}) {
    bytes += std::string(1, static_cast<char>(text.size())) + std::string(7, '\0') + text;
  }
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  CHECK(key_of({{"source", "int x;"}, {"arch", "sm_90a"}}) == Key{hash.high64, hash.low64});
}

TEST_CASE("fields cannot be confused by concatenation, order or label") {
  const Key base = key_of({{"ab", "c"}, {"d", "e"}});
  CHECK(base == key_of({{"ab", "c"}, {"d", "e"}}));
  CHECK(base != key_of({{"a", "bc"}, {"d", "e"}}));
  CHECK(base != key_of({{"d", "e"}, {"ab", "c"}}));
  CHECK(base != key_of({{"ab", "cde"}}));
  CHECK(base != key_of({{"ab", "c"}, {"d", "e"}, {"", ""}}));
}

TEST_CASE("only 32 lower-case hex digits are a key") {
  const Key key = key_of({{"a", "b"}});
  CHECK(Key::from_hex(key.hex()) == key);
  CHECK(!Key::from_hex(""));
  CHECK(!Key::from_hex(key.hex().substr(1)));
  CHECK(!Key::from_hex(key.hex() + "0"));
  CHECK(!Key::from_hex("../../../../../../../../etc/passw"));
  CHECK(!Key::from_hex("ABCDEF00000000000000000000000000"));
}
