#include "runtime/devices/cost_model.hpp"

#include <algorithm>
#include <cmath>

#include "runtime/devices/warp_cost.hpp"

namespace kerncast::devices {
namespace {

constexpr double sector_bytes = 32;
/// Compute capability from which on launches may overlap with those that they depend on.
constexpr int first_dependent_sm = 90;

/// Lanes per clock of the unit that runs instructions of class `unit`; 0 if the class has no unit of its own.
double lanes_of(const UnitRates& rates, std::string_view unit) {
  struct Entry {
    std::string_view unit;
    double lanes;
  };
  const Entry entries[] = {
      {"float", rates.float_lanes},       {"double", rates.double_lanes},   {"half", rates.half_lanes},
      {"integer", rates.integer_lanes},   {"special", rates.special_lanes}, {"convert", rates.convert_lanes},
      {"control", rates.control_lanes},   {"load", rates.load_store_lanes}, {"store", rates.load_store_lanes},
      {"atomic", rates.load_store_lanes}, {"warp", rates.warp_lanes},
  };
  const auto* found = std::find_if(std::begin(entries), std::end(entries),
                                   [unit](const Entry& entry) { return entry.unit == unit; });
  return found == std::end(entries) ? 0 : found->lanes;
}

/// Name of the unit in reports. Loads, stores and atomics share one unit.
std::string unit_name(std::string_view unit) {
  const bool memory = unit == "load" || unit == "store" || unit == "atomic";
  return std::string(memory ? "load/store" : unit) + " unit";
}

double largest(const std::vector<CostFactor>& factors, double CostFactor::* time) {
  double most = 0;
  for (const CostFactor& factor : factors) {
    most = std::max(most, factor.*time);
  }
  return most;
}

/// Collects the factors of one launch on one device.
class CostAccumulator {
 public:
  CostAccumulator(const CostInput& input, const DeviceDescription& device, int blocks_per_sm)
      : us_per_clock_(1e-3 / device.clock_ghz) {
    const auto blocks = static_cast<double>(input.blocks);
    const auto sms = static_cast<double>(device.sm_count);
    const double most_blocks = std::ceil(blocks / sms);
    even_share_ = 1 / sms;
    busiest_share_ = most_blocks / blocks;
    waves_ = std::ceil(most_blocks / blocks_per_sm);
    even_waves_ = std::min(std::max(1.0, blocks / (sms * blocks_per_sm)), waves_);
  }

  /// Adds work that would take `clocks` if one SM did all of it.
  void add_sm_work(const std::string& name, double clocks) {
    add(name, clocks * even_share_ * us_per_clock_, clocks * busiest_share_ * us_per_clock_);
  }

  /// Adds the latency of a launch from the clocks of its longest and of its average warp.
  void add_latency(double longest, double average) {
    add("latency", (longest + average * (even_waves_ - 1)) * us_per_clock_,
        (longest + average * (waves_ - 1)) * us_per_clock_);
  }

  void add_l2(double bytes, const DeviceDescription& device) {
    const double even =
        bytes * std::max(1 / device.l2_bytes_per_clock, even_share_ / device.l2_bytes_per_clock_sm);
    const double busiest = bytes * busiest_share_ / device.l2_bytes_per_clock_sm;
    add("L2 bandwidth", even * us_per_clock_, std::max(even, busiest) * us_per_clock_);
  }

  void add(const std::string& name, double us, double busiest_us) {
    if (us > 0) {
      factors.push_back({name, us, busiest_us});
    }
  }

  [[nodiscard]] std::uint64_t waves() const { return static_cast<std::uint64_t>(waves_); }

  std::vector<CostFactor> factors;

