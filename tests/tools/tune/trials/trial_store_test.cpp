#include "tools/tune/trials/trial_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/cache/every_stop.hpp"
#include "tests/temporary_directory.hpp"

using namespace kerncast;
using namespace kerncast::tools;
namespace fs = std::filesystem;

namespace {

const cache::KeyFieldList fields = {{"op", "norm.rms_norm"}, {"rows", "64"}, {"device", "h100"}};

Trial trial_of(int number) {
  Trial trial;
  trial.tunables = fmt::format("threads={}", number);
  trial.samples_us = {1.0 + number, 1.25 + number};
  trial.default_us = {2.0, 2.125};
  trial.registers = 32;
  trial.at_us = 1'700'000'000'000'000 + number;
  trial.took_ms = 0.5;
  return trial;
}

std::vector<Trial> trials_of(int count) {
  std::vector<Trial> trials;
  for (int i = 0; i < count; ++i) {
    trials.push_back(trial_of(i));
  }
  return trials;
}

/// A store and the warnings that it gave.
struct Watched {
  explicit Watched(const std::string& root)
      : store(root, [this](std::string_view text) { warnings.emplace_back(text); }) {}
  std::vector<std::string> warnings;
  TrialStore store;
};

std::string file_of(const std::string& root) {
  for (const auto& item : fs::directory_iterator(root + "/trials")) {
    return item.path().string();
  }
  return {};
}

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void append_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::app) << text;
}

}  // namespace

TEST_CASE("trials come back as they were, in their order") {
  const TemporaryDirectory folder;
  Watched first(folder.path());
  std::vector<Trial> trials = trials_of(3);
  trials[1].outcome = Outcome::spills;
  trials[1].why = "8 bytes per thread spill, 0 of the default\n\"quoted\"";
  trials[1].samples_us.clear();
  trials[1].default_us.clear();
  trials[2].is_final = true;
  first.store.append(fields, std::span(trials).first(1));
  first.store.append(fields, std::span(trials).subspan(1));
  CHECK(first.store.finish().empty());
  Watched second(folder.path());
  CHECK(second.store.load(fields) == trials);
  CHECK(second.store.load({{"op", "norm.rms_norm"}}).empty());
  const std::vector<StoredSearch> all = second.store.list();
  REQUIRE(all.size() == 1);
  CHECK(all.front().fields == fields);
  CHECK(all.front().trials == trials);
  CHECK(first.warnings.empty());
  CHECK(second.warnings.empty());
}

TEST_CASE("a line that was cut off is ignored, and removed by the next trial") {
  const TemporaryDirectory folder;
  {
    Watched first(folder.path());
    first.store.append(fields, trials_of(2));
  }
  const std::string path = file_of(folder.path());
  const std::string whole = content(path);
  append_text(path, "{\"sum\":\"0123456789abcdef\",\"trial\":{\"tunab");
  Watched second(folder.path());
  CHECK(second.store.load(fields) == trials_of(2));
  second.store.append(fields, std::vector{trial_of(2)});
  CHECK(second.store.load(fields) == trials_of(3));
  CHECK(content(path).starts_with(whole));
  CHECK(second.warnings.empty());
}

TEST_CASE("damaged lines cost their trials and one warning") {
  const TemporaryDirectory folder;
  {
    Watched first(folder.path());
    first.store.append(fields, trials_of(4));
  }
  const std::string path = file_of(folder.path());
  std::string bytes = content(path);
  bytes[bytes.find("threads=1") + 8] = '7';
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes << "garbage\n";
  Watched second(folder.path());
  const std::vector<Trial> kept = second.store.load(fields);
  CHECK(kept == std::vector{trial_of(0), trial_of(2), trial_of(3)});
  REQUIRE(second.warnings.size() == 1);
  CHECK_THAT(second.warnings.front(), Catch::Contains("2 lines"));
  static_cast<void>(second.store.load(fields));
  CHECK(second.warnings.size() == 1);
}

TEST_CASE("a file of a newer build is left alone") {
  const TemporaryDirectory folder;
  {
    Watched first(folder.path());
    first.store.append(fields, trials_of(1));
  }
  const std::string path = file_of(folder.path());
  const std::string rest = R"("search":{"version":99,"new":{"shape":1}}})";
  const std::string sum = fmt::format("{:016x}", cache::key_of_fields({{"trial", rest}}).low);
  const std::string bytes = fmt::format("{{\"sum\":\"{}\",{}\n", sum, rest);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  Watched second(folder.path());
  CHECK(second.store.load(fields).empty());
  second.store.append(fields, trials_of(2));
  CHECK_THAT(second.store.finish(),
             Catch::Contains("2 trials could not be kept") && Catch::Contains("newer"));
  CHECK(content(path) == bytes);
  CHECK(second.warnings.size() == 2);
}

TEST_CASE("without a directory the run goes on and says at its end what is lost") {
  Watched none("");
  none.store.append(fields, trials_of(2));
  none.store.append(fields, trials_of(1));
  CHECK(none.warnings.size() == 1);
  CHECK_THAT(none.store.finish(), Catch::Contains("3 trials could not be kept"));
}

