// The files that killed processes leave, and who may remove them.
#include <fcntl.h>
#include <sys/file.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>

#include "cache/directory/store.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/process_lock.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};

void make_old(const std::string& path, std::chrono::minutes age) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - age);
}

std::string leave(const std::string& path, std::chrono::minutes age) {
  std::ofstream(path) << "left";
  make_old(path, age);
  return path;
}

Descriptor locked(const std::string& path) {
  Descriptor descriptor(open(path.c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(flock(descriptor.get(), LOCK_EX | LOCK_NB) == 0);
  return descriptor;
}

struct Fixture {
  Fixture() : store(folder.path(), nullptr) {
    fs::create_directories(folder.path() + "/v1/01");
    fs::create_directories(folder.path() + "/quarantine");
    fs::create_directories(folder.path() + "/locks");
  }
  TemporaryDirectory folder;
  TemporaryDirectory elsewhere;
  Store store;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a publish removes the temporaries of dead writers in its folder") {
  const std::string dead = leave(folder.path() + "/v1/01/.tmp-1-1", std::chrono::minutes(60));
  const std::string young = leave(folder.path() + "/v1/01/.tmp-1-2", std::chrono::minutes(1));
  const std::string living = leave(folder.path() + "/v1/01/.tmp-1-3", std::chrono::minutes(60));
  const std::string other = leave(folder.path() + "/v1/01/notes.txt", std::chrono::minutes(60));
  const std::string passage = leave(folder.path() + "/quarantine/.tmp-1-4", std::chrono::minutes(60));
  const std::string target = leave(elsewhere.path() + "/precious", std::chrono::minutes(60));
  fs::create_symlink(target, folder.path() + "/v1/01/.tmp-1-5");
  const Descriptor writer = locked(living);
  REQUIRE(store.publish(key, sample_entry()));
  CHECK(!fs::exists(dead));
  CHECK(!fs::exists(passage));
  CHECK(fs::exists(young));
  CHECK(fs::exists(living));
  CHECK(fs::exists(other));
  CHECK(fs::exists(target));
  CHECK(store.load(key) == sample_entry());
}

TEST_CASE_METHOD(Fixture, "the first publish removes locks that nobody holds") {
  const std::string left = leave(folder.path() + "/locks/" + Key{1, 1}.hex(), std::chrono::minutes(60));
  const std::string foreign = leave(folder.path() + "/locks/notes.txt", std::chrono::minutes(60));
  const std::string target = leave(elsewhere.path() + "/precious", std::chrono::minutes(60));
  fs::create_symlink(target, folder.path() + "/locks/" + Key{1, 3}.hex());
  const Key held_key{1, 2};
  const ProcessLock held(folder.path(), held_key, 100);
  REQUIRE(held.held());
  make_old(folder.path() + "/locks/" + held_key.hex(), std::chrono::minutes(60));
  REQUIRE(store.publish(key, sample_entry()));
  CHECK(!fs::exists(left));
  CHECK(fs::exists(foreign));
  CHECK(fs::exists(target));
  CHECK(fs::exists(folder.path() + "/locks/" + held_key.hex()));
  CHECK(!ProcessLock(folder.path(), held_key, 20).held());
}

TEST_CASE_METHOD(Fixture, "clear removes what dead processes left, and nothing of a living one's") {
  const std::string dead = leave(folder.path() + "/v1/01/.tmp-1-1", std::chrono::minutes(1));
  const std::string living = leave(folder.path() + "/v1/01/.tmp-1-2", std::chrono::minutes(1));
  const std::string probe = leave(folder.path() + "/.tmp-1-3", std::chrono::minutes(1));
  const std::string lock = leave(folder.path() + "/locks/" + Key{1, 1}.hex(), std::chrono::minutes(1));
  // The writer of the file may be about to lock it.
  const std::string newborn = leave(folder.path() + "/v1/01/.tmp-1-4", -std::chrono::minutes(1));
  {
    const Descriptor writer = locked(living);
    CHECK(store.statistics().temporaries == 4);
    CHECK(store.clear().temporaries == 2);
    CHECK(!fs::exists(dead));
    CHECK(!fs::exists(probe));
    CHECK(!fs::exists(lock));
    CHECK(fs::exists(living));
    CHECK(fs::exists(newborn));
  }
  make_old(newborn, std::chrono::minutes(1));
  CHECK(store.clear().temporaries == 2);
}

TEST_CASE_METHOD(Fixture, "a removed lock is not mistaken for its successor") {
  const std::string path = folder.path() + "/locks/" + key.hex();
  auto first = std::make_unique<ProcessLock>(folder.path(), key, 100);
  fs::remove(path);
  const ProcessLock second(folder.path(), key, 100);
  CHECK(second.held());
  first.reset();
  CHECK(fs::exists(path));
  CHECK(!ProcessLock(folder.path(), key, 20).held());
}
