// Eight hosts, each in a network namespace of its own, share a Redis over virtual cables. The case needs
// root.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
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

/// A host with its own network, whose cable is plugged in by plug().
struct Host {
  Signal unplugged;
  Signal plugged;
  pid_t process = -1;

  void start(int number, const Fleet& fleet) {
    process = start_child(
        [this, number, &fleet] {
          const std::string address = "10.77." + std::to_string(number) + ".2/24";
          if (unshare(CLONE_NEWNET) != 0 || !unplugged.send() || !plugged.wait() ||
              !does("ip addr add " + address + " dev eth0") || !does("ip link set eth0 up")) {
            return not_possible;
          }
          return run_machine(fleet, 0, false);
        },
        600);
  }

  [[nodiscard]] bool plug(int number) const {
    const std::string cable = "cable" + std::to_string(number);
    return unplugged.wait() &&
           does("ip link add " + cable + " type veth peer name eth0 netns " + std::to_string(process)) &&
           does("ip addr add 10.77." + std::to_string(number) + ".1/24 dev " + cable) &&
           does("ip link set " + cable + " up") && plugged.send();
  }
};

/// Runs the fleet in a network of its own, which ends with the process. Returns an exit code.
int run_network(SharedMemory& shared) {
  if (unshare(CLONE_NEWNET) != 0 || !does("ip link set lo up")) {
    return not_possible;
  }
  const TemporaryDirectory folder;
  const ServerProcess redis({"/usr/bin/redis-server", "--port", "6379", "--bind", "0.0.0.0",
                             "--protected-mode", "no", "--save", "", "--dir", folder.path()},
                            6379);
  std::vector<std::unique_ptr<Fleet>> fleets;
  std::vector<std::unique_ptr<Host>> all;
  bool plugged = redis.started();
  for (int i = 0; i < hosts; ++i) {
    fleets.push_back(std::make_unique<Fleet>(Fleet{"redis://10.77." + std::to_string(i) + ".1", shared}));
    all.push_back(std::make_unique<Host>());
    all.back()->start(i, *fleets.back());
    plugged = plugged && all.back()->plug(i);
  }
  int code = 0;
  for (const std::unique_ptr<Host>& host : all) {
    if (!plugged) {
      kill(host->process, SIGKILL);
    }
    const int ended = exit_code(host->process);
    code = plugged && ended != 0 ? ended : code;
  }
  return plugged ? code : not_possible;
}

}  // namespace

TEST_CASE("eight hosts on a network compile each kernel once") {
  if (!std::filesystem::exists("/usr/bin/redis-server") || geteuid() != 0 || !does("ip -V > /dev/null")) {
    WARN("not root, or redis-server or ip is not installed: the case was not tried");
    return;
  }
  SharedMemory shared;
  const int code = run_child([&] { return run_network(shared); }, 600);
  if (code == not_possible) {
    WARN("this machine allows no networks of its own: the case was not tried");
    return;
  }
  CHECK(code == 0);
  CHECK(shared->compiles == 200);
}
