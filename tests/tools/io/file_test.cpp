#include "tools/io/file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "kerncast/error.hpp"
#include "tests/temporary_directory.hpp"

namespace kerncast::tools {
namespace {

constexpr std::uint64_t limit = 100;

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

void write_whole(const std::string& path, const std::string& text) {
  AtomicOutput output(path);
  output.write(text.data(), text.size());
  output.commit();
}

TEST_CASE("only regular files are read, and nothing waits for a pipe's writer") {
  const TemporaryDirectory directory;
  const std::string pipe = directory.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(read_file(pipe, limit), Catch::Contains(pipe) && Catch::Contains("a pipe"));
  CHECK_THROWS_WITH(read_file(directory.path(), limit), Catch::Contains("a directory"));
  CHECK_THROWS_WITH(read_file("/dev/null", limit), Catch::Contains("not a regular file"));
  CHECK_THROWS_WITH(read_file(directory.file("absent"), limit), Catch::Contains("absent"));
  CHECK(read_file(directory.write("full", std::string(limit, 'x')), limit) == std::string(limit, 'x'));
  CHECK_THROWS_WITH(read_file(directory.write("more", std::string(limit + 1, 'x')), limit),
                    Catch::Contains("larger than 100 bytes"));
}

TEST_CASE("one file is recognised under all its names") {
  const TemporaryDirectory directory;
  const std::string file = directory.write("a", "");
  std::filesystem::create_symlink("a", directory.file("soft"));
  std::filesystem::create_hard_link(file, directory.file("hard"));
  CHECK(same_file(file, directory.path() + "/./a"));
  CHECK(same_file(file, directory.file("soft")));
  CHECK(same_file(file, directory.file("hard")));
  CHECK_FALSE(same_file(file, directory.write("b", "")));
  CHECK_FALSE(same_file(directory.file("absent"), directory.file("absent")));
}

TEST_CASE("a file is written completely or not at all") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("y", "old");
  {
    AtomicOutput abandoned(path);
    abandoned.write("half", 4);
  }
  CHECK(directory.read("y") == "old");
  CHECK(names_in(directory.path()) == std::vector<std::string>{"y"});
  write_whole(path, "new");
  CHECK(directory.read("y") == "new");
  CHECK(names_in(directory.path()) == std::vector<std::string>{"y"});
}

TEST_CASE("a process that is killed while it writes leaves nothing for long") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("y", "old");
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicOutput output(path);
    output.write("half", 4);
    static_cast<void>(!::write(ready[1], "y", 1));
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  ::kill(child, SIGKILL);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(directory.read("y") == "old");
  // This file system has files without names.
  CHECK(names_in(directory.path()) == std::vector<std::string>{"y"});

  // A file that is left elsewhere, or between the last two steps, is removed by the next process that writes
  // the file.
  directory.write("y.kerncast-Ab3dE6", "half");
  directory.write("y.kerncast-held", "half");
  directory.write("x.kerncast-Ab3dE6", "of another file");
  directory.write("y.backup", "of the user");
  std::filesystem::create_symlink("y.backup", directory.file("y.kerncast-link"));
  const int held = ::open(directory.file("y.kerncast-held").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(held, LOCK_EX | LOCK_NB) == 0);
  write_whole(path, "new");
  CHECK(directory.read("y") == "new");
  CHECK(names_in(directory.path()) ==
        std::vector<std::string>{"x.kerncast-Ab3dE6", "y", "y.backup", "y.kerncast-held", "y.kerncast-link"});
  ::close(held);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a signal that ends the process removes a file that had to have a name") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const TemporaryDirectory directory;
    const std::string path = directory.write("y", "old");
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      std::signal(signal, SIG_DFL);
      const AtomicOutput done(directory.file("z"), Nameless::never);
      AtomicOutput output(path, Nameless::never);
      output.write("half", 4);
      static_cast<void>(!::write(ready[1], "y", 1));
      ::pause();
      ::_exit(0);
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    CHECK(names_in(directory.path()).size() == 3);
    ::kill(child, signal);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == signal));
    CHECK(names_in(directory.path()) == std::vector<std::string>{"y"});
    CHECK(directory.read("y") == "old");
    ::close(ready[0]);
    ::close(ready[1]);
  }
}

TEST_CASE("a file with a name is complete after a commit, and a later signal leaves it") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("y");
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGTERM, SIG_DFL);
    AtomicOutput output(path, Nameless::never);
    output.write("whole", 5);
    output.commit();
    ::raise(SIGTERM);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM));
  CHECK(names_in(directory.path()) == std::vector<std::string>{"y"});
  CHECK(directory.read("y") == "whole");
}

