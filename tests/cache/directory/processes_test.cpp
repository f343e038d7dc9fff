// Several processes use stores on one directory.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <thread>

#include "cache/directory/store.hpp"
#include "cache/process_lock.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

constexpr int process_count = 8;

/// A barrier: children wait until all of them have arrived.
class Gate {
 public:
  Gate() { REQUIRE(pipe(pipe_.data()) == 0); }
  void wait() const {
    close(pipe_[1]);
    char byte = 0;
    static_cast<void>(!read(pipe_[0], &byte, 1));
  }
  void open() const {
    close(pipe_[1]);
    close(pipe_[0]);
  }

 private:
  std::array<int, 2> pipe_{};
};

/// Does what a runtime does on a miss, and appends a byte to `log` for each compile.
bool obtain(Store& store, const Key& key, const std::string& log) {
  if (store.load(key)) {
    return true;
  }
  const ProcessLock lock(store.root(), key, 60'000);
  if (store.load(key)) {
    return true;
  }
  const int descriptor = open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  const bool logged = write(descriptor, "c", 1) == 1;
  close(descriptor);
  usleep(5'000);
  return logged && store.publish(key, sample_entry(key.hex())) && store.load(key) == sample_entry(key.hex());
}

std::uintmax_t size_of(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

TEST_CASE("eight processes on the same keys compile each once") {
  const TemporaryDirectory folder;
  const Gate gate;
  constexpr std::uint64_t keys = 40;
  std::vector<pid_t> children;
  children.reserve(process_count);
  for (int i = 0; i < process_count; ++i) {
    children.push_back(start_child([&] {
      gate.wait();
      Store store(folder.path() + "/cache", nullptr);
      for (std::uint64_t k = 0; k < keys; ++k) {
        if (!obtain(store, {k, 1}, folder.path() + "/log" + std::to_string(k))) {
          return 1;
        }
      }
      return store.counters().quarantined == 0 && store.counters().failed_publishes == 0 ? 0 : 2;
    }));
  }
  gate.open();
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
  for (std::uint64_t k = 0; k < keys; ++k) {
    CHECK(size_of(folder.path() + "/log" + std::to_string(k)) == 1);
  }
  const Store store(folder.path() + "/cache", nullptr);
  CHECK(store.statistics().entries == keys);
  CHECK(store.statistics().temporaries == 0);
  CHECK(fs::is_empty(folder.path() + "/cache/locks"));
}

TEST_CASE("eight processes on different keys do not wait for each other") {
  const TemporaryDirectory folder;
  const Gate gate;
  std::vector<pid_t> children;
  children.reserve(process_count);
  for (std::uint64_t i = 0; i < process_count; ++i) {
    children.push_back(start_child([&, i] {
      gate.wait();
      Store store(folder.path() + "/cache", nullptr);
      for (std::uint64_t k = 0; k < 10; ++k) {
        const Key key{k, i};
        const ProcessLock lock(store.root(), key, 60'000);
        if (!lock.held() || lock.waited() || !store.publish(key, sample_entry(key.hex()))) {
          return 1;
        }
      }
      return 0;
    }));
  }
  gate.open();
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
  Store store(folder.path() + "/cache", nullptr);
  CHECK(store.statistics().entries == 80);
  for (const StoredFile& file : store.list()) {
    CHECK(store.load(file.key) == sample_entry(file.key.hex()));
  }
}

TEST_CASE("processes without locks publish one key and read whole entries") {
  const TemporaryDirectory folder;
  const Key key{7, 7};
  std::vector<pid_t> children;
  children.reserve(process_count);
  for (int i = 0; i < process_count; ++i) {
    children.push_back(start_child([&] {
      Store store(folder.path(), nullptr);
      for (int round = 0; round < 50; ++round) {
        if (!store.publish(key, sample_entry()) || store.load(key) != sample_entry()) {
          return 1;
        }
      }
      return store.counters().quarantined == 0 ? 0 : 2;
    }));
  }
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
}

TEST_CASE("a publish does not fail while another process clears the directory") {
  const TemporaryDirectory folder;
  const pid_t clearer = start_child([&] {
    Store store(folder.path(), nullptr);
    while (true) {
      store.clear();
      usleep(50);
    }
    return 0;
  });
  std::string warning;
  Store store(folder.path(), [&](std::string_view text) { warning = text; });
  for (std::uint64_t i = 0; i < 500; ++i) {
    CHECK(store.publish({i, i}, sample_entry()));
  }
  kill(clearer, SIGKILL);
  exit_code(clearer);
  INFO(warning);
  CHECK(warning.empty());
}

TEST_CASE("a good entry published meanwhile is not taken for the bad one") {
  const TemporaryDirectory folder;
  Store store(folder.path(), nullptr);
  const Key key{1, 2};
  REQUIRE(store.publish(key, sample_entry()));
  const std::string bad = folder.path() + "/bad";
  for (int round = 0; round < 10; ++round) {
    // The file is so large that its reader is probably still busy when the good one arrives.
    std::ofstream(bad, std::ios::trunc) << "KERNCAST";
    fs::resize_file(bad, 64 << 20);
    fs::rename(bad, store.path_of(key));
    std::thread reader([&] { static_cast<void>(store.load(key)); });
    std::this_thread::sleep_for(std::chrono::milliseconds(4));
    CHECK(store.publish(key, sample_entry()));
    reader.join();
    CHECK(store.load(key) == sample_entry());
  }
}
