// The steps of a machine that misses a kernel are tested one by one, with a clock that the test moves.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <tuple>

#include "cache/remote/lease_policy.hpp"

using namespace kerncast::cache;
using Time = LeasePolicy::Time;
using namespace std::chrono_literals;

namespace {

/// A policy and its clock.
struct Machine {
  explicit Machine(Time end = 30s) : policy({}, 1, 2, 1000ms + end) {}
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
  Machine machine(300s);
  machine.after(LeaseStep::claim, LeaseAnswer::taken);
  CHECK(machine.policy.pause() <= 100ms);
  int lease_reads = 0;
  Time pause{0};
  for (int i = 0; i < 30; ++i) {
    machine.after(LeaseStep::wait, LeaseAnswer::done);
    if (machine.after(LeaseStep::read_entry, LeaseAnswer::absent) == LeaseStep::read_lease) {
      ++lease_reads;
      const std::string newer = "holder" + std::to_string(i) + " 15000";
      machine.after(LeaseStep::read_lease, LeaseAnswer::done, newer);
    }
    pause = machine.policy.pause();
  }
  CHECK(pause >= 1000ms);
  CHECK(pause <= 2000ms);
  CHECK(lease_reads < 15);
  CHECK(lease_reads > 5);
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
  Machine machine(3600s);
  machine.after(LeaseStep::claim, LeaseAnswer::taken);
  for (int i = 0; i < 400; ++i) {
    REQUIRE(machine.round(std::to_string(machine.now / 10s) + " 15000") == LeaseStep::wait);
  }
}

TEST_CASE("the duration that a lease states is bounded, whoever wrote it") {
  for (const auto& [lease, least, most] :
       {std::tuple{"x 0", 1s, 12s}, std::tuple{"x 4000000000", 60s, 72s},
        std::tuple{"x 99999999999999", 15s, 27s}, std::tuple{"", 15s, 27s}, std::tuple{"x -5", 15s, 27s}}) {
    Machine machine(3600s);
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