 private:
  double us_per_clock_;
  double even_share_ = 0;
  double busiest_share_ = 0;
  double waves_ = 0;
  double even_waves_ = 0;
};

/// Ratio of the longest warp's count to the average warp's. `all` is the sum over all `warps`; at least 1.
double longest_share(std::uint64_t longest, double all, double warps) {
  return all > 0 ? std::max(1.0, static_cast<double>(longest) * warps / all) : 1.0;
}

/// Clocks of a warp that runs these shares of all instructions and of all loads.
double clocks_of_warp(const CostInput& input, const DeviceDescription& device, double instructions,
                      double instruction_share, double load_share) {
  const double warps = static_cast<double>(input.blocks) * input.warps_per_block;
  const auto waits = [](std::uint64_t count, double share) {
    return count == 0 ? 0 : load_waits(static_cast<double>(count) * share);
  };
  return warp_clocks({.instructions = instructions * instruction_share,
                      .global_waits = waits(input.global_waits, load_share),
                      .shared_waits = waits(input.shared_waits, 1 / warps),
                      .barriers = static_cast<double>(input.barriers) / warps},
                     {.global = device.global_latency,
                      .shared = device.shared_latency,
                      .barrier = device.barrier_latency,
                      .dependent = device.dependent_latency});
}

void add_latency(CostAccumulator& costs, const CostInput& input, const DeviceDescription& device,
                 double instructions) {
  const double warps = static_cast<double>(input.blocks) * input.warps_per_block;
  double all = 0;
  for (const auto& [unit, count] : input.warp_instructions) {
    all += static_cast<double>(count);
  }
  const double longest = longest_share(input.longest_warp, all, warps) / warps;
  const double asking =
      longest_share(input.longest_warp_requests, static_cast<double>(input.global_requests), warps) / warps;
  costs.add_latency(clocks_of_warp(input, device, instructions, longest, asking),
                    clocks_of_warp(input, device, instructions, 1 / warps, 1 / warps));
}

}  // namespace

void add_class(CostInput& input, std::string_view unit, const ClassCounts& counts) {
  input.warp_instructions.emplace_back(unit, counts.warp_instructions);
  input.tensor_fma += counts.tensor_fma;
  input.global_requests += counts.global_requests;
  input.global_sectors += counts.global_sectors;
  input.shared_wavefronts += counts.shared_wavefronts;
  if (unit != "store") {
    input.global_waits += counts.global_requests;
    input.shared_waits += counts.shared_requests;
  }
  if (unit == "barrier") {
    input.barriers += counts.warp_instructions;
  }
}

Estimate estimate_cost(const CostInput& input, const DeviceDescription& device) {
  Estimate estimate;
  estimate.device = &device;
  estimate.occupancy = occupancy(device, input.resources);
  estimate.fits = estimate.occupancy.blocks_per_sm > 0 && input.blocks > 0;
  if (!estimate.fits) {
    return estimate;
  }
  CostAccumulator costs(input, device, estimate.occupancy.blocks_per_sm);
  const double memory_us = static_cast<double>(input.memory_bytes) / (device.memory_gb_per_s * 1e3);
  costs.add("memory bandwidth", memory_us, memory_us);
  costs.add_l2(static_cast<double>(input.global_sectors) * sector_bytes, device);

  double instructions = 0;
  std::vector<std::pair<std::string, double>> units;
  for (const auto& [unit, count] : input.warp_instructions) {
    if (unit == "move") {
      continue;
    }
    instructions += static_cast<double>(count);
    if (const double lanes = lanes_of(device.rates, unit); lanes > 0) {
      const double clocks = static_cast<double>(count) * warp_lanes / lanes;
      const std::string name = unit_name(unit);
      const auto known =
          std::find_if(units.begin(), units.end(), [&](const auto& entry) { return entry.first == name; });
      if (known == units.end()) {
        units.emplace_back(name, clocks);
      } else {
        known->second += clocks;
      }
    }
  }
  costs.add_sm_work("issue", instructions / device.issue_per_clock);
  // The input is ordered by count. The order of the factors must not depend on the counts.
  std::sort(units.begin(), units.end());
  for (const auto& [name, clocks] : units) {
    costs.add_sm_work(name, clocks);
  }
  costs.add_sm_work("tensor unit", input.tensor_fma / device.rates.tensor_fma);
  costs.add_sm_work("shared memory",
                    static_cast<double>(input.shared_wavefronts) / device.shared_wavefronts_clock);
  add_latency(costs, input, device, instructions);

  estimate.waves = costs.waves();
  estimate.factors = std::move(costs.factors);
  const double even_us = largest(estimate.factors, &CostFactor::us);
  estimate.tail_us = std::max(0.0, largest(estimate.factors, &CostFactor::busiest_us) - even_us);
  estimate.launch_overhead_us = device.launch_overhead_us;
  estimate.total_us = estimate.launch_overhead_us + even_us + estimate.tail_us;
  estimate.dependent_us =
      estimate.total_us -
      (device.sm >= first_dependent_sm ? std::min(hidden_launch_us, device.launch_overhead_us) : 0);
  if (estimate.launch_overhead_us >= std::max(even_us, estimate.tail_us)) {
    estimate.limiting_factor = launch_overhead_name;
  } else if (estimate.tail_us > even_us) {
    estimate.limiting_factor = tail_name;
  } else {
    estimate.limiting_factor =
        std::find_if(estimate.factors.begin(), estimate.factors.end(), [even_us](const CostFactor& factor) {
          return factor.us == even_us;
        })->name;
  }
  return estimate;
}

}  // namespace kerncast::devices