TEST_CASE("a new secret is for its owner alone, appears whole, and replaces nothing") {
  for (const Nameless nameless : {Nameless::if_offered, Nameless::never}) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("y");
    const mode_t mask = ::umask(0);
    {
      AtomicOutput output(path, nameless, Publishing::new_secret);
      AtomicOutput late(path, nameless, Publishing::new_secret);
      output.write("secret", 6);
      CHECK_FALSE(std::filesystem::exists(path));
      output.commit();
      late.write("other", 5);
      CHECK_THROWS_WITH(late.commit(), Catch::Contains("never overwritten"));
    }
    ::umask(mask);
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0600);
    CHECK(directory.read("y") == "secret");
    std::filesystem::create_symlink("target", directory.file("link"));
    for (const std::string& taken : {path, directory.file("link"), std::string("/dev/null")}) {
      CHECK_THROWS_WITH(AtomicOutput(taken, nameless, Publishing::new_secret),
                        Catch::Contains("never overwritten"));
    }
    CHECK_THROWS_AS(AtomicOutput(directory.file("absent/y"), nameless, Publishing::new_secret), Error);
    CHECK(names_in(directory.path()) == std::vector<std::string>{"link", "y"});
  }
}

TEST_CASE("two processes may write one file at the same time") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("y");
  AtomicOutput first(path);
  AtomicOutput second(path);
  first.write("first", 5);
  second.write("second", 6);
  first.commit();
  CHECK(directory.read("y") == "first");
  second.commit();
  CHECK(directory.read("y") == "second");
  CHECK(names_in(directory.path()) == std::vector<std::string>{"y"});
}

TEST_CASE("a symbolic link stays, and what it names is written") {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.file("below"));
  std::filesystem::create_symlink("below/target", directory.file("link"));
  std::filesystem::create_symlink("link", directory.file("again"));
  write_whole(directory.file("again"), "first");  // the target is not there yet
  CHECK(directory.read("below/target") == "first");
  write_whole(directory.file("again"), "second");
  CHECK(directory.read("below/target") == "second");
  CHECK(std::filesystem::is_symlink(directory.file("link")));
  CHECK(std::filesystem::is_symlink(directory.file("again")));
  std::filesystem::create_symlink("circle", directory.file("circle"));
  CHECK_THROWS_AS(write_whole(directory.file("circle"), ""), Error);
}

TEST_CASE("a pipe and a device are written to, when all is there") {
  const TemporaryDirectory directory;
  const std::string pipe = directory.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(write_whole(pipe, "text"), Catch::Contains(pipe) && Catch::Contains("nobody reads"));
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(reader >= 0);
  char text[8] = {};
  {
    AtomicOutput abandoned(pipe);
    abandoned.write("half", 4);
  }
  CHECK(::read(reader, text, sizeof text) == 0);
  write_whole(pipe, "text");
  CHECK(::read(reader, text, sizeof text) == 4);
  CHECK(std::string(text) == "text");
  ::close(reader);
  CHECK_NOTHROW(write_whole("/dev/null", "text"));
  CHECK_THROWS_WITH(write_whole("/dev/full", "text"), Catch::Contains("cannot write /dev/full"));
  CHECK(std::filesystem::is_fifo(pipe));
  CHECK(names_in(directory.path()) == std::vector<std::string>{"pipe"});
}

TEST_CASE("an output is not written through a link that somebody else made") {
  const TemporaryDirectory directory;
  static_cast<void>(directory.write("target", "old"));
  const std::string link = directory.file("link");
  std::filesystem::create_symlink("target", link);
  if (::lchown(link.c_str(), 4321, static_cast<gid_t>(-1)) != 0) {
    WARN("skipped: only root can give a link away");
    return;
  }
  CHECK_THROWS_WITH(AtomicOutput(link), Catch::Contains("belongs to another user"));
  CHECK_THROWS_WITH(check_output(link), Catch::Contains("belongs to another user"));
  std::filesystem::create_symlink("link", directory.file("own"));
  CHECK_THROWS_WITH(AtomicOutput(directory.file("own")), Catch::Contains("belongs to another user"));
  CHECK(directory.read("target") == "old");
}

TEST_CASE("a directory is not replaced") {
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH(check_output(directory.path()), Catch::Contains("cannot write " + directory.path()));
  CHECK_THROWS_AS(AtomicOutput(directory.path()), Error);
  CHECK_THROWS_WITH(check_output(directory.file("no/such/y")), Catch::Contains("no/such/y"));
  CHECK_NOTHROW(check_output(directory.file("y")));
  CHECK(names_in(directory.path()).empty());
}

}  // namespace
}  // namespace kerncast::tools
