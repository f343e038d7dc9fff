// The steps of a machine that misses a kernel are tested one by one, with a clock that the test moves.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "cache/remote/lease/lease_order.hpp"
#include "cache/remote/lease/lease_policy.hpp"

using namespace kerncast::cache;
using Time = LeasePolicy::Time;
using namespace std::chrono_literals;

namespace {

/// A policy and its clock.
struct Machine {
  explicit Machine(Time end = 30s, Time duration = 15s, std::uint64_t nonce = 1)
      : policy(times_of(duration), nonce, 2, 1000ms + end) {}
  static LeaseTimes times_of(Time duration) {
    LeaseTimes times;
    times.duration = duration;
    return times;
  }
  /// Ends the step, which must be `expected`, and returns the next one.
  LeaseStep after(LeaseStep expected, LeaseAnswer answer, std::string_view lease = {}) {
    REQUIRE(policy.step() == expected);
    if (expected == LeaseStep::wait) {
      now += policy.pause();
    }
    policy.ended(answer, now, lease);
    return policy.step();
  }
  /// Waits and asks for the kernel, which is not there, and for the lease if that is the next step. Returns
  /// the step after these.
  LeaseStep round(std::string_view lease) {
    after(LeaseStep::wait, LeaseAnswer::done);
    if (after(LeaseStep::read_entry, LeaseAnswer::absent) != LeaseStep::read_lease) {
      return policy.step();
    }
    return after(LeaseStep::read_lease, LeaseAnswer::done, lease);
  }
  /// Waits until the next step is to read the lease.
  void wait_for_lease() {
    while (policy.step() == LeaseStep::wait) {
      after(LeaseStep::wait, LeaseAnswer::done);
      after(LeaseStep::read_entry, LeaseAnswer::absent);
    }
  }
  LeasePolicy policy;
  Time now{1000};
};

constexpr std::string_view other = "other 15000";

}  // namespace

TEST_CASE("the holder of a lease asks for the kernel once more and then compiles it") {
  Machine machine;
  CHECK(machine.after(LeaseStep::claim, LeaseAnswer::done) == LeaseStep::read_entry);
  CHECK(machine.policy.holds());
  CHECK(machine.after(LeaseStep::read_entry, LeaseAnswer::absent) == LeaseStep::compile);
  CHECK(!machine.policy.waited());
}

TEST_CASE("a kernel that was published before the lease was taken is used") {
  Machine machine;
  machine.after(LeaseStep::claim, LeaseAnswer::done);
  CHECK(machine.after(LeaseStep::read_entry, LeaseAnswer::done) == LeaseStep::use);
  CHECK(machine.policy.holds());
}

TEST_CASE("the others ask for the kernel in growing pauses until it is there") {
  Machine machine(300s, 60s);
  machine.after(LeaseStep::claim, LeaseAnswer::taken);
  CHECK(machine.policy.pause() <= 100ms);
  int lease_reads = 0;
  Time pause{0};
  for (int i = 0; i < 30; ++i) {
    machine.after(LeaseStep::wait, LeaseAnswer::done);
    if (machine.after(LeaseStep::read_entry, LeaseAnswer::absent) == LeaseStep::read_lease) {
      ++lease_reads;
      const std::string newer = "holder" + std::to_string(i) + " 60000";
      machine.after(LeaseStep::read_lease, LeaseAnswer::done, newer);
    }
    pause = machine.policy.pause();
  }
  CHECK(pause >= 1000ms);
  CHECK(pause <= 2000ms);
  CHECK(lease_reads < 6);
  CHECK(lease_reads > 1);
  machine.after(LeaseStep::wait, LeaseAnswer::done);
  CHECK(machine.after(LeaseStep::read_entry, LeaseAnswer::done) == LeaseStep::use);
  CHECK(machine.policy.waited());
  CHECK(!machine.policy.holds());
}

TEST_CASE("machines pause for different times") {
  LeasePolicy one({}, 1, 1, 30s);
  LeasePolicy two({}, 2, 1, 30s);
  bool differ = one.token() == two.token();
  CHECK(!differ);
  for (LeasePolicy* policy : {&one, &two}) {
    policy->ended(LeaseAnswer::taken, 0ms);
  }
  for (int i = 0; i < 20 && !differ; ++i) {
    differ = one.pause() != two.pause();
    for (LeasePolicy* policy : {&one, &two}) {
      policy->ended(LeaseAnswer::done, 0ms);
      policy->ended(LeaseAnswer::absent, 0ms);
      if (policy->step() == LeaseStep::read_lease) {
        policy->ended(LeaseAnswer::done, 0ms, other);
      }
    }
  }
  CHECK(differ);
}

