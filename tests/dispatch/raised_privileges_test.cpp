#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/cache/remote/scripted_server.hpp"
#include "tests/temporary_directory.hpp"

namespace {

namespace fs = std::filesystem;

constexpr uid_t other_user = 65534;

/// The output of `program` if another user runs it with `variables`, and with `argument` unless it is empty.
std::string output_of(const std::string& program, const std::vector<std::string>& variables,
                      const std::string& argument = {}) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<char*> environment;
    for (const std::string& variable : variables) {
      environment.push_back(const_cast<char*>(variable.c_str()));
    }
    environment.push_back(nullptr);
    char* arguments[] = {const_cast<char*>(program.c_str()),
                         argument.empty() ? nullptr : const_cast<char*>(argument.c_str()), nullptr};
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    if (::chdir("/") == 0 && ::setresgid(other_user, other_user, other_user) == 0 &&
        ::setresuid(other_user, other_user, other_user) == 0) {
      ::execve(program.c_str(), arguments, environment.data());
    }
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 4096> block{};
  for (ssize_t got = 0; (got = ::read(ends[0], block.data(), block.size())) > 0;) {
    text.append(block.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  return text;
}

}  // namespace

TEST_CASE("a program with raised privileges takes nothing from its environment") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can give a program privileges");
    return;
  }
  const TemporaryDirectory directory;
  fs::permissions(directory.path(), fs::perms(0755));
  // The files and folders that the variables lead to, and a program beside which libraries lie.
  const std::string planted = directory.file("planted");
  for (const char* folder : {"/lib64", "/lib/python3.11/site-packages/nvidia/cu13/lib", "/bin"}) {
    fs::create_directories(planted + folder);
  }
  for (const char* file : {"libkerncast-sim.so", "libplanted.so", "lib64/libnvrtc.so.13", "bin/python3",
                           "lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
                           "bin/libkerncast-sim.so", "bin/libnvrtc.so.13"}) {
    static_cast<void>(directory.write(std::string("planted/") + file, "code"));
  }
  const std::string program = planted + "/bin/program";
  fs::copy_file(KERNCAST_PRIVILEGES_PROGRAM, program);
  fs::permissions(program, fs::perms(0755));
  const std::vector<std::string> places = {"PATH=" + planted + "/bin",
                                           "HOME=" + planted,
                                           "XDG_CACHE_HOME=" + planted,
                                           "LD_LIBRARY_PATH=" + planted,
                                           "CUDA_HOME=" + planted,
                                           "CUDA_PATH=" + planted,
                                           "VIRTUAL_ENV=" + planted,
                                           "CONDA_PREFIX=" + planted,
                                           "KERNCAST_CACHE_READONLY=" + planted,
                                           "KERNCAST_CACHE_REMOTE=http://host" + planted,
                                           "KERNCAST_CACHE_REMOTE_CREDENTIALS=" + planted,
                                           "KERNCAST_CACHE_TRUST=1",
                                           "KERNCAST_METRICS_FILE=" + planted + "/metrics.prom",
                                           "KERNCAST_TRACE=" + planted + "/trace.json"};
  std::vector<std::string> libraries = places;
  libraries.push_back("KERNCAST_DRIVER=" + planted + "/libkerncast-sim.so");
  libraries.push_back("KERNCAST_NVRTC=" + planted + "/lib64/libnvrtc.so.13");
  libraries.push_back("KERNCAST_CACHE_DIR=" + planted);

  /// The number of requests, of one, that the program sends to the proxy of its environment. Empty if this
  /// build has no servers.
  const auto proxied = [&] {
    const std::string answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    const ScriptedServer server(answer, "");
    const ScriptedServer proxy(answer, "");
    const auto url = [](const ScriptedServer& of) { return "http://127.0.0.1:" + std::to_string(of.port()); };
    const std::string text =
        output_of(program, {"http_proxy=" + url(proxy), "ALL_PROXY=" + url(proxy)}, url(server) + "/x");
    if (text.find("no support for remote servers") != std::string::npos) {
      return std::optional<int>();
    }
    CHECK_THAT(text, Catch::Contains("request: answered"));
    CHECK(server.connections() + proxy.connections() == 1);
    return std::optional(proxy.connections());
  };
  // The other user may write there, whatever the program takes from him.
  fs::permissions(planted, fs::perms(0777));

  SECTION("an ordinary program takes all of it") {
    std::string text = output_of(program, libraries);
    CHECK(text.find("privileges: ordinary") != std::string::npos);
    for (const char* kind :
         {"driver: ", "nvrtc: ", "directory: ", "layer: ", "server: http://host", "credentials: "}) {
      CHECK(text.find(kind + planted) != std::string::npos);
    }
    CHECK(text.find("loader: " + planted + "/libplanted.so") != std::string::npos);
    text = output_of(program, places);
    CHECK(text.find("directory: " + planted) != std::string::npos);
    CHECK(fs::exists(planted + "/metrics.prom"));
    CHECK(proxied().value_or(1) == 1);
  }

  const auto takes_nothing = [&](const std::string& own_files) {
    for (const auto* variables : std::vector<const std::vector<std::string>*>{&places, &libraries}) {
      const std::string text = output_of(program, *variables);
      if (text.find("privileges: raised") == std::string::npos) {
        WARN("skipped: the file system of " + directory.path() + " gives no privileges (nosuid)");
        return;
      }
      CAPTURE(text);
      CHECK(text.find(directory.path()) == std::string::npos);
      CHECK(text.find("not trusted") != std::string::npos);
      CHECK(text.find("own files: " + own_files) != std::string::npos);
    }
    CHECK(!fs::exists(planted + "/metrics.prom"));
    CHECK(proxied().value_or(0) == 0);
  };
  SECTION("set-user-id") {
    REQUIRE(::chmod(program.c_str(), 04755) == 0);
    takes_nothing("used");
  }
  SECTION("set-group-id") {
    REQUIRE(::chmod(program.c_str(), 02755) == 0);
    takes_nothing("unused");
  }
  SECTION("file capabilities") {
    if (std::system(("setcap cap_net_bind_service+ep " + program + " 2>/dev/null").c_str()) != 0) {
      WARN("skipped: setcap is not installed, or the file system keeps no capabilities");
      return;
    }
    takes_nothing("unused");
  }
}
