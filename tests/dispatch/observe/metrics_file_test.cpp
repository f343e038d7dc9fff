// The file with the counters of a process.
#include "runtime/dispatch/observe/metrics_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/cache/child_process.hpp"
#include "tests/prometheus_text.hpp"
#include "tests/temporary_directory.hpp"

using namespace kerncast;
namespace fs = std::filesystem;

namespace {

constexpr std::chrono::milliseconds never{std::chrono::hours(24)};

struct Fixture {
  [[nodiscard]] CacheCounters counters() const {
    CacheCounters out;
    out.misses = misses;
    return out;
  }
  [[nodiscard]] MetricsFile file(const std::string& path, std::chrono::milliseconds interval = never) {
    return {path, [this] { return counters(); },
            [this](std::string_view text) { warnings.emplace_back(text); }, interval};
  }
  [[nodiscard]] std::string misses_in(const std::string& name,
                                      const PrometheusText::Labels& labels = {}) const {
    return PrometheusText(folder.read(name)).value("kerncast_cache_misses_total", labels);
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()));
  }

  TemporaryDirectory folder;
  std::atomic<std::uint64_t> misses{1};
  std::vector<std::string> warnings;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "what was noted is written at the end, and nothing if nothing was") {
  {
    const MetricsFile unused = file(folder.file("a.prom"));
  }
  CHECK(files() == 0);
  {
    MetricsFile used = file(folder.file("a.prom"));
    used.note();
    misses = 3;
  }
  CHECK(misses_in("a.prom") == "3");
  CHECK(files() == 1);
  struct stat info{};
  REQUIRE(::stat(folder.file("a.prom").c_str(), &info) == 0);
  CHECK((info.st_mode & S_IRUSR) != 0);
  CHECK(warnings.empty());
  {
    file("").note();
  }
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "what is noted is written after an interval, without another note") {
  MetricsFile used = file(folder.file("a.prom"), std::chrono::milliseconds(5));
  used.note();
  while (!fs::exists(folder.file("a.prom"))) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  misses = 7;
  used.note();
  while (misses_in("a.prom") != "7") {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "the process id in a name is a label too") {
  {
    file(folder.file("a-%p-%%-%x.prom")).note();
  }
  const std::string pid = std::to_string(::getpid());
  CHECK(misses_in("a-" + pid + "-%-%x.prom", {{"pid", pid}}) == "1");
}

// The thread sanitizer ends a forked child that starts a thread.
#ifndef __SANITIZE_THREAD__
TEST_CASE_METHOD(Fixture, "a forked child writes what it counted itself, and keeps its parent's file") {
  MetricsFile used = file(folder.file("%p.prom"));
  used.note();
  const pid_t child = start_child([&] {
    used.note();
    misses += 4;
    used.finish();
    return 0;
  });
  CHECK(exit_code(child) == 0);
  CHECK(misses_in(std::to_string(child) + ".prom", {{"pid", std::to_string(child)}}) == "4");
  // A child that counts nothing ends as if there were no thread.
  CHECK(run_child([&] {
          used.finish();
          return 0;
        }) == 0);
  used.finish();
  CHECK(files() == 2);
  CHECK(misses_in(std::to_string(::getpid()) + ".prom", {{"pid", std::to_string(::getpid())}}) == "1");
}
#endif

TEST_CASE_METHOD(Fixture, "a file that cannot be written costs one warning and harms nothing") {
  static_cast<void>(folder.write("there", "text"));
  REQUIRE(::mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  fs::create_directory(folder.file("folder"));
  for (const std::string& path : {folder.file("nowhere/a.prom"), folder.file("pipe"), folder.file("folder"),
                                  folder.file("there/a.prom"), std::string("/dev/null")}) {
    INFO(path);
    warnings.clear();
    {
      MetricsFile used = file(path);
      used.note();
      used.note();
    }
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], Catch::Contains(path) && Catch::Contains("KERNCAST_METRICS_FILE"));
  }
  CHECK(folder.read("there") == "text");
  CHECK(fs::is_fifo(folder.file("pipe")));
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE_METHOD(Fixture, "what a killed process left is used, and a link of this user is followed") {
  folder.write(".a.prom.kerncast", std::string(100'000, 'x'));
  fs::create_symlink("a.prom", folder.file("link.prom"));
  {
    file(folder.file("link.prom")).note();
  }
  CHECK(misses_in("a.prom") == "1");
  CHECK(fs::is_symlink(folder.file("link.prom")));
  CHECK(files() == 2);
  // Nothing is written through a second name of a file.
  const std::string precious = folder.write("precious", "text");
  fs::create_hard_link(precious, folder.file(".b.prom.kerncast"));
  {
    file(folder.file("b.prom")).note();
  }
  CHECK(warnings.size() == 1);
  CHECK(folder.read("precious") == "text");
}