TEST_CASE("a lease that has vanished without a kernel is claimed again") {
  Machine machine;
  machine.after(LeaseStep::claim, LeaseAnswer::taken);
  machine.wait_for_lease();
  CHECK(machine.now < 7000ms);
  CHECK(machine.after(LeaseStep::read_lease, LeaseAnswer::absent) == LeaseStep::claim);
  machine.after(LeaseStep::claim, LeaseAnswer::done);
  CHECK(machine.after(LeaseStep::read_entry, LeaseAnswer::absent) == LeaseStep::compile);
  CHECK(machine.policy.holds());
}

TEST_CASE("a lease that stands unchanged for its duration is taken over") {
  Machine machine;
  machine.after(LeaseStep::claim, LeaseAnswer::taken);
  LeaseStep step = LeaseStep::wait;
  while (step == LeaseStep::wait) {
    step = machine.round(other);
  }
  REQUIRE(step == LeaseStep::take_over);
  CHECK(machine.now >= 16'000ms);
  CHECK(machine.now < 28'000ms);
  CHECK(machine.after(LeaseStep::take_over, LeaseAnswer::done) == LeaseStep::wait);
  CHECK(machine.after(LeaseStep::wait, LeaseAnswer::done) == LeaseStep::read_lease);
  SECTION("the last one that wrote holds it") {
    machine.after(LeaseStep::read_lease, LeaseAnswer::done, machine.policy.token());
    CHECK(machine.after(LeaseStep::read_entry, LeaseAnswer::absent) == LeaseStep::compile);
    CHECK(machine.policy.holds());
  }
  SECTION("the others wait for that one") {
    CHECK(machine.after(LeaseStep::read_lease, LeaseAnswer::done, "third 15000") == LeaseStep::wait);
    CHECK(!machine.policy.holds());
  }
}

TEST_CASE("a lease that changes hands is not taken over") {
  Machine machine(3600s, 60s);
  machine.after(LeaseStep::claim, LeaseAnswer::taken);
  LeaseStep step = LeaseStep::wait;
  while (step == LeaseStep::wait) {
    step = machine.round(std::to_string(machine.now / 10s) + " 60000");
  }
  CHECK(step == LeaseStep::compile);
  CHECK(machine.now > 60s);
}

TEST_CASE("a miss waits for two leases in all, however many holders are gone one after the other") {
  for (std::uint64_t nonce = 1; nonce <= 200; ++nonce) {
    Machine machine(3600s, 7500ms, nonce);
    machine.after(LeaseStep::claim, LeaseAnswer::taken);
    LeaseStep step = LeaseStep::wait;
    // Whenever this machine finds a lease too old, another one has taken it over, and is gone as well.
    for (int holder = 0; step != LeaseStep::compile; ++holder) {
      REQUIRE(holder < 10);
      const std::string lease = "holder" + std::to_string(holder) + " 7500";
      do {
        step = machine.round(lease);
      } while (step == LeaseStep::wait);
      if (step == LeaseStep::take_over) {
        step = machine.after(LeaseStep::take_over, LeaseAnswer::done);
      }
      if (step == LeaseStep::wait) {
        machine.after(LeaseStep::wait, LeaseAnswer::done);
        step = machine.after(LeaseStep::read_lease, LeaseAnswer::done, "next " + lease);
      }
    }
    CHECK(machine.now <= 1s + 2 * 7500ms);
    CHECK(machine.now >= 1s + 7500ms);
  }
}

TEST_CASE("machines give up at different times, few of them early") {
  constexpr int machines = 1000;
  int early = 0;
  int late = 0;
  for (std::uint64_t nonce = 1; nonce <= machines; ++nonce) {
    Machine machine(3600s, 16s, nonce);
    machine.after(LeaseStep::claim, LeaseAnswer::taken);
    LeaseStep step = LeaseStep::wait;
    while (step == LeaseStep::wait) {
      step = machine.round(std::to_string(machine.now / 8s) + " 16000");
    }
    REQUIRE(step == LeaseStep::compile);
    const Time waited = machine.now - 1s;
    CHECK(waited >= 16s);
    CHECK(waited <= 32s);
    early += waited < 27s ? 1 : 0;
    late += waited > 31s ? 1 : 0;
  }
  // A share of 1 / e^5 gives up five sixteenths of a lease before the end, and of 1 - 1 / e in the last.
  CHECK(early < machines / 50);
  CHECK(late > machines / 2);
}

TEST_CASE("a budget that is shorter than two leases ends the wait") {
  Machine machine(10s, 7500ms);
  machine.after(LeaseStep::claim, LeaseAnswer::taken);
  LeaseStep step = LeaseStep::wait;
  while (step == LeaseStep::wait) {
    step = machine.round(std::to_string(machine.now / 4s) + " 7500");
  }
  CHECK(step == LeaseStep::compile);
  CHECK(machine.now == 11s);
  CHECK(time_to_wait(30s, 3s) == 20s);
  CHECK(time_to_wait(6s, 3s) == 4s);
  CHECK(time_to_wait(0s, 3s) == 0s);
}

TEST_CASE("the duration that a lease states is bounded, whoever wrote it") {
  for (const auto& [lease, least, most] :
       {std::tuple{"x 0", 1s, 40s}, std::tuple{"x 4000000000", 60s, 100s},
        std::tuple{"x 99999999999999", 50s, 84s}, std::tuple{"", 50s, 84s}, std::tuple{"x -5", 50s, 84s}}) {
    Machine machine(3600s, 50s);
    machine.after(LeaseStep::claim, LeaseAnswer::taken);
    LeaseStep step = LeaseStep::wait;
    while (step == LeaseStep::wait) {
      step = machine.round(lease);
    }
    INFO(lease);
    CHECK(step == LeaseStep::take_over);
    CHECK(machine.now - 1000ms >= least);
    CHECK(machine.now - 1000ms <= most);
  }
}

TEST_CASE("a machine compiles when its time to wait ends") {
  Machine machine(5s);
  machine.after(LeaseStep::claim, LeaseAnswer::taken);
  LeaseStep step = LeaseStep::wait;
  while (step == LeaseStep::wait) {
    step = machine.round(other);
  }
  CHECK(step == LeaseStep::compile);
  CHECK(machine.now == 6000ms);
  CHECK(!machine.policy.holds());
}

TEST_CASE("a machine compiles at once when the server fails in any step") {
  const auto compiles = [](Machine& machine, LeaseStep step) {
    CHECK(machine.after(step, LeaseAnswer::failed) == LeaseStep::compile);
  };
  Machine machine;
  SECTION("at the claim") {
    compiles(machine, LeaseStep::claim);
  }
  SECTION("when the kernel is asked for") {
    machine.after(LeaseStep::claim, LeaseAnswer::taken);
    machine.after(LeaseStep::wait, LeaseAnswer::done);
    compiles(machine, LeaseStep::read_entry);
  }
  SECTION("when the lease is asked for") {
    machine.after(LeaseStep::claim, LeaseAnswer::taken);
    machine.wait_for_lease();
    compiles(machine, LeaseStep::read_lease);
  }
}

TEST_CASE("a claim whose answer was lost is recognised by its token") {
  Machine machine;
  machine.after(LeaseStep::claim, LeaseAnswer::taken);
  machine.wait_for_lease();
  machine.after(LeaseStep::read_lease, LeaseAnswer::done, machine.policy.token());
  CHECK(machine.after(LeaseStep::read_entry, LeaseAnswer::absent) == LeaseStep::compile);
  CHECK(machine.policy.holds());
}

TEST_CASE("a server that calls every lease taken and has none is not believed for long") {
  Machine machine;
  int claims = 0;
  while (machine.policy.step() == LeaseStep::claim) {
    ++claims;
    machine.after(LeaseStep::claim, LeaseAnswer::taken);
    machine.wait_for_lease();
    machine.after(LeaseStep::read_lease, LeaseAnswer::absent);
  }
  CHECK(claims == 2);
  CHECK(machine.policy.step() == LeaseStep::compile);
  CHECK(machine.now < 13'000ms);
}

TEST_CASE("an order of its own holds every number once and differs from those of other machines") {
  const std::vector<std::size_t> one = own_order(200, 1);
  CHECK(one == own_order(200, 1));
  CHECK(own_order(0, 1).empty());
  CHECK(own_order(1, 1) == std::vector<std::size_t>{0});
  std::set<std::size_t> first;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const std::vector<std::size_t> order = own_order(200, seed);
    CHECK(std::set<std::size_t>(order.begin(), order.end()).size() == 200);
    first.insert(order.front());
  }
  // Nearly every kernel is the first one of some of the 1000 machines.
  CHECK(first.size() > 190);
}
