// The tuned records of a directory: kept, read, recovered from every kind of damage, and shared by processes.
#include "cache/tuning/tuning_store.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <optional>
#include <thread>

#include "cache/cache.hpp"
#include "cache/posix/file.hpp"
#include "cache/tuning/tuned_table.hpp"
#include "cache/tuning/tuning_database.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/tuning/database_connection.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  [[nodiscard]] TuningStore store(const Trust& trust = Trust::mine) {
    return {root, [this](std::string_view text) { warnings.emplace_back(text); }, trust};
  }
  /// Stores five records in the database and its copy.
  void fill() {
    for (std::int64_t rows = 1; rows <= 5; ++rows) {
      records.push_back(sample_record(rows));
    }
    REQUIRE(store().record(records).written == 5);
    REQUIRE(fs::exists(copy));
  }
  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  TemporaryDirectory folder;
  std::string root = folder.path();
  std::string path = root + "/tuning.sqlite";
  std::string copy = root + "/tuning.good.sqlite";
  std::vector<TunedRecord> records;
  std::vector<std::string> warnings;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a date far ahead does not keep a record for good") {
  TunedRecord measured = sample_record(1);
  TunedRecord future = measured;
  future.recorded_us = std::int64_t{1} << 60;
  future.time_us = 99;
  TuningStore tuning = store();
  // Such a date is older than any other, whichever record comes first.
  REQUIRE(tuning.record({future}).written == 1);
  CHECK(tuning.list().front().recorded_us == 0);
  CHECK(tuning.record({measured}).written == 1);
  CHECK(tuning.record({future}).kept == 1);
  CHECK(tuning.list() == std::vector<TunedRecord>{measured});
  // A database of an earlier build may hold one.
  fs::remove(path);
  fs::remove(copy);
  write(path, tuning_database::database_of({future}));
  CHECK(store().record({measured}).written == 1);
  CHECK(store().list() == std::vector<TunedRecord>{measured});
  TunedTable table;
  TunedRecord wide = future;
  wide.rows_high = 100;
  table.add("layer", {wide, measured});
  CHECK(table.find({measured.op, measured.spec, measured.arch, 1, 1, measured.device})
            .front()
            .record->time_us == measured.time_us);
}

TEST_CASE_METHOD(Fixture, "records are kept, listed, replaced by newer ones and removed") {
  CHECK(store().list().empty());
  CHECK(!fs::exists(path));
  fill();
  CHECK(store().list() == records);
  CHECK(DatabaseConnection(path).text("PRAGMA journal_mode") == "wal");
  CHECK((fs::status(path).permissions() & fs::perms::others_all) == fs::perms::none);

  TunedRecord newer = records[2];
  newer.time_us = 100;
  newer.recorded_us += 1;
  TunedRecord older = records[3];
  older.time_us = 0.5;
  older.recorded_us -= 1;
  TunedRecord estimate = records[0];
  estimate.source = TunedSource::estimate;
  estimate.device = "H100";
  const RecordResult result = store().record({newer, older, records[4], estimate});
  CHECK(result.written == 2);
  CHECK(result.kept == 2);
  CHECK(result.failed == 0);
  records[2] = newer;
  records.insert(records.begin() + 1, estimate);
  CHECK(store().list() == records);

  CHECK(store().remove([](const TunedRecord& record) { return record.rows_low == 3; }) == 1U);
  CHECK(store().remove([](const TunedRecord& record) { return record.rows_low == 3; }) == 0U);
  records.erase(records.begin() + 3);
  CHECK(store().list() == records);
  // The copy does not bring removed records back.
  fs::remove(path);
  CHECK(store().list() == records);
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "the first signed record changes the schema, and every record is still there") {
  fill();
  const auto version = [&] {
    const DatabaseConnection database(path);
    return database.text("PRAGMA user_version") + ' ' + database.text("PRAGMA application_id");
  };
  CHECK(version() == "1 " + std::to_string(0x4B430001));
  const std::string first = *read_file(path);
  records[1] = signed_record(2);
  records.push_back(signed_record(6));
  RecordResult result = store().record({records[1], records[5]});
  CHECK(result.written == 2);
  CHECK(version() == "2 " + std::to_string(0x4B430002));
  CHECK(store().list() == records);
  std::string defect;
  CHECK(read_tuned(Folder::open(root), Trust::mine, defect) == records);
  CHECK(defect.empty());

  // A record that only lacks the signature is nothing new. A newer record drops the signature.
  result = store().record({sample_record(2), sample_record(1), records[5]});
  CHECK(result.written == 0);
  CHECK(result.kept == 3);
  TunedRecord newer = sample_record(6);
  newer.recorded_us += 1;
  CHECK(store().record({newer}).written == 1);
  records[5] = newer;
  CHECK(store().list() == records);
  CHECK(store().remove([](const TunedRecord& record) { return record.rows_low == 6; }) == 1U);
  records.pop_back();

  // A recovery keeps signatures, and a signature is under the checksum.
  write(path, "garbage");
  CHECK(store().list() == records);
  CHECK(version() == "2 " + std::to_string(0x4B430002));
  CHECK(warnings.size() == 1);
  fs::remove(copy);
  DatabaseConnection(path).run(
      "UPDATE tuned SET signatures = zeroblob(length(signatures)) WHERE rows_low = 2");
  records.erase(records.begin() + 1);
  CHECK(store().list() == records);

  // A database whose table is that of the other version is none of ours.
  write(path, first);
  DatabaseConnection(path).run("PRAGMA user_version = 2; PRAGMA application_id = 0x4B430002");
  CHECK(tuning_database::read(*read_file(path)).condition == tuning_database::Condition::broken);
}

