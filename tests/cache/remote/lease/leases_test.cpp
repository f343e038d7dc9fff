// Machines that share a server compile each kernel once, and go on without the server or each other.
// Processes stand for machines.
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/cache/child_process.hpp"
#include "tests/cache/remote/fleet_of_processes.hpp"
#include "tests/cache/remote/redis_process.hpp"
#include "tests/cache/remote/s3_process.hpp"

using namespace kerncast::cache;
using kerncast::CacheCounters;

namespace {

/// A server of either kind, whose URL is the same for all machines.
class Server {
 public:
  enum class Kind { redis, s3 };
  explicit Server(Kind kind) {
    if (kind == Kind::redis) {
      redis_ = std::make_unique<Redis>();
      return;
    }
    s3_ = std::make_unique<S3>();
    setenv("AWS_ACCESS_KEY_ID", "key", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_REGION", "eu-north-1", 1);
    setenv(s3_->endpoint().first.c_str(), s3_->endpoint().second.c_str(), 1);
  }
  [[nodiscard]] static bool installed(Kind kind) {
    return kind == Kind::redis ? Redis::installed() : S3::installed();
  }
  [[nodiscard]] std::string url() const { return redis_ != nullptr ? redis_->url() : "s3://kernels/fleet"; }
  [[nodiscard]] bool started() const { return redis_ != nullptr ? redis_->started() : s3_->started(); }
  ServerProcess& process() { return redis_ != nullptr ? redis_->process() : s3_->process(); }

 private:
  std::unique_ptr<Redis> redis_;
  std::unique_ptr<S3> s3_;
};

pid_t start_machine(const Fleet& fleet, std::uint64_t first, bool may_warn = false) {
  return start_child([&fleet, first, may_warn] { return run_machine(fleet, first, may_warn); }, 600);
}

/// A machine that takes the leases of the first `count` kernels and neither compiles nor goes on.
pid_t start_stuck_machine(const Fleet& fleet, std::uint64_t count) {
  return start_child(
      [&fleet, count] {
        const TemporaryDirectory folder;
        Cache cache(options_of(fleet, folder), [](std::string_view) {});
        WaitBudget budget = cache.wait_budget();
        std::vector<std::unique_ptr<Turn>> turns;
        for (std::uint64_t i = 1; i <= count; ++i) {
          turns.push_back(std::make_unique<Turn>(cache.take_turn(sample_key(i), budget)));
          if (!turns.back()->lease.held()) {
            return 1;
          }
          ++fleet.shared->held;
        }
        pause();
        return 0;
      },
      600);
}

/// Waits until the stuck machine holds `count` leases. False if it ended or got none.
bool has_leases(pid_t stuck, SharedMemory& shared, int count) {
  while (shared->held < count) {
    if (waitpid(stuck, nullptr, WNOHANG) != 0) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// Starts machines that all begin with the same kernel, or with different ones, and waits for them.
void run_machines(const Fleet& fleet, int machines, bool same_order) {
  std::vector<pid_t> children;
  for (int i = 0; i < machines; ++i) {
    const std::uint64_t first = same_order ? 0 : static_cast<std::uint64_t>(i) * 37;
    children.push_back(start_machine(fleet, first));
  }
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
}

constexpr Server::Kind kinds[] = {Server::Kind::redis, Server::Kind::s3};

}  // namespace

TEST_CASE("eight cold machines compile each of 200 kernels once") {
  for (const Server::Kind kind : kinds) {
    for (const bool same_order : {true, false}) {
      // The S3 server is a slow script.
      const bool slow = kind == Server::Kind::s3;
      if ((slow && same_order) || !Server::installed(kind)) {
        continue;
      }
      const Server server(kind);
      REQUIRE(server.started());
      SharedMemory shared;
      run_machines({server.url(), shared}, slow ? 3 : 8, same_order);
      CHECK(shared->compiles == 200);
    }
  }
}

TEST_CASE("the leases of a killed machine end, and others compile its kernels") {
  for (const Server::Kind kind : kinds) {
    if (!Server::installed(kind)) {
      continue;
    }
    const Server server(kind);
    REQUIRE(server.started());
    SharedMemory shared;
    Fleet fleet{server.url(), shared, 20};
    fleet.lease = std::chrono::seconds(2);
    const pid_t stuck = start_stuck_machine(fleet, 3);
    REQUIRE(has_leases(stuck, shared, 3));
    kill(stuck, SIGKILL);
    CHECK(exit_code(stuck) == 128 + SIGKILL);
    run_machines(fleet, 3, true);
    // A machine that is not scheduled for the time of a lease loses it, and its kernel is compiled again.
    CHECK(shared->compiles >= 20);
  }
}

TEST_CASE("machines wait for a slow one and do not compile what it compiles") {
  for (const Server::Kind kind : kinds) {
    if (!Server::installed(kind)) {
      continue;
    }
    const Server server(kind);
    REQUIRE(server.started());
    SharedMemory shared;
    Fleet slow{server.url(), shared, 2};
    slow.compile = std::chrono::milliseconds(1500);
    const Fleet fast{server.url(), shared, 10};
    const pid_t child = start_machine(slow, 0);
    run_machines(fast, 3, false);
    CHECK(exit_code(child) == 0);
    CHECK(shared->compiles == 10);
  }
}

TEST_CASE("a machine that cannot reach the server compiles alone at once") {
  if (!Server::installed(Server::Kind::redis)) {
    return;
  }
  Server server(Server::Kind::redis);
  REQUIRE(server.started());
  SharedMemory shared;
  const Fleet fleet{server.url(), shared, 20};
  const Fleet alone{"redis://127.0.0.1:" + std::to_string(free_port()), shared, 20};
  const pid_t child = start_machine(alone, 0, true);
  run_machines(fleet, 2, true);
  CHECK(exit_code(child) == 0);
  CHECK(shared->compiles == 40);
}

TEST_CASE("a server that goes away while machines wait costs them no kernel") {
  if (!Server::installed(Server::Kind::redis)) {
    return;
  }
  Server server(Server::Kind::redis);
  REQUIRE(server.started());
  SharedMemory shared;
  const Fleet fleet{server.url(), shared, 20};
  const pid_t stuck = start_stuck_machine(fleet, 1);
  REQUIRE(has_leases(stuck, shared, 1));
  const pid_t child = start_machine(fleet, 0, true);
  server.process().stop();
  CHECK(exit_code(child) == 0);
  CHECK(shared->compiles == 20);
  kill(stuck, SIGKILL);
  exit_code(stuck);
}

TEST_CASE("a miss waits for a lease no longer than its budget, and then compiles and uploads") {
  if (!Server::installed(Server::Kind::redis)) {
    return;
  }
  const Server server(Server::Kind::redis);
  REQUIRE(server.started());
  SharedMemory shared;
  Fleet fleet{server.url(), shared, 1};
  const pid_t stuck = start_stuck_machine(fleet, 1);
  REQUIRE(has_leases(stuck, shared, 1));
  fleet.wait = std::chrono::seconds(16);
  const TemporaryDirectory folder;
  Cache cache(options_of(fleet, folder), [](std::string_view) {});
  CHECK(get(cache, fleet, sample_key(1)));
  const CacheCounters counted = cache.counters();
  CHECK(counted.lease_wait_us >= 6'000'000);
  CHECK(counted.leases == 0);
  CHECK(counted.lease_hits == 0);
  CHECK(counted.remote_puts == 1);
  kill(stuck, SIGKILL);
  exit_code(stuck);
}

TEST_CASE("a stop ends the wait for another machine") {
  if (!Server::installed(Server::Kind::redis)) {
    return;
  }
  const Server server(Server::Kind::redis);
  REQUIRE(server.started());
  SharedMemory shared;
  const Fleet fleet{server.url(), shared, 1};
  const TemporaryDirectory mine;
  const TemporaryDirectory theirs;
  Cache holder(options_of(fleet, mine), [](std::string_view) {});
  Cache waiter(options_of(fleet, theirs), [](std::string_view) {});
  WaitBudget budget = holder.wait_budget();
  const Turn turn = holder.take_turn(sample_key(1), budget);
  REQUIRE(turn.lease.held());
  std::atomic<bool> waits{false};
  bool held = true;
  std::thread other([&] {
    WaitBudget own = waiter.wait_budget();
    waits = true;
    held = waiter.take_turn(sample_key(1), own).lease.held();
  });
  while (!waits) {
    std::this_thread::yield();
  }
  // Usually the wait has begun by then. Whether it has changes nothing in the outcome.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  waiter.stop_waiting();
  other.join();
  CHECK_FALSE(held);
}

TEST_CASE("what leases saved is counted, and leases are gone after the compile") {
  for (const Server::Kind kind : kinds) {
    if (!Server::installed(kind)) {
      continue;
    }
    const Server server(kind);
    REQUIRE(server.started());
    SharedMemory shared;
    const Fleet fleet{server.url(), shared, 1};
    const TemporaryDirectory mine;
    const TemporaryDirectory theirs;
    Cache holder(options_of(fleet, mine), [](std::string_view) {});
    Cache waiter(options_of(fleet, theirs), [](std::string_view) {});
    std::atomic<bool> waits{false};
    bool got = false;
    bool published = false;
    std::optional<std::thread> other;
    {
      WaitBudget budget = holder.wait_budget();
      const Turn turn = holder.take_turn(sample_key(1), budget);
      REQUIRE(turn.lease.held());
      other.emplace([&] {
        waits = true;
        got = get(waiter, fleet, sample_key(1));
      });
      while (!waits) {
        std::this_thread::yield();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
      published = holder.publish(sample_key(1), sample_entry(), budget);
    }
    other->join();
    CHECK(published);
    CHECK(got);
    CHECK(shared->compiles == 0);
    CHECK(holder.counters().leases == 1);
    CHECK(waiter.counters().lease_hits <= 1);
    CHECK(waiter.counters().remote_hits == 1);
    CHECK(waiter.counters().promoted == 1);
    std::string defect;
    RemoteOptions options;
    options.address = RemoteAddress(fleet.url);
    const auto raw = remote_server(options, defect);
    REQUIRE(raw != nullptr);
    CHECK(raw->get("v1-" + sample_key(1).hex() + ".lease", Deadline::after(fleet.timeout)).state ==
          RemoteState::absent);
  }
}

TEST_CASE("a lease is released only by its holder") {
  for (const Server::Kind kind : kinds) {
    if (!Server::installed(kind)) {
      continue;
    }
    const Server server(kind);
    REQUIRE(server.started());
    std::string defect;
    RemoteOptions options;
    options.address = RemoteAddress(server.url());
    options.timeout = std::chrono::seconds(60);
    const auto raw = remote_server(options, defect);
    REQUIRE(raw != nullptr);
    const auto soon = [] { return Deadline::after(std::chrono::seconds(60)); };
    const LeaseClaim claim{"x.lease", "mine 60000", std::chrono::seconds(60), false};
    CHECK(raw->claim(claim, soon()).state == RemoteState::done);
    CHECK(raw->claim(claim, soon()).state == RemoteState::taken);
    CHECK(raw->release("x.lease", "another", soon()).state == RemoteState::done);
    CHECK(raw->get("x.lease", soon()).bytes == "mine 60000");
    CHECK(raw->claim({"x.lease", "theirs", std::chrono::seconds(60), true}, soon()).state ==
          RemoteState::done);
    CHECK(raw->release("x.lease", "mine 60000", soon()).state == RemoteState::done);
    CHECK(raw->get("x.lease", soon()).bytes == "theirs");
    CHECK(raw->release("x.lease", "theirs", soon()).state == RemoteState::done);
    CHECK(raw->get("x.lease", soon()).state == RemoteState::absent);
    CHECK(raw->claim(claim, soon()).state == RemoteState::done);
  }
}

TEST_CASE("a server without conditional requests is done without, with one warning") {
  if (!Server::installed(Server::Kind::s3)) {
    return;
  }
  for (const char* conditions : {"ignore", "501", "405", "403"}) {
    setenv("S3_CONDITIONS", conditions, 1);
    const Server server(Server::Kind::s3);
    unsetenv("S3_CONDITIONS");
    REQUIRE(server.started());
    SharedMemory shared;
    const Fleet fleet{server.url(), shared, 5};
    const TemporaryDirectory folder;
    std::vector<std::string> warnings;
    Cache cache(options_of(fleet, folder), [&](std::string_view text) { warnings.emplace_back(text); });
    for (std::uint64_t i = 1; i <= fleet.kernels; ++i) {
      CHECK(get(cache, fleet, sample_key(i)));
    }
    INFO(conditions);
    CHECK(shared->compiles == 5);
    CHECK(cache.counters().remote_puts == 5);
    CHECK(cache.counters().leases == 0);
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], Catch::Contains("KERNCAST_CACHE_REMOTE_LEASES=0"));
  }
}

TEST_CASE("a server that forbids uploads gives one warning, which says so") {
  if (!Server::installed(Server::Kind::s3)) {
    return;
  }
  setenv("S3_PUTS", "no", 1);
  const Server server(Server::Kind::s3);
  unsetenv("S3_PUTS");
  REQUIRE(server.started());
  SharedMemory shared;
  const Fleet fleet{server.url(), shared, 3};
  const TemporaryDirectory folder;
  std::vector<std::string> warnings;
  Cache cache(options_of(fleet, folder), [&](std::string_view text) { warnings.emplace_back(text); });
  for (std::uint64_t i = 1; i <= fleet.kernels; ++i) {
    CHECK(get(cache, fleet, sample_key(i)));
  }
  CHECK(shared->compiles == 3);
  CHECK(cache.counters().remote_puts == 0);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("refuses an upload (HTTP 403)") &&
                              Catch::Contains("KERNCAST_CACHE_REMOTE_READONLY=1"));
}

TEST_CASE("leases that nobody may delete cost no kernel and no warning") {
  if (!Server::installed(Server::Kind::s3)) {
    return;
  }
  setenv("S3_DELETES", "no", 1);
  const Server server(Server::Kind::s3);
  unsetenv("S3_DELETES");
  REQUIRE(server.started());
  SharedMemory shared;
  const Fleet fleet{server.url(), shared, 5};
  const TemporaryDirectory folder;
  int warnings = 0;
  Cache cache(options_of(fleet, folder), [&](std::string_view) { ++warnings; });
  for (std::uint64_t i = 1; i <= fleet.kernels; ++i) {
    CHECK(get(cache, fleet, sample_key(i)));
  }
  CHECK(cache.counters().leases == 5);
  CHECK(cache.counters().remote_failures == 0);
  CHECK(warnings == 0);
}

TEST_CASE("no lease is taken where nothing is uploaded or leases are turned off") {
  if (!Server::installed(Server::Kind::redis)) {
    return;
  }
  const Server server(Server::Kind::redis);
  REQUIRE(server.started());
  SharedMemory shared;
  const Fleet fleet{server.url(), shared, 1};
  const TemporaryDirectory mine;
  Cache holder(options_of(fleet, mine), [](std::string_view) {});
  WaitBudget budget = holder.wait_budget();
  const Turn turn = holder.take_turn(sample_key(1), budget);
  REQUIRE(turn.lease.held());
  for (const bool read_only : {true, false}) {
    const TemporaryDirectory folder;
    CacheOptions options = options_of(fleet, folder);
    options.remote.read_only = read_only;
    options.remote.leases = read_only;
    Cache cache(options, [](std::string_view) {});
    CHECK(get(cache, fleet, sample_key(1)));
    CHECK(cache.counters().lease_wait_us == 0);
    CHECK(cache.counters().leases == 0);
  }
  CHECK(shared->compiles == 2);
  setenv("KERNCAST_CACHE_REMOTE_LEASES", "0", 1);
  CHECK(!options_from_environment().remote.leases);
  unsetenv("KERNCAST_CACHE_REMOTE_LEASES");
  CHECK(options_from_environment().remote.leases);
}
