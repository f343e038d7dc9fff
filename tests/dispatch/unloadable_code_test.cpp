// Entries that are sound as files, but whose code no driver loads.
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "cache/directory/store.hpp"
#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

using Spoil = std::function<void(cache::Entry&)>;

/// Replaces the only entry of the cache directory `root` by what `spoil` makes of it.
void spoil_entry(const std::string& root, const Spoil& spoil) {
  cache::Store store(root, nullptr);
  const std::vector<cache::StoredFile> files = store.list();
  REQUIRE(files.size() == 1);
  std::optional<cache::Entry> entry = store.load(files[0].key);
  REQUIRE(entry);
  spoil(*entry);
  REQUIRE(store.publish(files[0].key, *entry));
}

void no_code(cache::Entry& entry) {
  entry.cubin = "no cubin";
  entry.ptx = "no PTX";
}

/// The norm of f's rows as `runtime` computes it. f's y is overwritten before.
std::vector<float> result_of(RowsOfOnes& f, Runtime& runtime) {
  f.y.fill(0xCD);
  launch(runtime, f.arguments, nullptr);
  f.context.synchronize();
  return f.result();
}

/// The options of another process that uses f's directory. Its warnings go to `warnings`.
RuntimeOptions options_in(const RowsOfOnes& f, std::vector<std::string>& warnings) {
  RuntimeOptions options = f.options(MissPolicy::compile);
  options.warn = [&warnings](std::string_view text) { warnings.emplace_back(text); };
  return options;
}

/// The options of a process with an empty cache directory `own` above f's directory as a read-only layer.
RuntimeOptions options_above(const RowsOfOnes& f, const TemporaryDirectory& own,
                             std::vector<std::string>& warnings) {
  setenv("KERNCAST_CACHE_READONLY", f.folder.path().c_str(), 1);
  RuntimeOptions options = options_in(f, warnings);
  options.cache_directory = own.path();
  return options;
}

const std::vector<float> ones(RowsOfOnes::rows* RowsOfOnes::hidden, 1.0F);

}  // namespace

TEST_CASE("an entry whose code does not load is quarantined and compiled again, once") {
  const Spoil spoils[] = {
      no_code,
      [](cache::Entry& entry) { entry.cubin = entry.ptx = ""; },
      [](cache::Entry& entry) { entry.lowered_name = "nothing_of_this_name"; },
      [](cache::Entry& entry) { entry.lowered_name = ""; },
      [](cache::Entry& entry) { entry.lowered_name += "\none_too_many"; },
      // The code of another kernel.
      [](cache::Entry& entry) {
        entry.cubin.clear();
        entry.ptx = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry other() { ret; }\n";
      },
  };
  for (const Spoil& spoil : spoils) {
    RowsOfOnes f;
    REQUIRE(result_of(f, f.runtime) == ones);
    spoil_entry(f.folder.path(), spoil);

    std::vector<std::string> warnings;
    Runtime second(options_in(f, warnings));
    CHECK(result_of(f, second) == ones);
    CHECK(second.cache_counters().compiles == 1);
    CHECK(second.cache_counters().quarantined == 1);
    CHECK(!warnings.empty());

    std::vector<std::string> no_warnings;
    Runtime third(options_in(f, no_warnings));
    CHECK(result_of(f, third) == ones);
    CHECK(third.cache_counters().compiles == 0);
    CHECK(no_warnings.empty());
  }
}

TEST_CASE("a bad entry of a read-only layer does not outlive the layer's look-up") {
  RowsOfOnes f;
  REQUIRE(result_of(f, f.runtime) == ones);
  spoil_entry(f.folder.path(), no_code);
  const TemporaryDirectory own;
  std::vector<std::string> warnings;
  RuntimeOptions options = options_above(f, own, warnings);
  Runtime second(options);
  CHECK(result_of(f, second) == ones);
  CHECK(second.cache_counters().compiles == 1);
  CHECK(second.cache_counters().promoted == 0);
  CHECK(second.cache_counters().refused == 1);
  Runtime third(options);
  CHECK(result_of(f, third) == ones);
  CHECK(third.cache_counters().compiles == 0);
  unsetenv("KERNCAST_CACHE_READONLY");
}

TEST_CASE("in strict mode a lower layer serves what the directory's entry cannot") {
  RowsOfOnes f;
  REQUIRE(result_of(f, f.runtime) == ones);
  const TemporaryDirectory own;
  std::vector<std::string> warnings;
  RuntimeOptions options = options_above(f, own, warnings);
  {
    Runtime promotes(options);
    REQUIRE(result_of(f, promotes) == ones);
  }
  spoil_entry(own.path(), no_code);
  options.miss_policy = MissPolicy::cache_only;
  Runtime strict(options);
  CHECK(result_of(f, strict) == ones);
  unsetenv("KERNCAST_CACHE_READONLY");

  // Without that layer it is a miss, and no error of the driver.
  spoil_entry(own.path(), no_code);
  Runtime alone(options);
  try {
    launch(alone, f.arguments, nullptr);
    FAIL("launched code that cannot be loaded");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::cache_miss);
  }
}
