// A cache directory that cannot be used gives one warning and never harms the host.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>

#include "cache/cache.hpp"
#include "cache/directory/health.hpp"
#include "cache/directory/index.hpp"
#include "cache/directory/store.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};
constexpr int not_permitted = 77;

Entry large_entry() {
  Entry entry = sample_entry();
  entry.cubin.assign(1 << 20, 'c');
  return entry;
}

/// Returns 0 if three publishes fail, three loads miss, and there is one warning that names a remedy.
int degrades(const std::string& root, const Entry& entry = sample_entry()) {
  std::vector<std::string> warnings;
  Store store(root, [&](std::string_view text) { warnings.emplace_back(text); });
  for (int i = 0; i < 3; ++i) {
    if (store.publish(key, entry)) {
      return 1;
    }
    if (store.load(key)) {
      return 2;
    }
  }
  if (warnings.size() != 1 || warnings[0].find("KERNCAST_CACHE_DIR") == std::string::npos) {
    return 3;
  }
  return store.counters().failed_publishes == 3 && store.statistics().entries == 0 &&
                 store.statistics().temporaries == 0
             ? 0
             : 4;
}

void limit_file_size(rlim_t bytes) {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = bytes;
  setrlimit(RLIMIT_FSIZE, &limit);
}

/// Mounts a small file system for this process alone. False if that is not permitted.
bool mount_small(const std::string& path) {
  return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
         mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("none", path.c_str(), "tmpfs", 0, "size=64k,mode=700") == 0;
}

volatile sig_atomic_t handled = 0;

}  // namespace

TEST_CASE("a file size limit costs one warning, not the process") {
  const TemporaryDirectory folder;
  CHECK(run_child([&] {
          limit_file_size(64);
          return degrades(folder.path());
        }) == 0);
  CHECK(run_child([&] {
          limit_file_size(64 << 10);
          return degrades(folder.path(), large_entry());
        }) == 0);
  // When the limit is raised, the store works again.
  CHECK(run_child([&] {
          Store store(folder.path(), nullptr);
          limit_file_size(64);
          const bool refused = !store.publish(key, sample_entry());
          limit_file_size(RLIM_INFINITY);
          return refused && store.publish(key, sample_entry()) && store.load(key) == sample_entry() ? 0 : 1;
        }) == 0);
}

TEST_CASE("a file size limit leaves the host's signals as they are") {
  const TemporaryDirectory folder;
  CHECK(run_child([&] {
          signal(SIGXFSZ, [](int) { handled = 1; });
          limit_file_size(64);
          const int result = degrades(folder.path());
          sigset_t mask{};
          sigset_t pending{};
          pthread_sigmask(SIG_BLOCK, nullptr, &mask);
          sigpending(&pending);
          return handled != 0 || sigismember(&mask, SIGXFSZ) != 0 || sigismember(&pending, SIGXFSZ) != 0
                     ? 10
                     : result;
        }) == 0);
  // A signal that the host blocks stays pending.
  CHECK(run_child([&] {
          sigset_t set{};
          sigemptyset(&set);
          sigaddset(&set, SIGXFSZ);
          pthread_sigmask(SIG_BLOCK, &set, nullptr);
          raise(SIGXFSZ);
          limit_file_size(64);
          const int result = degrades(folder.path());
          sigset_t pending{};
          sigpending(&pending);
          return sigismember(&pending, SIGXFSZ) == 1 ? result : 10;
        }) == 0);
}

TEST_CASE("a listing under a file size limit comes from the files") {
  const TemporaryDirectory folder;
  REQUIRE(Store(folder.path(), nullptr).publish(key, sample_entry()));
  CHECK(run_child([&] {
          limit_file_size(0);
          Store store(folder.path(), nullptr);
          return list_entries(store).size() == 1 ? 0 : 1;
        }) == 0);
}

TEST_CASE("a full file system costs one warning and leaves nothing behind") {
  const TemporaryDirectory folder;
  const int code = run_child([&] {
    if (!mount_small(folder.path())) {
      return not_permitted;
    }
    if (const int result = degrades(folder.path(), large_entry()); result != 0) {
      return result;
    }
    Store store(folder.path(), nullptr);
    return store.publish(key, sample_entry()) && store.load(key) == sample_entry() ? 0 : 5;
  });
  if (code == not_permitted) {
    WARN("not permitted to mount a file system here: the case was not tried");
  } else {
    CHECK(code == 0);
  }
}