TEST_CASE_METHOD(Fixture, "the first record with details changes either schema, and every record is there") {
  const bool was_signed = GENERATE(false, true);
  fill();
  if (was_signed) {
    records[1] = signed_record(2);
    REQUIRE(store().record({records[1]}).written == 1);
  }
  const auto version = [&] { return DatabaseConnection(path).text("PRAGMA user_version"); };
  CHECK(version() == (was_signed ? "2" : "1"));
  const std::string earlier = *read_file(path);
  records.push_back(detailed_record(6));
  CHECK(store().record({records[5]}).written == 1);
  CHECK(version() == "3");
  CHECK(DatabaseConnection(path).text("PRAGMA application_id") == std::to_string(0x4B430003));
  CHECK(store().list() == records);
  std::string defect;
  CHECK(read_tuned(Folder::open(root), Trust::mine, defect) == records);
  CHECK(store().record(records).kept == records.size());

  // Details and signatures of one record, and details that are gone in a newer one.
  records[5].signatures = signed_record().signatures;
  CHECK(store().record({records[5]}).written == 1);
  TunedRecord newer = sample_record(6);
  newer.recorded_us += 1;
  CHECK(store().list() == records);
  CHECK(store().record({newer}).written == 1);
  TunedRecord newest = detailed_record(6);
  newest.recorded_us += 2;
  records[5] = newer;
  CHECK(store().list() == records);
  CHECK(store().record({newest}).written == 1);
  // If two records have the same time and differ in a detail, the last one is kept.
  for (auto change : {+[](TunedRecord& r) { r.low_us = 3.21; }, +[](TunedRecord& r) { r.high_us = 3.31; },
                      +[](TunedRecord& r) { r.default_us = 3.51; }, +[](TunedRecord& r) { r.trials += 1; },
                      +[](TunedRecord& r) { r.policy += 'x'; }, +[](TunedRecord& r) { r.data += 'x'; },
                      +[](TunedRecord& r) { r.compiler += 'x'; }, +[](TunedRecord& r) { r.driver += 'x'; },
                      +[](TunedRecord& r) { r.tool += 'x'; }}) {
    change(newest);
    CHECK(store().record({newest}).written == 1);
  }
  records[5] = newest;
  CHECK(store().list() == records);

  // A recovery keeps details, and they are under the checksum.
  write(path, "garbage");
  CHECK(store().list() == records);
  CHECK(version() == "3");
  CHECK(warnings.size() == 1);
  fs::remove(copy);
  DatabaseConnection(path).run("UPDATE tuned SET trials = trials + 1 WHERE rows_low = 6");
  records.pop_back();
  CHECK(store().list() == records);

  // A database whose table is that of another version is none of ours.
  write(path, earlier);
  DatabaseConnection(path).run("PRAGMA user_version = 3; PRAGMA application_id = 0x4B430003");
  CHECK(tuning_database::read(*read_file(path)).condition == tuning_database::Condition::broken);
}

