// Processes are killed at each of their system calls, and each call is made to fail.
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>

#include "cache/cache.hpp"
#include "cache/pack/transfer.hpp"
#include "cache/posix/file.hpp"
#include "tests/cache/every_stop.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};
constexpr int errors[] = {EIO, ENOSPC, EACCES, EINTR, EMFILE};

/// Makes every temporary file look as if its writer died long ago.
void age_temporaries(const std::string& root) {
  for (const auto& item : fs::recursive_directory_iterator(root)) {
    if (item.path().filename().string().starts_with(".tmp-")) {
      fs::last_write_time(item.path(), fs::file_time_type::clock::now() - std::chrono::hours(1));
    }
  }
}

/// Checks that nothing wrong is served or quarantined, that the next publish works, and that it removes what
/// was left.
void check_sound(const std::string& root, const Entry& entry, bool must_be_there,
                 const Entry* old = nullptr) {
  int warnings = 0;
  Store store(root, [&](std::string_view) { ++warnings; });
  const std::optional<Entry> loaded = store.load(key);
  if (loaded) {
    CHECK((*loaded == entry || (old != nullptr && *loaded == *old)));
  } else {
    CHECK(!must_be_there);
  }
  CHECK(store.counters().quarantined == 0);
  age_temporaries(root);
  CHECK(store.publish(key, entry));
  CHECK(store.load(key) == entry);
  CHECK(store.statistics().temporaries == 0);
  CHECK(warnings == 0);
}

int publish(const std::string& root, const Entry& entry) {
  Store store(root, nullptr);
  return store.publish(key, entry) ? 0 : 1;
}

}  // namespace

TEST_CASE("a writer killed at any system call leaves no entry or a whole one") {
  at_every_stop(0, [](const Harm& harm) {
    const TemporaryDirectory folder;
    const TracedOutcome out =
        run_traced([&] { return publish(folder.path() + "/new", sample_entry()); }, harm);
    fs::create_directories(folder.path() + "/new");
    check_sound(folder.path() + "/new", sample_entry(), out.code == 0);
    return out;
  });
}

TEST_CASE("a writer killed while it replaces an entry leaves the old one or the new one") {
  const Entry old = sample_entry("old");
  at_every_stop(0, [&](const Harm& harm) {
    const TemporaryDirectory folder;
    REQUIRE(Store(folder.path(), nullptr).publish(key, old));
    const TracedOutcome out = run_traced([&] { return publish(folder.path(), sample_entry()); }, harm);
    check_sound(folder.path(), sample_entry(), true, &old);
    return out;
  });
}

TEST_CASE("a writer whose system calls fail, each in turn, says so or has published") {
  const Entry old = sample_entry("old");
  for (const int error : errors) {
    const bool tried = at_every_stop(error, [&](const Harm& harm) {
      const TemporaryDirectory folder;
      REQUIRE(Store(folder.path(), nullptr).publish(key, old));
      const TracedOutcome out = run_traced([&] { return publish(folder.path(), sample_entry()); }, harm);
      if (out.code == 0) {
        CHECK(Store(folder.path(), nullptr).load(key) == sample_entry());
      }
      check_sound(folder.path(), sample_entry(), true, &old);
      return out;
    });
    if (!tried) {
      return;
    }
  }
}

TEST_CASE("a reader whose system calls fail, each in turn, misses or serves the entry") {
  for (const int error : errors) {
    const TemporaryDirectory folder;
    REQUIRE(Store(folder.path(), nullptr).publish(key, sample_entry()));
    const bool tried = at_every_stop(error, [&](const Harm& harm) {
      const TracedOutcome out = run_traced(
          [&] {
            Store store(folder.path(), nullptr);
            const auto loaded = store.load(key);
            return loaded ? (*loaded == sample_entry() ? 0 : 2) : 1;
          },
          harm);
      Store store(folder.path(), nullptr);
      CHECK(store.load(key) == sample_entry());
      CHECK(store.statistics().quarantined == 0);
      return out;
    });
    if (!tried) {
      return;
    }
  }
}

TEST_CASE("a process killed while it sets a bad entry aside leaves it to the next") {
  at_every_stop(0, [](const Harm& harm) {
    const TemporaryDirectory folder;
    {
      Store store(folder.path(), nullptr);
      REQUIRE(store.publish(key, sample_entry()));
      std::ofstream(store.path_of(key), std::ios::trunc) << "garbage";
    }
    const TracedOutcome out = run_traced(
        [&] {
          Store store(folder.path(), nullptr);
          return store.load(key) ? 2 : 0;
        },
        harm);
    Store store(folder.path(), nullptr);
    CHECK(!store.load(key));
    CHECK(store.publish(key, sample_entry()));
    CHECK(store.load(key) == sample_entry());
    return out;
  });
}

TEST_CASE("a process killed while it publishes, counts and evicts leaves whole entries") {
  at_every_stop(0, [](const Harm& harm) {
    const TemporaryDirectory folder;
    CacheOptions options;
    options.directory = folder.path();
    options.budget = {0, 4};
    {
      Store store(folder.path(), nullptr);
      for (std::uint64_t i = 0; i < 5; ++i) {
        REQUIRE(store.publish(sample_key(i), sample_entry(std::to_string(i))));
      }
    }
    const TracedOutcome out = run_traced(
        [&] {
          Cache cache(options, nullptr);
          return cache.publish(key, sample_entry()) ? 0 : 1;
        },
        harm);
    int warnings = 0;
    Cache cache(options, [&](std::string_view) { ++warnings; });
    std::uint64_t left = 0;
    for (std::uint64_t i = 0; i < 5; ++i) {
      const Hit hit = cache.load(sample_key(i));
      left += hit ? 1 : 0;
      CHECK((!hit || *hit.entry == sample_entry(std::to_string(i))));
    }
    // Seven eighths of four remain, and one of these is the new entry.
    CHECK(left >= 2);
    CHECK(cache.publish(key, sample_entry()));
    CHECK(cache.store().statistics().entries <= 4);
    CHECK(cache.counters().quarantined == 0);
    CHECK(warnings == 0);
    return out;
  });
}

TEST_CASE("a process killed while it imports a pack leaves whole entries") {
  const TemporaryDirectory source;
  Store from(source.path() + "/store", nullptr);
  for (std::uint64_t i = 0; i < 2; ++i) {
    REQUIRE(from.publish(sample_key(i), sample_entry(std::to_string(i))));
  }
  const std::string pack = source.path() + "/kernels.pack";
  {
    std::ofstream file(pack, std::ios::binary);
    static_cast<void>(
        export_pack(from, [](const Entry&) { return true; }, [&](std::string_view bytes) { file << bytes; }));
  }
  at_every_stop(0, [&](const Harm& harm) {
    const TemporaryDirectory folder;
    const TracedOutcome out = run_traced(
        [&] {
          Store store(folder.path(), nullptr);
          TuningStore tuning(folder.path(), nullptr);
          return import_pack(pack, store, tuning).published == 2 ? 0 : 1;
        },
        harm);
    Store store(folder.path(), nullptr);
    for (std::uint64_t i = 0; i < 2; ++i) {
      const auto loaded = store.load(sample_key(i));
      CHECK((!loaded || *loaded == sample_entry(std::to_string(i))));
    }
    TuningStore tuning(folder.path(), nullptr);
    const ImportResult again = import_pack(pack, store, tuning);
    CHECK(again.published + again.already == 2);
    CHECK(store.counters().quarantined == 0);
    return out;
  });
}