TEST_CASE("a read-only file system serves hits and costs one warning") {
  const TemporaryDirectory folder;
  const int code = run_child([&] {
    if (!mount_small(folder.path())) {
      return not_permitted;
    }
    const Key good{1, 1};
    const Key bad{2, 2};
    {
      Store store(folder.path(), nullptr);
      store.publish(good, sample_entry());
      store.publish(bad, sample_entry());
      std::ofstream(store.path_of(bad), std::ios::trunc) << "garbage";
    }
    if (mount(nullptr, folder.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      return not_permitted;
    }
    int warnings = 0;
    Store store(folder.path(), [&](std::string_view) { ++warnings; });
    for (int i = 0; i < 3; ++i) {
      if (store.load(good) != sample_entry() || store.publish(key, sample_entry())) {
        return 1;
      }
    }
    if (warnings != 1 || list_entries(store).size() != 1 || store.clear().entries != 0) {
      return 2;
    }
    // A bad entry that cannot be moved away is a miss at each load.
    return !store.load(bad) && !store.load(bad) && warnings == 2 ? 0 : 3;
  });
  if (code == not_permitted) {
    WARN("not permitted to mount a file system here: the case was not tried");
  } else {
    CHECK(code == 0);
  }
}

TEST_CASE("a file system that becomes read-only and writable again mid-run costs one warning") {
  const TemporaryDirectory folder;
  const int code = run_child([&] {
    if (!mount_small(folder.path())) {
      return not_permitted;
    }
    int warnings = 0;
    CacheOptions options;
    options.directory = folder.path();
    options.memory_bytes = 0;
    Cache cache(options, [&](std::string_view) { ++warnings; });
    if (!cache.publish({1, 1}, sample_entry())) {
      return 1;
    }
    // The cache keeps its usage file open for writing, so the file system itself cannot become read-only.
    if (mount(folder.path().c_str(), folder.path().c_str(), nullptr, MS_BIND, nullptr) != 0 ||
        mount(nullptr, folder.path().c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
      return not_permitted;
    }
    for (std::uint64_t i = 2; i < 5; ++i) {
      if (cache.load({i, i}) || cache.publish({i, i}, sample_entry()) || !cache.load({1, 1})) {
        return 2;
      }
    }
    if (warnings != 1) {
      return 3;
    }
    if (umount2(folder.path().c_str(), MNT_DETACH) != 0) {
      return not_permitted;
    }
    return cache.publish({5, 5}, sample_entry()) && *cache.load({5, 5}).entry == sample_entry() &&
                   cache.load({1, 1}) && warnings == 1
               ? 0
               : 4;
  });
  if (code == not_permitted) {
    WARN("not permitted to mount a file system here: the case was not tried");
  } else {
    CHECK(code == 0);
  }
}

TEST_CASE("paths that cannot be a cache directory cost one warning") {
  const TemporaryDirectory folder;
  const std::string file = folder.path() + "/file";
  std::ofstream(file) << "no folder";
  fs::create_symlink("loop", folder.path() + "/loop");
  fs::create_symlink("nowhere/at/all", folder.path() + "/dangling");
  mkfifo((folder.path() + "/fifo").c_str(), 0600);
  const std::string roots[] = {file,
                               file + "/below/it",
                               folder.path() + "/loop",
                               folder.path() + "/loop/below",
                               folder.path() + "/dangling",
                               folder.path() + "/fifo",
                               folder.path() + "/" + std::string(300, 'n'),
                               folder.path() + "/" + std::string(5000, 'p'),
                               "/proc/kerncast",
                               "/dev/null"};
  for (const std::string& root : roots) {
    INFO(root);
    CHECK(run_child([&] { return degrades(root); }) == 0);
    CHECK(run_child([&] {
            Store store(root, nullptr);
            return list_entries(store).empty() && store.clear().entries == 0 &&
                           check_health(store).problems.size() == 1
                       ? 0
                       : 1;
          }) == 0);
  }
  CHECK(fs::file_size(file) == 9);
}

TEST_CASE("foreign things in the place of the store's folders give one warning") {
  for (const char* name : {"v1", "v1/01"}) {
    for (const char* kind : {"file", "fifo", "link"}) {
      INFO(name << " is a " << kind);
      const TemporaryDirectory folder;
      const TemporaryDirectory elsewhere;
      const std::string path = folder.path() + "/" + name;
      fs::create_directories(fs::path(path).parent_path());
      if (kind == std::string("file")) {
        std::ofstream(path) << "x";
      } else if (kind == std::string("fifo")) {
        REQUIRE(mkfifo(path.c_str(), 0600) == 0);
      } else {
        fs::create_directory_symlink(elsewhere.path(), path);
      }
      CHECK(run_child([&] { return degrades(folder.path()); }) == 0);
      CHECK(fs::is_empty(elsewhere.path()));
    }
  }
}

TEST_CASE("a relative directory is where the store was opened") {
  const TemporaryDirectory folder;
  CHECK(run_child([&] {
          if (chdir(folder.path().c_str()) != 0) {
            return 1;
          }
          Store store("some/./cache/", nullptr);
          if (chdir("/") != 0 || !store.publish(key, sample_entry())) {
            return 2;
          }
          return store.root() == folder.path() + "/some/cache" ? 0 : 3;
        }) == 0);
  CHECK(Store(folder.path() + "/some/cache", nullptr).load(key) == sample_entry());
}

TEST_CASE("two dots after a symbolic link mean what the system says they mean") {
  const TemporaryDirectory folder;
  fs::create_directories(folder.path() + "/real/inner");
  fs::create_directory_symlink(folder.path() + "/real/inner", folder.path() + "/link");
  Store store(folder.path() + "/link/../cache", nullptr);
  REQUIRE(store.publish(key, sample_entry()));
  CHECK(fs::exists(folder.path() + "/real/cache/v1"));
}

TEST_CASE("a directory that is a symbolic link is the user's choice") {
  const TemporaryDirectory folder;
  fs::create_directory(folder.path() + "/real");
  fs::create_directory_symlink("real", folder.path() + "/link");
  Store store(folder.path() + "/link", nullptr);
  REQUIRE(store.publish(key, sample_entry()));
  CHECK(store.load(key) == sample_entry());
  CHECK(list_entries(store).size() == 1);
  CHECK(fs::exists(folder.path() + "/real/index.sqlite"));
  CHECK(store.clear().entries == 1);
}

TEST_CASE("others may read what is published as the umask says, and never write") {
  for (const mode_t mask : {0000U, 0002U, 0022U, 0077U}) {
    const TemporaryDirectory folder;
    CHECK(run_child([&] {
            umask(mask);
            Store store(folder.path() + "/new", nullptr);
            struct stat file{};
            struct stat made{};
            return store.publish(key, sample_entry()) && stat(store.path_of(key).c_str(), &file) == 0 &&
                           (file.st_mode & 07777) == (0644U & ~mask) &&
                           stat(store.root().c_str(), &made) == 0 && (made.st_mode & 07777) == (0755U & ~mask)
                       ? 0
                       : 1;
          }) == 0);
  }
}
