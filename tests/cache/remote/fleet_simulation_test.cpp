// A simulated fleet compiles each kernel once, and no more than it must when machines or the server fail.
#include <catch2/catch.hpp>

#include "tests/benchmarks/fleet_simulation.hpp"

using kerncast::bench::Fleet;
using kerncast::bench::FleetResult;
using kerncast::bench::simulate;
using namespace std::chrono_literals;

namespace {

Fleet small_fleet() {
  Fleet fleet;
  fleet.hosts = 300;
  fleet.keys = 20;
  return fleet;
}

}  // namespace

TEST_CASE("a cold fleet compiles each kernel once, whatever the order and the kind of server") {
  for (const bool shuffled : {false, true}) {
    for (const bool expiring : {false, true}) {
      Fleet fleet = small_fleet();
      fleet.shuffled = shuffled;
      fleet.expiring = expiring;
      const FleetResult result = simulate(fleet);
      CHECK(result.compiles == 20);
      CHECK(result.most_compiles == 1);
      CHECK(result.free_compiles == 0);
      CHECK(result.failures == 0);
      // Alone, a host compiles for at most 20 times 1.5 s on 4 threads. It learns of each kernel within 2 s.
      CHECK(result.seconds < 7.5 + 5 * 2);
      CHECK(result.requests < 300U * 20 * 12);
    }
  }
}

TEST_CASE("the same fleet gives the same result") {
  const FleetResult one = simulate(small_fleet());
  const FleetResult two = simulate(small_fleet());
  CHECK(one.requests == two.requests);
  CHECK(one.seconds == two.seconds);
  Fleet other = small_fleet();
  other.seed = 2;
  CHECK(simulate(other).requests != one.requests);
}

TEST_CASE("the kernels of killed machines are compiled by others") {
  for (const bool expiring : {false, true}) {
    Fleet fleet = small_fleet();
    fleet.killed = 0.1;
    fleet.expiring = expiring;
    const FleetResult result = simulate(fleet);
    CHECK(result.dead > 0);
    CHECK(result.dead < 30);
    CHECK(result.compiles >= 20);
    CHECK(result.compiles <= 20 + 2);
    CHECK(result.seconds < 60);
  }
}

TEST_CASE("holders that die one after the other cost no miss more than two leases") {
  for (const bool expiring : {false, true}) {
    Fleet fleet = small_fleet();
    fleet.killed = 0.5;
    fleet.expiring = expiring;
    const FleetResult result = simulate(fleet);
    CHECK(result.dead >= 10);
    // A request is answered within some milliseconds here.
    CHECK(result.longest_wait < 2 * 7.5 + 1);
    // One machine after the other gives up, and its kernel reaches those that still wait.
    CHECK(result.most_compiles < 60);
  }
}

TEST_CASE("hosts that each have an order of their own are warm far sooner") {
  Fleet fleet = small_fleet();
  fleet.hosts = 1000;
  fleet.keys = 100;
  fleet.capacity = 10'000;
  const FleetResult same = simulate(fleet);
  fleet.shuffled = true;
  const FleetResult own = simulate(fleet);
  CHECK(own.compiles == 100);
  CHECK(own.seconds < same.seconds / 2);
  CHECK(own.requests < same.requests / 2);
  fleet.leases = false;
  fleet.shuffled = false;
  CHECK(own.seconds < simulate(fleet).seconds);
}

TEST_CASE("a fleet whose server is overloaded or has no leases goes on by itself") {
  Fleet fleet = small_fleet();
  fleet.leases = false;
  const FleetResult without = simulate(fleet);
  CHECK(without.compiles > 300);
  fleet.leases = true;
  fleet.capacity = 10;
  const FleetResult overloaded = simulate(fleet);
  CHECK(overloaded.failures > 0);
  CHECK(overloaded.compiles <= 300U * 20);
  CHECK(overloaded.seconds < 120);
}