TEST_CASE_METHOD(Fixture, "a store signs what is recorded, as it is stored") {
  TuningStore tuning(root, nullptr, Trust::mine, [](TunedRecord& record) {
    record.signatures = signed_record().signatures;
    record.signatures[0].signer[0] = record.recorded_us == 0 ? '0' : '1';
  });
  TunedRecord future = signed_record(2);
  future.recorded_us = std::int64_t{1} << 60;
  REQUIRE(tuning.record({sample_record(1), future}).written == 2);
  const std::vector<TunedRecord> stored = tuning.list();
  REQUIRE(stored.size() == 2);
  CHECK(stored[0].signatures.at(0).signer[0] == '1');
  CHECK(stored[1].signatures.at(0).signer[0] == '0');
  // A date that is changed makes the signatures wrong.
  REQUIRE(store().remove([](const TunedRecord&) { return true; }) == 2U);
  REQUIRE(store().record({future}).written == 1);
  CHECK(store().list().front().signatures.empty());
}

TEST_CASE_METHOD(Fixture, "no changed byte of a database with signatures and details changes a record") {
  std::vector<TunedRecord> all{signed_record(1), sample_record(2), signed_record(3)};
  if (GENERATE(false, true)) {
    all.push_back(detailed_record(4));
  }
  const std::string good = tuning_database::database_of(all);
  REQUIRE(tuning_database::read(good).records == all);
  for (std::size_t at = 0; at < good.size(); at += at < 120 ? 1 : 13) {
    INFO("byte " << at);
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
    for (const TunedRecord& record : tuning_database::read(bytes).records) {
      CHECK(std::find(all.begin(), all.end(), record) != all.end());
    }
  }
}

TEST_CASE_METHOD(Fixture, "a record with a defect is refused, and the others are kept") {
  TunedRecord bad = sample_record(1);
  bad.rows_low = 7;
  const RecordResult result = store().record({bad, sample_record(2)});
  CHECK(result.written == 1);
  CHECK(result.failed == 1);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("7 to 1 are not a range"));
  CHECK(store().list() == std::vector<TunedRecord>{sample_record(2)});
}

TEST_CASE_METHOD(Fixture, "a time of minus zero is stored as zero") {
  TunedRecord negative = signed_record(1);
  negative.time_us = -0.0;
  TunedRecord zero = sample_record(1);
  zero.time_us = 0;
  TuningStore tuning = store();
  CHECK(tuning.record({negative, sample_record(2)}).written == 2);
  CHECK(tuning.record({negative}).kept == 1);
  const std::vector<TunedRecord> listed = store().list();
  CHECK(listed == std::vector<TunedRecord>{zero, sample_record(2)});
  CHECK_FALSE(std::signbit(listed.at(0).time_us));
  CHECK(checksum_of(listed.at(0)) == checksum_of(zero));
  CHECK(warnings.empty());
  CHECK_FALSE(fs::exists(root + "/quarantine"));
}

TEST_CASE_METHOD(Fixture, "a flipped byte anywhere loses nothing") {
  fill();
  const std::string good = *read_file(path);
  const std::string good_copy = *read_file(copy);
  std::size_t quarantined = 0;
  for (std::size_t at = 0; at < good.size(); at += at < 120 ? 1 : 61) {
    INFO("byte " << at);
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
    write(path, bytes);
    CHECK(store().list() == records);
    // A writer repairs a damaged database and leaves a sound one alone.
    const RecordResult result = store().record({sample_record(6)});
    std::vector<TunedRecord> more = records;
    more.push_back(sample_record(6));
    if (result.written == 1) {
      CHECK(store().list() == more);
    } else {
      CHECK(result.failed == 1);
      CHECK(store().list() == records);
    }
    quarantined += fs::exists(root + "/quarantine/tuning.sqlite") ? 1U : 0U;
    fs::remove_all(root + "/quarantine");
    for (const char* ending : {"", "-wal", "-shm", "-journal"}) {
      fs::remove(path + ending);
    }
    write(copy, good_copy);
  }
  CHECK(quarantined > 50);
}

