// Processes that use the tuning store are killed at each of their system calls, and each call is made to
// fail.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "cache/tuning/tuning_store.hpp"
#include "tests/cache/every_stop.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

/// A folder in which syncing costs nothing, since these cases sync some thousand times.
fs::path memory_folder() {
  return fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
}

/// Records `more`, of three rows, in a child process that is harmed. Afterwards the earlier records exist,
/// and so do those that the child was told are stored.
TracedOutcome record_harmed(const Harm& harm, bool damaged, const TunedRecord& more = sample_record(3)) {
  const TemporaryDirectory folder(memory_folder());
  const std::vector<TunedRecord> old{sample_record(1), sample_record(2)};
  REQUIRE(TuningStore(folder.path(), nullptr).record(old).written == 2);
  if (damaged) {
    std::ofstream(folder.path() + "/tuning.sqlite", std::ios::trunc) << "garbage";
  }
  INFO("damaged " << damaged);
  const TracedOutcome out = run_traced(
      [&] { return TuningStore(folder.path(), nullptr).record({more}).written == 1 ? 0 : 1; }, harm);
  TuningStore store(folder.path(), nullptr);
  std::vector<TunedRecord> seen = store.list();
  CHECK(seen.size() >= (out.code == 0 ? 3U : 2U));
  REQUIRE(seen.size() >= 2);
  CHECK(std::vector<TunedRecord>(seen.begin(), seen.begin() + 2) == old);
  CHECK(store.record({more, sample_record(4)}).failed == 0);
  CHECK(store.list() == std::vector<TunedRecord>{old[0], old[1], more, sample_record(4)});
  return out;
}

}  // namespace

TEST_CASE("a process that records and is killed at any system call loses no record") {
  for (const bool damaged : {false, true}) {
    at_every_stop(0, [&](const Harm& harm) { return record_harmed(harm, damaged); });
  }
}

TEST_CASE("a process that is killed while it stores the first signature loses no record") {
  at_every_stop(0, [&](const Harm& harm) { return record_harmed(harm, false, signed_record(3)); });
}

TEST_CASE("a process that is killed while it stores the first details loses no record") {
  at_every_stop(0, [&](const Harm& harm) { return record_harmed(harm, false, detailed_record(3)); });
}

TEST_CASE("who stores the first details while system calls fail, each in turn, says so or has recorded") {
  at_every_stop(ENOSPC, [&](const Harm& harm) { return record_harmed(harm, false, detailed_record(3)); });
}

TEST_CASE("who records while system calls fail, each in turn, says so or has recorded") {
  for (const int error : {EIO, ENOSPC}) {
    for (const bool damaged : {false, true}) {
      if (!at_every_stop(error, [&](const Harm& harm) { return record_harmed(harm, damaged); })) {
        return;
      }
    }
  }
}

TEST_CASE("a process that reads a damaged tuning store and is killed at any system call loses no record") {
  const std::vector<TunedRecord> records{sample_record(1), sample_record(2)};
  at_every_stop(0, [&](const Harm& harm) {
    const TemporaryDirectory folder(memory_folder());
    REQUIRE(TuningStore(folder.path(), nullptr).record(records).written == 2);
    std::ofstream(folder.path() + "/tuning.sqlite", std::ios::trunc) << "garbage";
    const TracedOutcome out =
        run_traced([&] { return TuningStore(folder.path(), nullptr).list() == records ? 0 : 1; }, harm);
    CHECK(TuningStore(folder.path(), nullptr).list() == records);
    return out;
  });
}
