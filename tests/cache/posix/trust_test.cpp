// Whose files are read. Whoever can write an entry chooses code that runs.
#include "cache/posix/trust.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "cache/cache.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};
constexpr uid_t somebody = 4321;

struct stat described(uid_t owner, mode_t mode) {
  struct stat info{};
  info.st_uid = owner;
  info.st_mode = S_IFDIR | mode;
  return info;
}

bool trusted(uid_t owner, mode_t mode, const Trust& trust) {
  return reason_not_trusted(described(owner, mode), trust).empty();
}

struct Fixture {
  Fixture() {
    Store store(directory, nullptr);
    REQUIRE(store.publish(key, sample_entry()));
    entry = store.path_of(key);
  }
  [[nodiscard]] WarningSink sink() {
    return [this](std::string_view text) { warnings.emplace_back(text); };
  }
  /// True if a load under `trust` hits. Checks that a miss gives one warning.
  [[nodiscard]] bool serves(const Trust& trust) {
    warnings.clear();
    Store store(directory, sink(), trust);
    const bool first = store.load(key).has_value();
    static_cast<void>(store.load(key));
    CHECK(warnings.size() == (first ? 0U : 1U));
    return first;
  }

  TemporaryDirectory folder;
  std::string directory = folder.path() + "/cache";
  std::string entry;
  std::vector<std::string> warnings;
};

}  // namespace

TEST_CASE("what only this user and root can write to is trusted") {
  const uid_t me = geteuid();
  CHECK(trusted(me, 0755, Trust::mine));
  CHECK(trusted(0, 0755, Trust::mine));
  CHECK(!trusted(somebody, 0755, Trust::mine));
  CHECK(!trusted(me, 0775, Trust::mine));
  CHECK(!trusted(me, 0757, Trust::mine));
  CHECK(!trusted(me, 01777, Trust::mine));
  const Trust named{true, {somebody}};
  CHECK(trusted(somebody, 0755, named));
  CHECK(trusted(me, 0755, named));
  CHECK(!trusted(somebody + 1, 0755, named));
  CHECK(!trusted(somebody, 0775, named));
  CHECK(!trusted(somebody, 0777, named));
  CHECK(trusted(somebody, 0777, Trust::everyone));
}

TEST_CASE_METHOD(Fixture, "a directory that others may write to is neither read nor written unless asked") {
  const fs::path places[] = {directory, directory + "/v1", fs::path(entry).parent_path()};
  for (const fs::path& place : places) {
    for (const mode_t mode : {mode_t{0777}, mode_t{0770}, mode_t{01777}}) {
      INFO(place << " mode " << mode);
      REQUIRE(chmod(place.c_str(), mode) == 0);
      CHECK(!serves(Trust::mine));
      CHECK_THAT(warnings.at(0), Catch::Contains("KERNCAST_CACHE_TRUST") && Catch::Contains("chmod"));
      warnings.clear();
      Store store(directory, sink());
      CHECK(!store.publish(key, sample_entry("other")));
      CHECK(!store.publish(key, sample_entry("other")));
      CHECK(store.counters().failed_publishes == 2);
      CHECK(warnings.size() == 1);
      CHECK(serves(Trust::everyone));
      REQUIRE(chmod(place.c_str(), 0700) == 0);
    }
  }
  CHECK(serves(Trust::mine));
  CHECK(Store(directory, nullptr).load(key) == sample_entry());
}

TEST_CASE_METHOD(Fixture, "an entry that others may write to is set aside") {
  REQUIRE(chmod(entry.c_str(), 0666) == 0);
  CHECK(serves(Trust::everyone));
  CHECK(!serves(Trust::mine));
  CHECK(!fs::exists(entry));
}

TEST_CASE_METHOD(Fixture, "another user's directory is not used") {
  if (chown(directory.c_str(), somebody, static_cast<gid_t>(-1)) != 0) {
    WARN("not permitted to give files away here: the case was not tried");
    return;
  }
  CHECK(!serves(Trust::mine));
  CHECK_THAT(warnings.at(0), Catch::Contains("user 4321"));
  CHECK(serves(Trust::everyone));
}

TEST_CASE_METHOD(Fixture, "a cache takes no lock in a directory that it does not trust") {
  CacheOptions options;
  options.directory = directory;
  CHECK(Cache(options, nullptr).lock_root() == directory);
  REQUIRE(chmod(directory.c_str(), 0777) == 0);
  CHECK(Cache(options, nullptr).lock_root().empty());
  options.trust_everyone = true;
  CHECK(Cache(options, nullptr).lock_root() == directory);
}

TEST_CASE("users are named by name or number") {
  CHECK(user_called("root") == uid_t{0});
  CHECK(user_called("4321") == somebody);
  CHECK(!user_called("no such user"));
  CHECK(!user_called("-1"));
  std::vector<std::string> warnings;
  CacheOptions options;
  options.owners = {"4321", "no such user"};
  const Trust trust = layer_trust(options, [&](std::string_view text) { warnings.emplace_back(text); });
  CHECK(trust.owners == std::vector<uid_t>{somebody});
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("no such user"));
}
