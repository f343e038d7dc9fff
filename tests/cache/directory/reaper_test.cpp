// The files that killed processes leave, and who may remove them.
#include <fcntl.h>
#include <sys/file.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>

#include "cache/directory/budget.hpp"
#include "cache/directory/reaper.hpp"
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

TEST_CASE_METHOD(Fixture, "of quarantined files and failed sources the newest few are kept") {
  const std::string at[] = {folder.path() + "/quarantine/", folder.path() + "/failed/"};
  const std::string suffix[] = {".kce", ".cu"};
  fs::create_directories(at[1]);
  const auto path = [&](int where, std::size_t i) { return at[where] + std::to_string(i) + suffix[where]; };
  for (const int where : {0, 1}) {
    for (std::size_t i = 0; i < most_kept_files + 3; ++i) {
      leave(path(where, i), std::chrono::hours(i + 2));
    }
    make_old(path(where, 0), std::chrono::hours(-48));
    std::ofstream(at[where] + "tuning.sqlite") << "records";
    fs::create_symlink(elsewhere.path(), at[where] + "notes");
  }
  CHECK(trim(Folder::open(folder.path()), {0, 0}, "").collected == 6);
  for (const int where : {0, 1}) {
    INFO(at[where]);
    // A date ahead of the clock would never become old.
    CHECK(!fs::exists(path(where, 0)));
    CHECK(fs::exists(path(where, 1)));
    CHECK(fs::exists(path(where, most_kept_files)));
    CHECK(!fs::exists(path(where, most_kept_files + 1)));
    CHECK(!fs::exists(path(where, most_kept_files + 2)));
    CHECK(fs::exists(at[where] + "tuning.sqlite"));
    CHECK(fs::is_symlink(at[where] + "notes"));
  }
  CHECK(trim(Folder::open(folder.path()), {0, 0}, "").collected == 0);
}

TEST_CASE_METHOD(Fixture, "quarantined files are kept within their size, the doubtful ones least") {
  const auto path = [&](std::uint64_t i) {
    return folder.path() + "/quarantine/" + std::to_string(i) + ".kce";
  };
  for (std::uint64_t i = 0; i < 5; ++i) {
    leave(path(i), std::chrono::minutes(0));
    fs::resize_file(path(i), i == 0 ? std::uintmax_t{1} << 40 : most_kept_bytes / 3);
    make_old(path(i), std::chrono::hours(i + 2));
  }
  CHECK(reap_surplus(Folder::open(folder.path() + "/quarantine"), ".kce") == 2);
  CHECK(!fs::exists(path(0)));  // No entry is as large as that.
  CHECK((fs::exists(path(1)) && fs::exists(path(2)) && fs::exists(path(3))));
  CHECK(!fs::exists(path(4)));
}

TEST_CASE_METHOD(Fixture, "sources of failed compiles stay few where nothing is ever published") {
  for (std::size_t i = 0; i < most_kept_files + 10; ++i) {
    const std::string kept = store.keep_failed(std::to_string(i) + ".cu", "source");
    CHECK(fs::exists(kept));
  }
  CHECK(static_cast<std::size_t>(std::distance(fs::directory_iterator(folder.path() + "/failed"),
                                               fs::directory_iterator())) == most_kept_files);
}
