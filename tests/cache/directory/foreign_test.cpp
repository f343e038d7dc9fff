// Foreign things in the place of an entry: folders, pipes, sockets, symbolic links, files that are too large.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <functional>

#include "cache/directory/store.hpp"
#include "cache/process_lock.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};

bool make_socket(const std::string& path) {
  // A socket address holds about a hundred characters, so bind from within the folder.
  const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = fs::path(path).filename();
  name.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return chdir(fs::path(path).parent_path().c_str()) == 0 &&
         bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

struct Foreign {
  const char* name;
  std::function<bool(const std::string&)> make;
};

const Foreign kinds[] = {
    {"pipe", [](const std::string& path) { return mkfifo(path.c_str(), 0600) == 0; }},
    {"socket", make_socket},
    {"empty folder", [](const std::string& path) { return mkdir(path.c_str(), 0700) == 0; }},
    {"folder with a file",
     [](const std::string& path) {
       return mkdir(path.c_str(), 0700) == 0 && static_cast<bool>(std::ofstream(path + "/file") << "x");
     }},
    {"symbolic link to itself",
     [](const std::string& path) { return symlink(fs::path(path).filename().c_str(), path.c_str()) == 0; }},
    {"dangling symbolic link",
     [](const std::string& path) { return symlink("/nonexistent/kerncast", path.c_str()) == 0; }},
    {"symbolic link to a device",
     [](const std::string& path) { return symlink("/dev/zero", path.c_str()) == 0; }},
    {"huge sparse file",
     [](const std::string& path) {
       return static_cast<bool>(std::ofstream(path)) && truncate(path.c_str(), off_t{1} << 40) == 0;
     }},
};

/// Returns 0 if the load misses, the thing is moved to quarantine and counted with one warning, and the key
/// can then be published and cleared.
int is_set_aside(const std::string& root, const Foreign& foreign) {
  int warnings = 0;
  Store store(root, [&](std::string_view) { ++warnings; });
  store.publish(key, sample_entry());
  const std::string path = store.path_of(key);
  for (std::uint64_t round = 1; round <= 2; ++round) {
    fs::remove(path);
    if (!foreign.make(path)) {
      return 1;
    }
    if (store.load(key) || store.counters().quarantined != round || warnings != 1) {
      return 2;
    }
    if (fs::exists(fs::symlink_status(path)) || store.statistics().quarantined == 0) {
      return 3;
    }
    if (!store.publish(key, sample_entry()) || store.load(key) != sample_entry()) {
      return 4;
    }
  }
  store.clear();
  return store.statistics().entries == 0 ? 0 : 5;
}

}  // namespace

TEST_CASE("what is no file in an entry's place is a miss and moved aside") {
  for (const Foreign& foreign : kinds) {
    const TemporaryDirectory folder;
    INFO(foreign.name);
    CHECK(run_child([&] { return is_set_aside(folder.path(), foreign); }, 20) == 0);
  }
}

TEST_CASE("a publish takes the place of whatever stands there") {
  for (const Foreign& foreign : kinds) {
    const TemporaryDirectory folder;
    INFO(foreign.name);
    CHECK(run_child(
              [&] {
                Store store(folder.path(), nullptr);
                fs::create_directories(fs::path(store.path_of(key)).parent_path());
                return foreign.make(store.path_of(key)) && store.publish(key, sample_entry()) &&
                               store.load(key) == sample_entry()
                           ? 0
                           : 1;
              },
              20) == 0);
  }
}

TEST_CASE("a device in an entry's place is a miss and moved aside") {
  const TemporaryDirectory folder;
  const Foreign device{"device", [](const std::string& path) {
                         return mknod(path.c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0;
                       }};
  if (!device.make(folder.path() + "/probe")) {
    WARN("not permitted to make a device here: the case was not tried");
    return;
  }
  CHECK(run_child([&] { return is_set_aside(folder.path(), device); }, 20) == 0);
}

TEST_CASE("a symbolic link in an entry's place is moved, its target is not") {
  const TemporaryDirectory folder;
  const TemporaryDirectory elsewhere;
  Store store(folder.path(), nullptr);
  Store other(elsewhere.path(), nullptr);
  REQUIRE(store.publish(key, sample_entry()));
  REQUIRE(other.publish(key, sample_entry("elsewhere")));
  fs::remove(store.path_of(key));
  fs::create_symlink(other.path_of(key), store.path_of(key));
  CHECK(!store.load(key));
  CHECK(store.counters().quarantined == 1);
  CHECK(other.load(key) == sample_entry("elsewhere"));
  store.clear();
  CHECK(store.statistics().quarantined == 0);
  CHECK(other.load(key) == sample_entry("elsewhere"));
}

TEST_CASE("an entry reached through a linked folder is neither served nor moved") {
  const TemporaryDirectory folder;
  const TemporaryDirectory elsewhere;
  Store other(elsewhere.path(), nullptr);
  REQUIRE(other.publish(key, sample_entry()));
  std::ofstream(other.path_of(key), std::ios::trunc) << "garbage";
  fs::create_directory_symlink(elsewhere.path() + "/v1", folder.path() + "/v1");
  Store store(folder.path(), nullptr);
  CHECK(!store.load(key));
  CHECK(fs::exists(other.path_of(key)));
  CHECK(store.list().empty());
}

TEST_CASE("a quarantine that cannot be used leaves a miss") {
  for (const bool link : {false, true}) {
    const TemporaryDirectory folder;
    const TemporaryDirectory elsewhere;
    Store store(folder.path(), nullptr);
    REQUIRE(store.publish(key, sample_entry()));
    std::ofstream(store.path_of(key), std::ios::trunc) << "garbage";
    if (link) {
      fs::create_directory_symlink(elsewhere.path(), folder.path() + "/quarantine");
    } else {
      std::ofstream(folder.path() + "/quarantine") << "x";
    }
    CHECK(!store.load(key));
    CHECK(store.counters().quarantined == 1);
    CHECK(fs::is_empty(elsewhere.path()));
    CHECK(store.publish(key, sample_entry()));
    CHECK(store.load(key) == sample_entry());
  }
}

TEST_CASE("what stands in a lock's place means no lock, at once") {
  for (const Foreign& foreign : kinds) {
    if (foreign.name == std::string("huge sparse file")) {
      continue;
    }
    const TemporaryDirectory folder;
    INFO(foreign.name);
    fs::create_directory(folder.path() + "/locks");
    CHECK(run_child(
              [&] {
                return foreign.make(folder.path() + "/locks/" + key.hex()) &&
                               !ProcessLock(folder.path(), key, 100).held()
                           ? 0
                           : 1;
              },
              20) == 0);
  }
}
