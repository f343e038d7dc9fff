// A layer that somebody else could have put in its place is not used.
#include "cache/posix/trusted_path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "cache/cache.hpp"
#include "cache/pack/transfer.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};
constexpr uid_t somebody = 4321;
constexpr auto no_group = static_cast<gid_t>(-1);

/// A folder `way` with a layer in it, which holds one entry.
struct Fixture {
  Fixture() {
    fs::create_directory(way);
    Store store(layer, nullptr);
    REQUIRE(store.publish(key, sample_entry()));
    fs::permissions(folder.path(), fs::perms(0755));
  }
  /// True if the layer at `path` serves the entry. A refusal gives one warning, which is kept.
  bool serves(const std::string& path, std::vector<std::string> owners = {}) {
    warnings.clear();
    CacheOptions options;
    options.read_only = {path};
    options.owners = std::move(owners);
    Cache cache(options, [this](std::string_view text) { warnings.emplace_back(text); });
    const bool hit = cache.load(key).layer == Layer::read_only;
    CHECK(cache.compilers().may_hold("13.0"));
    static_cast<void>(cache.load(key));
    CHECK(warnings.size() == (hit ? 0U : 1U));
    return hit;
  }
  [[nodiscard]] bool refused_because_of(const std::string& text) const {
    return warnings.size() == 1 && warnings[0].find(text) != std::string::npos &&
           warnings[0].find("KERNCAST_CACHE_OWNERS") != std::string::npos;
  }
  /// Gives `path` and everything in it to `owner`. False if that is not permitted.
  static bool give(const std::string& path, uid_t owner) {
    bool given = ::lchown(path.c_str(), owner, no_group) == 0;
    if (fs::is_directory(fs::symlink_status(path))) {
      for (const auto& item : fs::recursive_directory_iterator(path)) {
        given = given && ::lchown(item.path().c_str(), owner, no_group) == 0;
      }
    }
    if (!given) {
      WARN("not permitted to give files away here: the case was not tried");
    }
    return given;
  }

  TemporaryDirectory folder;
  std::string way = folder.path() + "/way";
  std::string layer = way + "/layer";
  std::vector<std::string> warnings;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a layer belongs to this user, root or a named owner") {
  CHECK(serves(layer));
  if (!give(layer, somebody)) {
    return;
  }
  CHECK(!serves(layer));
  CHECK(refused_because_of(layer + ": it belongs to user 4321"));
  CHECK(serves(layer, {"4321"}));
  CHECK(!serves(layer, {"4322"}));
}

TEST_CASE_METHOD(Fixture, "each folder and file of a layer is looked at") {
  const std::string entry = Store(layer, nullptr).path_of(key);
  for (const fs::path& place : {fs::path(entry), fs::path(entry).parent_path(), fs::path(layer + "/v1")}) {
    INFO(place);
    const fs::perms before = fs::status(place).permissions();
    fs::permissions(place, before | fs::perms::group_write);
    CHECK(!serves(layer));
    fs::permissions(place, before);
    if (give(place, somebody)) {
      CHECK(!serves(layer));
      CHECK(give(place, ::geteuid()));
    }
  }
  CHECK(serves(layer));
}

TEST_CASE_METHOD(Fixture, "nobody else may write to the folders on the way to a layer") {
  for (const mode_t mode : {mode_t{0775}, mode_t{0757}, mode_t{0777}}) {
    REQUIRE(::chmod(way.c_str(), mode) == 0);
    CHECK(!serves(layer));
    CHECK(refused_because_of("others may write to " + way));
  }
  REQUIRE(::chmod(way.c_str(), 0755) == 0);
  CHECK(serves(layer));
  if (::chown(way.c_str(), somebody, no_group) == 0) {
    CHECK(!serves(layer));
    CHECK(refused_because_of(way + " belongs to user 4321"));
    CHECK(serves(layer, {"1", "4321"}));
  }
}

TEST_CASE_METHOD(Fixture, "in a sticky folder the next part must be trusted") {
  REQUIRE(::chmod(way.c_str(), 01777) == 0);
  CHECK(serves(layer));
  // A folder of somebody else in which this user's layer lies.
  fs::create_directory(way + "/planted");
  fs::rename(layer, way + "/planted/layer");
  CHECK(serves(way + "/planted/layer"));
  if (::chown((way + "/planted").c_str(), somebody, no_group) == 0) {
    CHECK(!serves(way + "/planted/layer"));
    CHECK(refused_because_of(way + "/planted belongs to user 4321"));
  }
}

TEST_CASE_METHOD(Fixture, "a symbolic link is followed if a trusted owner made it") {
  const std::string link = folder.file("link");
  fs::create_directory_symlink("way/../way/./layer", link);
  CHECK(serves(link));
  CHECK(serves(link + "/"));
  // The way to the target counts as well.
  REQUIRE(::chmod(way.c_str(), 0777) == 0);
  CHECK(!serves(link));
  REQUIRE(::chmod(way.c_str(), 0755) == 0);
  if (give(link, somebody)) {
    CHECK(!serves(link));
    CHECK(refused_because_of("the link " + link + " belongs to user 4321"));
  }
  const std::string loop = folder.file("loop");
  fs::create_directory_symlink("loop/..", loop);
  CHECK(open_trusted(loop, O_RDONLY, Trust::mine).error == ELOOP);
}

TEST_CASE_METHOD(Fixture, "a relative path is followed from the root") {
  const fs::path before = fs::current_path();
  fs::current_path(way);
  CHECK(serves("layer"));
  CHECK(serves("../way/layer"));
  CHECK(open_trusted(".", O_RDONLY, Trust::mine).file.valid());
  CHECK(open_trusted("/", O_RDONLY, Trust::mine).file.valid());
  CHECK(open_trusted("", O_RDONLY, Trust::mine).error == ENOENT);
  REQUIRE(::chmod(way.c_str(), 0777) == 0);
  CHECK(!serves("layer"));
  fs::current_path(before);
}

TEST_CASE_METHOD(Fixture, "a pack is held to the same rules") {
  const std::string pack = way + "/kernels.pack";
  Store store(layer, nullptr);
  std::string bytes;
  static_cast<void>(
      export_pack(store, [](const Entry&) { return true; }, [&](std::string_view part) { bytes += part; }));
  static_cast<void>(folder.write("way/kernels.pack", bytes));
  fs::permissions(pack, fs::perms(0644));
  CHECK(serves(pack));
  REQUIRE(::chmod(way.c_str(), 0777) == 0);
  CHECK(!serves(pack));
  CHECK(refused_because_of("others may write to " + way));
  REQUIRE(::chmod(way.c_str(), 0755) == 0);
  if (give(pack, somebody)) {
    CHECK(!serves(pack));
    CHECK(serves(pack, {"4321"}));
  }
}

TEST_CASE_METHOD(Fixture, "what root warmed serves another user") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can be another user");
    return;
  }
  CHECK(run_child([&] {
          CacheOptions options;
          options.read_only = {layer};
          return ::setresuid(somebody, somebody, somebody) == 0 &&
                         Cache(options, nullptr).load(key).layer == Layer::read_only
                     ? 0
                     : 1;
        }) == 0);
}
