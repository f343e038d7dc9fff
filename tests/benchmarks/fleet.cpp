// Simulates fleets of machines that warm the same kernels through one server, and prints for each how often a
// kernel was compiled, what the server had to do, and when all machines were warm. A fleet that compiles more
// than its bound is a failure.
//   bench_fleet [HOSTS [KEYS [SEED]]]      (default 10000 200 1)
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "tests/benchmarks/fleet_simulation.hpp"

namespace {

using kerncast::bench::Fleet;
using kerncast::bench::FleetResult;
using namespace std::chrono_literals;

struct Scenario {
  const char* name;
  Fleet fleet;
  double bound;  ///< most compiles of a key on average; 0: none
};

/// `fleet`, changed by `change`.
template <class Change>
Fleet with(Fleet fleet, Change&& change) {
  change(fleet);
  return fleet;
}

std::vector<Scenario> scenarios(const Fleet& fleet) {
  return {
      {"all cold at once", fleet, 1},
      {"the same, HTTP", with(fleet, [](Fleet& it) { it.expiring = false; }), 1},
      {"each in its own order", with(fleet, [](Fleet& it) { it.shuffled = true; }), 1},
      {"one holder in twenty dies", with(fleet, [](Fleet& it) { it.killed = 0.05; }), 1.1},
      {"the same, HTTP",
       with(fleet,
            [](Fleet& it) {
              it.killed = 0.05;
              it.expiring = false;
            }),
       1.1},
      {"a slow server: 100 ms, 20000/s",
       with(fleet,
            [](Fleet& it) {
              it.round_trip = 100ms;
              it.capacity = 20'000;
            }),
       1.1},
      {"an overloaded server: 1000/s", with(fleet, [](Fleet& it) { it.capacity = 1000; }), 0},
      {"without leases", with(fleet, [](Fleet& it) { it.leases = false; }), 0},
  };
}

}  // namespace

int main(int argc, char** argv) {
  Fleet fleet;
  fleet.hosts = argc > 1 ? std::max(1, std::atoi(argv[1])) : fleet.hosts;
  fleet.keys = argc > 2 ? std::max(1, std::atoi(argv[2])) : fleet.keys;
  fleet.seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : fleet.seed;
  fmt::print("{} hosts with {} threads, {} kernels\n", fleet.hosts, fleet.threads, fleet.keys);
  fmt::print("{:<32} {:>12} {:>8} {:>12} {:>10} {:>10} {:>9} {:>9}\n", "", "compiles/key", "most", "requests",
             "mean/s", "peak/s", "dead", "warm in");
  bool good = true;
  for (const Scenario& scenario : scenarios(fleet)) {
    const FleetResult result = kerncast::bench::simulate(scenario.fleet);
    const double each = static_cast<double>(result.compiles) / fleet.keys;
    const bool kept = scenario.bound == 0 || each <= scenario.bound;
    good = good && kept;
    fmt::print("{:<32} {:>12.2f} {:>8} {:>12} {:>10.0f} {:>10} {:>9} {:>7.1f} s  {}\n", scenario.name, each,
               result.most_compiles, result.requests, static_cast<double>(result.requests) / result.seconds,
               result.peak_requests, result.dead, result.seconds,
               scenario.bound == 0 ? ""
               : kept              ? "pass"
                                   : "FAIL");
  }
  return good ? 0 : 1;
}
