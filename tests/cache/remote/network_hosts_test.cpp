// Eight hosts, each in a network namespace of its own, share a server over virtual cables. The cases need
// root.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/cache/child_process.hpp"
#include "tests/cache/remote/fleet_of_processes.hpp"
#include "tests/cache/remote/server_process.hpp"

using namespace kerncast::cache;

namespace {

constexpr int hosts = 8;
constexpr int not_possible = 77;

bool does(const std::string& command) {
  return std::system((command + " 2>/dev/null").c_str()) == 0;
}

/// A pipe by which one process tells another one to go on.
class Signal {
 public:
  Signal() { good_ = pipe2(ends_, O_CLOEXEC) == 0; }
  ~Signal() {
    close(ends_[0]);
    close(ends_[1]);
  }
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  [[nodiscard]] bool send() const { return good_ && write(ends_[1], "x", 1) == 1; }
  [[nodiscard]] bool wait() const {
    char byte = 0;
    return good_ && read(ends_[0], &byte, 1) == 1;
  }

 private:
  int ends_[2] = {-1, -1};
  bool good_ = false;
};

enum class Kind { redis, s3 };

/// A fleet in a network of its own.
struct Setting {
  Kind kind = Kind::redis;
  std::uint64_t kernels = 200;
  bool troubled = false;  ///< one host is killed, one is cut off, and one is slow
};

constexpr int killed_host = 0;
constexpr int cut_host = 1;
constexpr int slow_host = 2;

/// The number of the kernel that a host begins with. On S3 two hosts begin with each: where all do, they wait
/// for each other at each kernel, for longer than a host waits for a Redis.
std::uint64_t first_of(const Setting& setting, int number) {
  return setting.kind == Kind::s3 ? static_cast<std::uint64_t>(number / 2) * setting.kernels * 2 / hosts : 0;
}

/// The fleet as host `number` sees it.
Fleet fleet_of(const Setting& setting, int number, SharedMemory& shared) {
  const std::string url =
      setting.kind == Kind::s3 ? "s3://kernels/fleet" : "redis://10.77." + std::to_string(number) + ".1";
  Fleet fleet{url, shared, setting.kernels};
  if (setting.troubled) {
    fleet.lease = std::chrono::seconds(6);
    fleet.timeout = std::chrono::seconds(5);
    fleet.compile = std::chrono::milliseconds(number == slow_host ? 100 : 10);
  }
  return fleet;
}

void use_s3_at(int number) {
  setenv("AWS_ACCESS_KEY_ID", "key", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
  setenv("AWS_REGION", "eu-north-1", 1);
  setenv("AWS_ENDPOINT_URL", ("http://10.77." + std::to_string(number) + ".1:6379").c_str(), 1);
}

std::string cable_of(int number) {
  return "cable" + std::to_string(number);
}

/// A host with its own network, whose cable is plugged in by plug().
struct Host {
  Signal unplugged;
  Signal plugged;
  pid_t process = -1;

  void start(int number, const Setting& setting, SharedMemory& shared) {
    process = start_child(
        [&, number] {
          const std::string address = "10.77." + std::to_string(number) + ".2/24";
          if (unshare(CLONE_NEWNET) != 0 || !unplugged.send() || !plugged.wait() ||
              !does("ip addr add " + address + " dev eth0") || !does("ip link set eth0 up")) {
            return not_possible;
          }
          use_s3_at(number);
          return run_machine(fleet_of(setting, number, shared), first_of(setting, number), setting.troubled);
        },
        600);
  }

  [[nodiscard]] bool plug(int number) const {
    const std::string cable = cable_of(number);
    return unplugged.wait() &&
           does("ip link add " + cable + " type veth peer name eth0 netns " + std::to_string(process)) &&
           does("ip addr add 10.77." + std::to_string(number) + ".1/24 dev " + cable) &&
           does("ip link set " + cable + " up") && plugged.send();
  }
};

std::vector<std::string> server_words(Kind kind, const TemporaryDirectory& folder) {
  if (kind == Kind::s3) {
    setenv("S3_ADDRESS", "0.0.0.0", 1);
    return {"/usr/bin/python3", S3_SERVER, "6379", "key", "secret", "eu-north-1"};
  }
  return {"/usr/bin/redis-server",
          "--port",
          "6379",
          "--bind",
          "0.0.0.0",
          "--protected-mode",
          "no",
          "--save",
          "",
          "--dir",
          folder.path()};
}

/// Runs the fleet in a network of its own, which ends with the process. Returns an exit code.
int run_network(const Setting& setting, SharedMemory& shared) {
  if (unshare(CLONE_NEWNET) != 0 || !does("ip link set lo up")) {
    return not_possible;
  }
  const TemporaryDirectory folder;
  const ServerProcess server(server_words(setting.kind, folder), 6379);
  std::vector<std::unique_ptr<Host>> all;
  bool plugged = server.started();
  for (int i = 0; i < hosts; ++i) {
    all.push_back(std::make_unique<Host>());
    all.back()->start(i, setting, shared);
    plugged = plugged && all.back()->plug(i);
  }
  if (plugged && setting.troubled) {
    while (shared->compiles < static_cast<int>(setting.kernels / 4)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    kill(all[killed_host]->process, SIGKILL);
    plugged = does("ip link set " + cable_of(cut_host) + " down");
  }
  int code = 0;
  for (int i = 0; i < hosts; ++i) {
    if (!plugged) {
      kill(all[static_cast<std::size_t>(i)]->process, SIGKILL);
    }
    const int ended = exit_code(all[static_cast<std::size_t>(i)]->process);
    const bool counts = plugged && !(setting.troubled && i == killed_host);
    if (counts && ended != 0) {
      std::cerr << "host " << i << " ended with " << ended << '\n';
      code = ended;
    }
  }
  return plugged ? code : not_possible;
}

/// False, with a message, if this machine cannot run the case.
bool possible(Kind kind) {
  const char* program = kind == Kind::s3 ? "/usr/bin/python3" : "/usr/bin/redis-server";
  if (!std::filesystem::exists(program) || geteuid() != 0 || !does("ip -V > /dev/null")) {
    WARN("not root, or " << program << " or ip is not installed: the case was not tried");
    return false;
  }
  return true;
}

/// Runs a fleet and checks that every host that is not killed gets its kernels. False if this machine allows
/// no networks.
bool run_fleet(const Setting& setting, SharedMemory& shared) {
  const int code = run_child([&] { return run_network(setting, shared); }, 600);
  if (code == not_possible) {
    WARN("this machine allows no networks of its own: the case was not tried");
    return false;
  }
  CHECK(code == 0);
  return true;
}

}  // namespace

TEST_CASE("eight hosts on a network compile each kernel once") {
  for (const Setting setting : {Setting{Kind::redis, 200}, Setting{Kind::s3, 200}}) {
    SharedMemory shared;
    if (possible(setting.kind) && run_fleet(setting, shared)) {
      CHECK(shared->compiles == static_cast<int>(setting.kernels));
    }
  }
}

TEST_CASE("hosts get all kernels while one is killed, one is cut off and one is slow") {
  for (const Setting setting : {Setting{Kind::redis, 100, true}, Setting{Kind::s3, 40, true}}) {
    SharedMemory shared;
    if (possible(setting.kind) && run_fleet(setting, shared)) {
      // The host that is cut off compiles what is left by itself. Eight hosts without leases would compile
      // seven times as many kernels at least.
      CHECK(shared->compiles >= static_cast<int>(setting.kernels));
      CHECK(shared->compiles <= static_cast<int>(3 * setting.kernels));
    }
  }
}
