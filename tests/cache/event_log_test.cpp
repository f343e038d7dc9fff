// The log of a cache directory: what is told, that lines stay whole, and that nothing depends on it.
#include "cache/event_log.hpp"

#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "cache/cache.hpp"
#include "cache/pack/transfer.hpp"
#include "cache/posix/file.hpp"
#include "cache/posix/file_lock.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/every_stop.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};

std::string content(const std::string& path) {
  return read_file(path, std::uint64_t{64} << 20).value_or("");
}

bool is_whole(const std::string& line) {
  return line.starts_with("{\"time\":\"") && line.ends_with('}') && line.size() < most_event_bytes;
}

/// The whole lines of a log that contain `text`.
std::vector<std::string> lines_with(const std::string& root, const std::string& text) {
  std::vector<std::string> lines = read_log(Folder::open(root), Trust::mine).lines;
  std::erase_if(lines, [&](const std::string& line) {
    return !is_whole(line) || line.find(text) == std::string::npos;
  });
  return lines;
}

std::size_t torn(const std::string& root) {
  const std::vector<std::string> lines = read_log(Folder::open(root), Trust::mine).lines;
  return static_cast<std::size_t>(
      std::count_if(lines.begin(), lines.end(), [](const std::string& line) { return !is_whole(line); }));
}

void append(const std::string& root, const std::string& reason) {
  append_event(Folder::open(root), Trust::mine, {EventKind::repair, key, "norm.rms_norm", "a layer", reason});
}

/// Makes the log one byte shorter than its bound.
void fill(const std::string& root) {
  std::ofstream file(root + "/log");
  file << std::string(most_log_bytes - 2, 'x') << '\n';
}

CacheOptions options_of(const std::string& root) {
  CacheOptions options;
  options.directory = root;
  return options;
}

}  // namespace