TEST_CASE_METHOD(Fixture, "truncation to any length, and garbage, lose nothing") {
  fill();
  const std::string good = *read_file(path);
  std::vector<std::string> bad{"",
                               "x",
                               std::string(5000, 'g'),
                               std::string(good.size(), '\0'),
                               good.substr(0, good.size() - 1),
                               good.substr(0, good.size() / 2),
                               good.substr(0, 4096),
                               good.substr(0, 100),
                               good.substr(0, 99)};
  for (const std::string& bytes : bad) {
    INFO(bytes.size() << " bytes");
    write(path, bytes);
    CHECK(store().list() == records);
    CHECK(store().record({sample_record(1)}).failed == 0);
    CHECK(store().list() == records);
    CHECK(DatabaseConnection(path).text("PRAGMA integrity_check") == "ok");
  }
}

TEST_CASE_METHOD(Fixture, "a damaged database is quarantined with one warning and made anew") {
  fill();
  write(path, "garbage in place of a database");
  TuningStore one = store();
  CHECK(one.list() == records);
  CHECK(one.list() == records);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains(path) && Catch::Contains("moved to") &&
                              Catch::Contains("5 records were recovered"));
  CHECK(read_file(root + "/quarantine/tuning.sqlite") == "garbage in place of a database");
  Store entries(root, nullptr);
  CHECK(entries.statistics().quarantined == 1);
  static_cast<void>(entries.clear());
  CHECK(entries.statistics().quarantined == 0);
  CHECK(one.list() == records);
}

TEST_CASE_METHOD(Fixture, "without a sound copy, what is sound of the database itself is kept") {
  fill();
  DatabaseConnection(path).run(
      "UPDATE tuned SET tunables = 'threads=512 rows_per_block=2' WHERE rows_low = 4");
  write(copy, "garbage");
  records.erase(records.begin() + 3);
  CHECK(store().list() == records);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("checksum mismatch of 1 of its 5 records"));
  CHECK(read_file(copy) != "garbage");
}

TEST_CASE_METHOD(Fixture, "a damaged copy is replaced by the next change, a missing database by the copy") {
  fill();
  write(copy, "garbage");
  CHECK(store().list() == records);
  CHECK(store().record({sample_record(6)}).written == 1);
  records.push_back(sample_record(6));
  fs::remove(path);
  CHECK(store().list() == records);
  CHECK(store().record({sample_record(7)}).written == 1);
  records.push_back(sample_record(7));
  CHECK(store().list() == records);
  CHECK(DatabaseConnection(path).text("SELECT count(*) FROM tuned") == "7");
  CHECK(!fs::exists(root + "/quarantine/tuning.sqlite"));
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "a locked database blocks no reader, which has the copy") {
  fill();
  {
    const DatabaseConnection other(path);
    other.run("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM tuned WHERE rows_low = 1");
    const auto started = std::chrono::steady_clock::now();
    TuningStore one = store();
    CHECK(one.list() == records);
    CHECK(one.list() == records);
    CHECK(std::chrono::steady_clock::now() - started < std::chrono::seconds(2));
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], Catch::Contains("locked") && Catch::Contains("last good copy is"));
    fs::remove(copy);
    CHECK(store().list().empty());
    CHECK_THAT(warnings.back(), Catch::Contains("default tunables"));
  }
  CHECK(!fs::exists(root + "/quarantine/tuning.sqlite"));
  CHECK(store().list() == records);
}

TEST_CASE_METHOD(Fixture, "a read-only directory is read and not written") {
  fill();
  // Root may write anywhere, so root tests this as user nobody.
  const bool is_root = geteuid() == 0;
  constexpr auto mode = fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read;
  constexpr auto enter = fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;
  fs::permissions(copy, mode);
  fs::permissions(path, mode);
  fs::permissions(root, mode | enter);
  CHECK(run_child([&] {
          if (is_root && seteuid(65534) != 0) {
            return 1;
          }
          std::string warned;
          TuningStore one(root, [&](std::string_view text) { warned += text; }, Trust::everyone);
          if (one.list() != records) {
            return 2;
          }
          const RecordResult result = one.record({sample_record(9)});
          if (result.failed != 1 || result.written != 0) {
            return 3;
          }
          if (warned.find(path) == std::string::npos || warned.find("let this user") == std::string::npos) {
            std::fprintf(stderr, "%s\n", warned.c_str());
            return 5;
          }
          return one.list() == records ? 0 : 4;
        }) == 0);
  fs::permissions(root, fs::perms::owner_all);
  CHECK(store().list() == records);
}