TEST_CASE("trials that could not be written are written as soon as that is possible") {
  if (::geteuid() == 0) {
    WARN("root may write everywhere: a directory that is read-only was not tried");
  }
  const TemporaryDirectory folder;
  const std::string root = folder.path() + "/cache";
  fs::create_directory(root);
  // A file in the place of the folder refuses root, too.
  std::ofstream(root + "/trials") << "no folder";
  Watched store(root);
  store.store.append(fields, trials_of(2));
  CHECK(store.warnings.size() == 1);
  CHECK_THAT(store.store.finish(), Catch::Contains("2 trials could not be kept"));
  fs::remove(root + "/trials");
  CHECK(store.store.finish().empty());
  CHECK(store.store.load(fields) == trials_of(2));
}

TEST_CASE("a disk that is full leaves no half line") {
  const TemporaryDirectory folder;
  Watched store(folder.path());
  store.store.append(fields, trials_of(1));
  const std::string path = file_of(folder.path());
  const std::string before = content(path);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{before.size() + 20, old.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  store.store.append(fields, std::vector{trial_of(1)});
  const std::string lost = store.store.finish();
  ::setrlimit(RLIMIT_FSIZE, &old);
  CHECK_THAT(lost, Catch::Contains("1 trial could not be kept"));
  CHECK(content(path) == before);
  CHECK(store.store.finish().empty());
  CHECK(store.store.load(fields) == trials_of(2));
}

TEST_CASE("a lock that another process holds costs a wait and no trial") {
  const TemporaryDirectory folder;
  Watched store(folder.path());
  store.store.append(fields, trials_of(1));
  const int other = ::open(file_of(folder.path()).c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(other, LOCK_EX) == 0);
  store.store.append(fields, std::vector{trial_of(1)});
  CHECK(store.warnings.size() == 1);
  ::close(other);
  store.store.append(fields, std::vector{trial_of(2)});
  CHECK(store.store.finish().empty());
  CHECK(store.store.load(fields) == trials_of(3));
}

TEST_CASE("files that others may write to, and links, are not used") {
  const TemporaryDirectory folder;
  {
    Watched first(folder.path());
    first.store.append(fields, trials_of(1));
  }
  const std::string path = file_of(folder.path());
  REQUIRE(::chmod(path.c_str(), 0666) == 0);
  Watched second(folder.path());
  CHECK(second.store.load(fields).empty());
  second.store.append(fields, trials_of(1));
  CHECK_FALSE(second.store.finish().empty());
  fs::rename(path, folder.path() + "/elsewhere");
  fs::create_symlink(folder.path() + "/elsewhere", path);
  Watched third(folder.path());
  CHECK(third.store.load(fields).empty());
  third.store.append(fields, trials_of(1));
  CHECK_FALSE(third.store.finish().empty());
}

TEST_CASE("trials in a folder that is not trusted are not none") {
  const TemporaryDirectory folder;
  {
    Watched first(folder.path());
    first.store.append(fields, trials_of(1));
    CHECK(first.store.list().size() == 1);
    CHECK(first.warnings.empty());
  }
  REQUIRE(::chmod((folder.path() + "/trials").c_str(), 0777) == 0);
  Watched second(folder.path());
  CHECK(second.store.list().empty());
  CHECK(second.store.load(fields).empty());
  REQUIRE(second.warnings.size() == 1);
  CHECK_THAT(second.warnings.front(),
             Catch::Contains(folder.path() + "/trials cannot be read") && Catch::Contains("write"));
}

TEST_CASE("two processes that write at once lose nothing") {
  const TemporaryDirectory folder;
  constexpr int each = 40;
  const pid_t child = ::fork();
  Watched store(folder.path());
  const int first = child == 0 ? each : 0;
  for (int i = first; i < first + each; ++i) {
    store.store.append(fields, std::vector{trial_of(i)});
  }
  const bool kept = store.store.finish().empty();
  if (child == 0) {
    ::_exit(kept ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(kept);
  CHECK(store.store.load(fields).size() == 2 * each);
}

/// Lets a process add a second trial to a first one while `harm` is done to it, and checks that nothing else
/// is lost. Returns how the process ended.
TracedOutcome append_under(const Harm& harm) {
  const TemporaryDirectory folder;
  Watched(folder.path()).store.append(fields, trials_of(1));
  const TracedOutcome out = run_traced(
      [&] {
        Watched store(folder.path());
        store.store.append(fields, std::vector{trial_of(1)});
        return store.store.finish().empty() ? 0 : 1;
      },
      harm);
  Watched next(folder.path());
  const std::vector<Trial> kept = next.store.load(fields);
  CHECK((kept == trials_of(1) || kept == trials_of(2)));
  CHECK((out.code != 0 || kept == trials_of(2)));
  next.store.append(fields, std::vector{trial_of(9)});
  CHECK(next.store.load(fields).size() == kept.size() + 1);
  CHECK(next.warnings.empty());
  return out;
}

TEST_CASE("a writer killed at any system call loses at most the trial that it was writing") {
  at_every_stop(0, append_under);
}

TEST_CASE("a writer whose system calls fail, each in turn, says so or has kept its trial") {
  for (const int error : {EIO, ENOSPC, EACCES, EMFILE}) {
    if (!at_every_stop(error, append_under)) {
      return;
    }
  }
}