TEST_CASE("an event is one line with its fields") {
  const TemporaryDirectory folder;
  append_event(Folder::open(folder.path()), Trust::mine,
               {EventKind::eviction, std::nullopt, {}, {}, {}, {{"entries", 2}}, {{1, 2}, {3, 4}}});
  append(folder.path(), "why");
  const std::string text = content(folder.path() + "/log");
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
  CHECK_THAT(text, Catch::Contains("\"event\":\"eviction\",\"pid\":" + std::to_string(getpid()) +
                                   ",\"entries\":2,\"keys\":[\"" + Key{1, 2}.hex() + "\",\"" +
                                   Key{3, 4}.hex() + "\"]}\n"));
  CHECK_THAT(text,
             Catch::Contains(",\"key\":\"" + key.hex() +
                             "\",\"op\":\"norm.rms_norm\",\"layer\":\"a layer\",\"reason\":\"why\"}\n"));
  struct stat info{};
  REQUIRE(stat((folder.path() + "/log").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("a line holds no control characters and is never longer than its bound") {
  const TemporaryDirectory folder;
  append(folder.path(), "a\nb\x1b[31m\"c\\\t\xff");
  CHECK_THAT(content(folder.path() + "/log"),
             Catch::Contains(R"("reason":"a\\nb\\u001b[31m\"c\\\u0009\\xff"})"));
  std::string lengthy;
  for (int i = 0; i < 3000; ++i) {
    lengthy += "\"\xc3\xa9";
  }
  Event event{EventKind::refusal, key, lengthy, lengthy, lengthy};
  for (std::uint64_t i = 0; i < 1000; ++i) {
    event.keys.push_back(sample_key(i));
  }
  append_event(Folder::open(folder.path()), Trust::mine, event);
  const std::vector<std::string> lines = lines_with(folder.path(), "refusal");
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines.front(), Catch::Contains("...\"") && Catch::Contains("\"keys\":["));
}

TEST_CASE("a full log is renamed, and the one before it goes") {
  const TemporaryDirectory folder;
  fill(folder.path());
  append(folder.path(), "first");
  CHECK(fs::file_size(folder.path() + "/log.1") == most_log_bytes - 1);
  CHECK(lines_with(folder.path(), "first").size() == 1);
  fill(folder.path());
  append(folder.path(), "second");
  CHECK(fs::file_size(folder.path() + "/log.1") == most_log_bytes - 1);
  CHECK(lines_with(folder.path(), "first").empty());
  CHECK(lines_with(folder.path(), "second").size() == 1);
}

TEST_CASE("a log that cannot be renamed ends a little above its bound") {
  const TemporaryDirectory folder;
  fs::create_directories(folder.path() + "/log.1/in the way");
  fill(folder.path());
  for (int i = 0; i < 2000; ++i) {
    append(folder.path(), "again");
  }
  CHECK(fs::file_size(folder.path() + "/log") <= most_log_bytes + log_slack_bytes);
  CHECK(!lines_with(folder.path(), "again").empty());
}

TEST_CASE("nobody waits for the process that renames the log") {
  const TemporaryDirectory folder;
  const FileLock lock(Folder::open(folder.path()).make_child("locks"), "log");
  REQUIRE(lock.held());
  fill(folder.path());
  append(folder.path(), "meanwhile");
  CHECK(!fs::exists(folder.path() + "/log.1"));
  CHECK(lines_with(folder.path(), "meanwhile").size() == 1);
}

TEST_CASE("nothing but a file of this user's own is written to") {
  const TemporaryDirectory folder;
  const std::string log = folder.path() + "/log";
  const std::string target = folder.path() + "/target";
  std::ofstream(target) << "old";
  fs::create_symlink(target, log);
  append(folder.path(), "through a link");
  CHECK(content(target) == "old");
  fs::remove(log);
  REQUIRE(mkfifo(log.c_str(), 0600) == 0);
  append(folder.path(), "into a pipe");
  fs::remove(log);
  fs::create_directory(log);
  append(folder.path(), "into a folder");
  CHECK(!read_log(Folder::open(folder.path()), Trust::mine).defect.empty());
  fs::remove(log);
  std::ofstream(log) << "";
  fs::permissions(log, fs::perms::owner_read | fs::perms::owner_write | fs::perms::others_write);
  append(folder.path(), "beside others");
  CHECK(content(log).empty());
  CHECK(!read_log(Folder::open(folder.path()), Trust::mine).defect.empty());
}

TEST_CASE("a torn line costs no other line") {
  const TemporaryDirectory folder;
  append(folder.path(), "before");
  std::ofstream(folder.path() + "/log", std::ios::app) << "{\"time\":\"2026-01-31T13:05:09.123Z\",\"ev";
  append(folder.path(), "{\"time\":\" in a text");
  std::ofstream(folder.path() + "/log", std::ios::app) << "foreign\n\n";
  append(folder.path(), "after");
  CHECK(lines_with(folder.path(), "\"event\"").size() == 3);
  CHECK(torn(folder.path()) == 2);
}

TEST_CASE("processes do not tear one another's lines") {
  const TemporaryDirectory folder;
  constexpr int processes = 4;
  constexpr int events = 1500;
  pid_t children[processes];
  for (pid_t& child : children) {
    child = start_child([&] {
      for (int i = 0; i < events; ++i) {
        append(folder.path(), std::string(static_cast<std::size_t>(i % 90), 'x'));
      }
      return 0;
    });
  }
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
  CHECK(torn(folder.path()) == 0);
  CHECK(lines_with(folder.path(), "repair").size() == processes * events);
}

TEST_CASE("the log tells what happens to entries, and neither publishes nor hits") {
  const TemporaryDirectory folder;
  const std::string root = folder.path() + "/own";
  const std::string layer = folder.path() + "/layer";
  REQUIRE(Store(layer, nullptr).publish(key, sample_entry()));
  CacheOptions options = options_of(root);
  options.read_only = {layer};
  {
    Cache cache(options, nullptr);
    REQUIRE(cache.publish({7, 7}, sample_entry()));
    REQUIRE(cache.load({7, 7}));
    CHECK(!fs::exists(root + "/log"));
    REQUIRE(cache.load(key).layer == Layer::read_only);
  }
  const std::vector<std::string> promotions = lines_with(root, "\"promotion\"");
  REQUIRE(promotions.size() == 1);
  CHECK_THAT(promotions.front(), Catch::Contains(key.hex()) && Catch::Contains("norm.rms_norm") &&
                                     Catch::Contains("\"layer\":\"" + layer + "\""));
  options.disproof = [](const Key&, const Entry&) { return std::string("it is not what it says"); };
  Store store(root, nullptr);
  std::ofstream(store.path_of(key)) << "garbage";
  Cache cache(options, nullptr);
  CHECK(!cache.load(key));
  CHECK(!cache.load(key));
  CHECK(lines_with(root, "\"quarantine\"").size() == 1);
  const std::vector<std::string> refusals = lines_with(root, "\"refusal\"");
  REQUIRE(refusals.size() == 1);
  CHECK_THAT(refusals.front(), Catch::Contains("it is not what it says"));
  store.clear();
  CHECK_THAT(lines_with(root, "\"clear\"").at(0), Catch::Contains("\"entries\":1"));
}

TEST_CASE("an import and an eviction have one line each") {
  const TemporaryDirectory folder;
  Store from(folder.path() + "/from", nullptr);
  for (std::uint64_t i = 0; i < 20; ++i) {
    REQUIRE(from.publish(sample_key(i), sample_entry(std::to_string(i))));
  }
  const std::string pack = folder.path() + "/kernels.pack";
  {
    std::ofstream file(pack, std::ios::binary);
    static_cast<void>(
        export_pack(from, [](const Entry&) { return true; }, [&](std::string_view bytes) { file << bytes; }));
  }
  const std::string root = folder.path() + "/to";
  Store to(root, nullptr);
  TuningStore tuning(root, nullptr);
  REQUIRE(import_pack(pack, to, tuning).published == 20);
  CHECK_THAT(lines_with(root, "\"import\"").at(0),
             Catch::Contains(pack) && Catch::Contains("\"entries\":20,\"already\":0"));
  Store small(root, nullptr, Trust::mine, Budget{0, 16});
  REQUIRE(small.publish(key, sample_entry()));
  const std::vector<std::string> evictions = lines_with(root, "\"eviction\"");
  REQUIRE(evictions.size() == 1);
  CHECK_THAT(evictions.front(), Catch::Contains("\"entries\":7") && Catch::Contains("\"keys\":["));
  CHECK(!import_pack(folder.path() + "/from/nothing", to, tuning).defect.empty());
  CHECK(lines_with(root, "\"import\"").size() == 1);
}

TEST_CASE("a process killed at any system call leaves a readable log") {
  at_every_stop(0, [](const Harm& harm) {
    const TemporaryDirectory folder;
    fs::create_directory(folder.path() + "/locks");
    append(folder.path(), "before");
    {
      std::ofstream file(folder.path() + "/log", std::ios::app);
      for (std::size_t i = 0; i < most_log_bytes / 64 - 8; ++i) {
        file << std::string(63, 'x') << '\n';
      }
    }
    const TracedOutcome out = run_traced(
        [&] {
          for (int i = 0; i < 4; ++i) {
            append(folder.path(), "traced" + std::string(200, 'y'));
          }
          return 0;
        },
        harm);
    append(folder.path(), "after");
    CHECK(lines_with(folder.path(), "\"before\"").size() == 1);
    CHECK(lines_with(folder.path(), "\"after\"").size() == 1);
    CHECK(lines_with(folder.path(), "traced").size() <= 4);
    CHECK(fs::file_size(folder.path() + "/log") <= most_log_bytes);
    return out;
  });
}

TEST_CASE("nothing fails because the log cannot be written") {
  for (const int error : {EIO, ENOSPC, EACCES, EMFILE}) {
    const bool tried = at_every_stop(error, [&](const Harm& harm) {
      const TemporaryDirectory folder;
      fill(folder.path());
      const TracedOutcome out = run_traced(
          [&] {
            append(folder.path(), "traced");
            return 0;
          },
          harm);
      CHECK(out.code == 0);
      append(folder.path(), "after");
      CHECK(lines_with(folder.path(), "\"after\"").size() == 1);
      return out;
    });
    if (!tried) {
      return;
    }
  }
}