TEST_CASE_METHOD(Fixture, "a database of a newer build is left alone") {
  fill();
  DatabaseConnection(path).run(
      "CREATE TABLE later(x TEXT); INSERT INTO later VALUES('kept'); "
      "PRAGMA user_version = 4; PRAGMA application_id = 0x4B430004");
  fs::remove(copy);
  CHECK(store().list().empty());
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("schema version 4, this build knows 3"));
  CHECK(store().record({sample_record(9)}).failed == 1);
  CHECK_THAT(warnings.back(), Catch::Contains("cannot be changed"));
  CHECK(!store().remove([](const TunedRecord&) { return true; }).value_or(1));
  CHECK(DatabaseConnection(path).text("SELECT x FROM later") == "kept");
  CHECK(DatabaseConnection(path).text("SELECT count(*) FROM tuned") == "5");
  CHECK(!fs::exists(root + "/quarantine/tuning.sqlite"));
}

TEST_CASE_METHOD(Fixture, "who asks for the defect of a database hears it without a warning") {
  fill();
  DatabaseConnection(path).run("PRAGMA user_version = 4; PRAGMA application_id = 0x4B430004");
  std::string defect;
  CHECK(store().list(defect) == records);
  CHECK(defect.empty());
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains(path) && Catch::Contains("last good copy is"));
  warnings.clear();
  fs::copy_file(path, copy, fs::copy_options::overwrite_existing);
  CHECK(store().list(defect).empty());
  CHECK_THAT(defect, Catch::Contains("schema version 4") && Catch::Contains("use a Kerncast as new as"));
  CHECK(warnings.empty());
  // Without the database there may still be records.
  fs::remove(path);
  CHECK(store().list(defect).empty());
  CHECK_THAT(defect, Catch::Contains("tuning.good.sqlite") && Catch::Contains("schema version 4"));
}

TEST_CASE_METHOD(Fixture, "a damaged database whose copy is of a newer build stays, and so does the copy") {
  fill();
  DatabaseConnection(copy).run("PRAGMA user_version = 4; PRAGMA application_id = 0x4B430004");
  const std::optional<std::string> newer = read_file(copy);
  write(path, "garbage");
  std::string defect;
  CHECK(store().list(defect).empty());
  CHECK_THAT(defect, Catch::Contains("schema version 4"));
  CHECK(store().record({sample_record(9)}).failed == 1);
  CHECK(read_file(copy) == newer);
  CHECK(read_file(path) == "garbage");
}

TEST_CASE_METHOD(Fixture, "a disk that takes no more keeps the records, and the warning says so") {
  fill();
  CHECK(run_child([&] {
          std::string warned;
          TuningStore one(root, [&](std::string_view text) { warned += text; });
          rlimit limit{};
          getrlimit(RLIMIT_FSIZE, &limit);
          limit.rlim_cur = 4096;
          setrlimit(RLIMIT_FSIZE, &limit);
          if (one.record({sample_record(9)}).failed != 1) {
            return 1;
          }
          std::fprintf(stderr, "%s\n", warned.c_str());
          return warned.find("File too large") != std::string::npos ||
                         warned.find("disk is full") != std::string::npos
                     ? 0
                     : 2;
        }) == 0);
  CHECK(store().list() == records);
  CHECK(store().record({sample_record(9)}).written == 1);
}

TEST_CASE_METHOD(Fixture, "who cannot record since another process writes hears that") {
  fill();
  const DatabaseConnection other(path);
  other.run("BEGIN EXCLUSIVE");
  CHECK(store().record({sample_record(9)}).failed == 1);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains(path) && Catch::Contains("another process holds it"));
  other.run("ROLLBACK");
  CHECK(store().list() == records);
}

