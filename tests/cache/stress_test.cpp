// Many processes use one directory, and some of them damage it. KERNCAST_STRESS_SECONDS sets the time.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>

#include "cache/cache.hpp"
#include "cache/directory/budget.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t keys = 48;
using Clock = std::chrono::steady_clock;

/// The content of a key. Each key has only one correct content.
Entry entry(std::uint64_t i) {
  Entry out = sample_entry(std::to_string(i));
  out.cubin.assign(1000 + 997 * i, static_cast<char>(i));
  return out;
}

CacheOptions options(const std::string& root) {
  CacheOptions out;
  out.directory = root;
  out.memory_bytes = 0;
  out.budget = {0, keys / 2};
  return out;
}

int read_all(const std::string& root, Clock::time_point end, unsigned seed) {
  std::mt19937 random(seed);
  Cache cache(options(root), nullptr);
  while (Clock::now() < end) {
    const std::uint64_t i = random() % keys;
    const Hit hit = cache.load(sample_key(i));
    if (hit && *hit.entry != entry(i)) {
      return 1;
    }
  }
  return 0;
}

int write_all(const std::string& root, Clock::time_point end, unsigned seed) {
  std::mt19937 random(seed);
  int failures = 0;
  while (Clock::now() < end) {
    // Processes begin and end, so that usage files are created, collected and abandoned.
    Cache cache(options(root), nullptr);
    for (int round = 0; round < 20 && Clock::now() < end; ++round) {
      const std::uint64_t i = random() % keys;
      failures += cache.publish(sample_key(i), entry(i)) ? 0 : 1;
    }
  }
  return failures == 0 ? 0 : 2;
}

int evict_all(const std::string& root, Clock::time_point end, unsigned seed) {
  std::mt19937 random(seed);
  while (Clock::now() < end) {
    const Folder folder = Folder::open(root);
    static_cast<void>(trim(folder, {0, 1 + random() % keys}, ""));
    if (random() % 16 == 0) {
      Store(root, nullptr).clear();
    }
    usleep(1000);
  }
  return 0;
}

int corrupt_all(const std::string& root, Clock::time_point end, unsigned seed) {
  std::mt19937 random(seed);
  const Store store(root, nullptr);
  while (Clock::now() < end) {
    const std::string path = store.path_of(sample_key(random() % keys));
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (file >= 0) {
      struct stat info{};
      fstat(file, &info);
      char byte = 0;
      const off_t at = info.st_size > 0 ? static_cast<off_t>(random()) % info.st_size : 0;
      switch (random() % 4) {
        case 0:
          static_cast<void>(!ftruncate(file, at));
          break;
        case 1:
          static_cast<void>(!pread(file, &byte, 1, at));
          byte = static_cast<char>(byte ^ 0x20);
          static_cast<void>(!pwrite(file, &byte, 1, at));
          break;
        case 2:
          static_cast<void>(!pwrite(file, "more", 4, info.st_size));
          break;
        default:
          unlink(path.c_str());
          static_cast<void>(mkdir(path.c_str(), 0700));
          break;
      }
      close(file);
    }
    usleep(2000);
  }
  return 0;
}

}  // namespace

TEST_CASE("sixteen readers, writers, evictors and corrupters serve nothing wrong and lose nothing for good") {
  const TemporaryDirectory folder;
  const std::string root = folder.path() + "/cache";
  const char* asked = std::getenv("KERNCAST_STRESS_SECONDS");
  const int seconds = asked != nullptr ? std::max(1, std::atoi(asked)) : 2;
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  using Work = int (*)(const std::string&, Clock::time_point, unsigned);
  constexpr Work works[] = {read_all,  read_all,  read_all,    read_all,   read_all,  read_all,
                            write_all, write_all, write_all,   write_all,  write_all, evict_all,
                            evict_all, evict_all, corrupt_all, corrupt_all};
  std::vector<pid_t> children;
  unsigned seed = 1;
  for (const Work work : works) {
    children.push_back(
        start_child([&] { return work(root, end, seed); }, static_cast<unsigned>(seconds) + 300));
    ++seed;
  }
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
  CHECK(counters_of(Folder::open(root)).quarantined > 0);

  for (const auto& item : fs::recursive_directory_iterator(root)) {
    if (item.path().filename().string().starts_with(".tmp-")) {
      fs::last_write_time(item.path(), fs::file_time_type::clock::now() - std::chrono::hours(1));
    }
  }
  int warnings = 0;
  Store store(root, [&](std::string_view) { ++warnings; });
  for (std::uint64_t i = 0; i < keys; ++i) {
    const auto loaded = store.load(sample_key(i));
    CHECK((!loaded || *loaded == entry(i)));
  }
  warnings = 0;
  for (std::uint64_t i = 0; i < keys; ++i) {
    CHECK(store.publish(sample_key(i), entry(i)));
    CHECK(store.load(sample_key(i)) == entry(i));
  }
  CHECK(warnings == 0);
  CHECK(trim(Folder::open(root), {0, 8}, "").entries == 7);
  CHECK(store.statistics().temporaries == 0);
}