TEST_CASE_METHOD(Fixture, "what is no file, or somebody else's, is left alone") {
  const TemporaryDirectory elsewhere;
  const std::string target = elsewhere.path() + "/precious";
  write(target, "nobody's to replace");
  fs::create_symlink(target, path);
  CHECK(store().list().empty());
  CHECK(store().record({sample_record(1)}).failed == 1);
  CHECK(read_file(target) == "nobody's to replace");
  fs::remove(path);
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  CHECK(run_child([&] { return store().list().empty() ? 0 : 1; }, 20) == 0);
  CHECK(fs::is_fifo(path));
  fs::remove(path);
  fill();
  fs::permissions(root, fs::perms::all);
  CHECK(store().list().empty());
  CHECK(store().record({sample_record(9)}).failed == 1);
  CHECK(store(Trust::everyone).list() == records);
  fs::permissions(root, fs::perms::owner_all);

  TuningStore nowhere("", [this](std::string_view text) { warnings.emplace_back(text); });
  CHECK(nowhere.list().empty());
  CHECK(nowhere.record({sample_record(1)}).failed == 1);
  CHECK_THAT(warnings.back(), Catch::Contains("no cache directory"));
}

TEST_CASE_METHOD(Fixture, "eight processes that record at once lose nothing") {
  constexpr int processes = 8;
  constexpr int each = 12;
  std::vector<pid_t> children;
  for (int p = 0; p < processes; ++p) {
    children.push_back(start_child([&, p] {
      TuningStore mine(root, nullptr);
      for (int i = 0; i < each; ++i) {
        const TunedRecord record = sample_record(1 + p * each + i);
        if (mine.record({record}).written != 1) {
          return 1;
        }
        const std::vector<TunedRecord> seen = mine.list();
        if (std::find(seen.begin(), seen.end(), record) == seen.end()) {
          return 2;
        }
      }
      return 0;
    }));
  }
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
  CHECK(store().list().size() == processes * each);
  fs::remove(path);
  CHECK(store().list().size() == processes * each);
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "a writer killed at any moment loses nothing that it was told is kept") {
  const std::string log = folder.path() + "/log";
  for (int round = 0; round < 25; ++round) {
    const pid_t child = start_child([&] {
      TuningStore mine(root, nullptr);
      std::ofstream acknowledged(log, std::ios::app);
      for (int i = 0; i < 1000; ++i) {
        const std::int64_t rows = 1 + round * 1000 + i;
        if (mine.record({sample_record(rows)}).written != 1) {
          return 1;
        }
        acknowledged << rows << '\n' << std::flush;
      }
      return 0;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + round * 7));
    kill(child, SIGKILL);
    CHECK(exit_code(child) == 128 + SIGKILL);
    const std::vector<TunedRecord> seen = store().list();
    std::ifstream in(log);
    for (std::int64_t rows = 0; in >> rows;) {
      CHECK(std::count(seen.begin(), seen.end(), sample_record(rows)) == 1);
    }
  }
  CHECK(store().list().size() > 25);
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "two processes that find the same damage recover once") {
  fill();
  write(path, std::string(9000, 'z'));
  std::vector<pid_t> children;
  for (int p = 0; p < 4; ++p) {
    children.push_back(start_child([&, p] {
      TuningStore mine(root, nullptr);
      const std::vector<TunedRecord> seen = mine.list();
      if (!std::includes(seen.begin(), seen.end(), records.begin(), records.end(), in_order)) {
        return 1;
      }
      return mine.record({sample_record(10 + p)}).written == 1 ? 0 : 2;
    }));
  }
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
  for (int p = 0; p < 4; ++p) {
    records.push_back(sample_record(10 + p));
  }
  CHECK(store().list() == records);
}

TEST_CASE_METHOD(Fixture,
                 "a cache reads its layers' records once, and a directory without any costs no file") {
  fill();
  CacheOptions options;
  options.directory = folder.path() + "/none";
  options.read_only = {root};
  std::vector<std::string> told;
  Cache cache(options, [&](std::string_view text) { told.emplace_back(text); });
  CHECK(!cache.tuned().empty());
  const TunedRecord& first = records[0];
  const TunedQuery query{first.op, first.spec, first.arch, 1, 1, first.device};
  REQUIRE(cache.tuned().find(query).size() == records.size());
  CHECK(*cache.tuned().find(query)[0].record == first);
  CHECK(cache.tuned().find(query)[0].layer == root);
  CHECK(!fs::exists(options.directory));
  CHECK(told.empty());

  // For a read-only layer the copy is read, so that not even a lock file is created.
  write(copy, "garbage");
  Cache other(options, [&](std::string_view text) { told.emplace_back(text); });
  CHECK(other.tuned().find(query).empty());
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Catch::Contains(root) && Catch::Contains("not used"));
  CHECK(read_file(copy) == "garbage");
}
