#include "tools/tune/space/tunables_sweep.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <optional>
#include <utility>

#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/dispatch/tunables/launch_defect.hpp"
#include "tools/profile/cost_input.hpp"
#include "tools/tune/space/call_shape.hpp"

namespace kerncast::tools {
namespace {

/// Counts of more rows than `more_sample` are extrapolated from these if they grow evenly.
constexpr std::int64_t few_sample = 256;
constexpr std::int64_t more_sample = 512;

auto geometry_of(const OpDefinition& op, std::size_t stage) {
  return stage == 0 ? op.geometry : op.later_stages[stage - 1].geometry;
}

std::uint64_t blocks_of(const LaunchGeometry& geometry) {
  return std::uint64_t{geometry.grid[0]} * geometry.grid[1] * geometry.grid[2];
}

/// Blocks of each stage.
std::vector<std::uint64_t> blocks_of(const OpDefinition& op, const Call& call, const Tunables& tunables,
                                     const DeviceTraits& traits) {
  std::vector<std::uint64_t> blocks;
  for (std::size_t stage = 0; stage <= op.later_stages.size(); ++stage) {
    blocks.push_back(blocks_of(geometry_of(op, stage)(call.spec, tunables, traits, call.rows)));
  }
  return blocks;
}

/// a + times * (b - a).
std::uint64_t along(std::uint64_t a, std::uint64_t b, double times) {
  const double value = static_cast<double>(a) + times * (static_cast<double>(b) - static_cast<double>(a));
  return static_cast<std::uint64_t>(std::llround(std::max(value, 0.0)));
}

devices::CostInput along(const devices::CostInput& a, const devices::CostInput& b, double times) {
  devices::CostInput made = b;
  made.blocks = along(a.blocks, b.blocks, times);
  for (auto& [unit, count] : made.warp_instructions) {
    const auto same = std::find_if(a.warp_instructions.begin(), a.warp_instructions.end(),
                                   [&name = unit](const auto& entry) { return entry.first == name; });
    count = along(same == a.warp_instructions.end() ? 0 : same->second, count, times);
  }
  made.tensor_fma = a.tensor_fma + times * (b.tensor_fma - a.tensor_fma);
  made.global_sectors = along(a.global_sectors, b.global_sectors, times);
  made.memory_bytes = along(a.memory_bytes, b.memory_bytes, times);
  made.global_requests = along(a.global_requests, b.global_requests, times);
  made.global_waits = along(a.global_waits, b.global_waits, times);
  made.shared_wavefronts = along(a.shared_wavefronts, b.shared_wavefronts, times);
  made.shared_waits = along(a.shared_waits, b.shared_waits, times);
  made.barriers = along(a.barriers, b.barriers, times);
  return made;
}

std::uint64_t bytes_of(const std::vector<HostTensor>& tensors) {
  std::uint64_t bytes = 0;
  for (const HostTensor& tensor : tensors) {
    bytes += static_cast<std::uint64_t>(element_count(tensor.shape) * size_of(tensor.dtype));
  }
  return bytes;
}

/// True if the blocks of every stage double with the rows and go on like that, but for a block that is not
/// full.
bool grow_evenly(const std::vector<std::uint64_t>& few, const std::vector<std::uint64_t>& more,
                 const std::vector<std::uint64_t>& all, double steps) {
  for (std::size_t stage = 0; stage < all.size(); ++stage) {
    const double expected = static_cast<double>(few[stage]) * (1 + steps);
    if (more[stage] != 2 * few[stage] || std::abs(static_cast<double>(all[stage]) - expected) >= 1) {
      return false;
    }
  }
  return true;
}

/// The counts of a call of many rows from those of two calls of fewer. `blocks` are those of its launches.
/// Empty if the calls do not make equally many launches, as if one of the two cannot be launched.
std::optional<Counted> extended(const Counted& few, const Counted& more,
                                const std::vector<std::uint64_t>& blocks, double steps) {
  if (few.stages.size() != more.stages.size() || blocks.size() != more.stages.size()) {
    return more.defect.empty() || few.defect.empty() ? std::nullopt : std::optional(more);
  }
  Counted made = more;
  for (std::size_t stage = 0; stage < made.stages.size(); ++stage) {
    made.stages[stage] = along(few.stages[stage], made.stages[stage], steps);
    made.stages[stage].blocks = blocks[stage];
  }
  return made;
}

}  // namespace

CallTime estimate_call(const Counted& counted, const devices::DeviceDescription& device) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CallTime time;
  for (const devices::CostInput& stage : counted.stages) {
    const devices::Estimate estimate = devices::estimate_cost(stage, device);
    if (!estimate.fits) {
      return {infinity, infinity};
    }
    time.total_us += estimate.total_us;
    time.device_us += estimate.total_us - estimate.launch_overhead_us;
  }
  return counted.stages.empty() ? CallTime{infinity, infinity} : time;
}

std::string explain_call(const Counted& counted, const devices::DeviceDescription& device) {
  std::string text = counted.defect;
  double longest = -1;
  for (const devices::CostInput& stage : counted.stages) {
    const devices::Estimate estimate = devices::estimate_cost(stage, device);
    if (!estimate.fits) {
      return "a block needs more than a multiprocessor has";
    }
    if (estimate.total_us <= longest) {
      continue;
    }
    longest = estimate.total_us;
    const auto busiest = std::max_element(estimate.factors.begin(), estimate.factors.end(),
                                          [](const devices::CostFactor& a, const devices::CostFactor& b) {
                                            return a.busiest_us < b.busiest_us;
                                          });
    text = fmt::format("{} blocks of {} warps on {} multiprocessors, {} at once on each, in {} wave{}",
                       stage.blocks, stage.warps_per_block, device.sm_count, estimate.occupancy.blocks_per_sm,
                       estimate.waves, estimate.waves == 1 ? "" : "s");
    if (busiest != estimate.factors.end()) {
      text += fmt::format(
          "; the busiest one is held up by {}, {:.2f} us, with {:.2f} us if the blocks were spread "
          "evenly",
          busiest->name, busiest->busiest_us, busiest->us);
    }
    if (stage.longest_warp > 0) {
      text += fmt::format("; its longest warp has {} instructions", stage.longest_warp);
    }
  }
  return text;
}

DeviceTraits traits_of(const devices::DeviceDescription& device) {
  return {device.sm, device.sm_count, device.shared_bytes_per_block};
}

TunablesSweep::TunablesSweep(Runtime& runtime, RunDevice& device, std::string arch,
                             const DeviceTraits& traits)
    : runtime_(runtime), device_(device), arch_(std::move(arch)), traits_(traits), recorder_(runtime) {}

namespace {

/// Ends a count from within.
struct Stopped : std::exception {};

}  // namespace

std::vector<Counted> TunablesSweep::count(const Workload& workload, std::int64_t rows,
                                          std::span<const Tunables> tunables,
                                          const std::function<bool()>& stop) {
  stop_ = stop;
  try {
    return count_all(workload, rows, tunables);
  } catch (const Stopped&) {
    return {};
  }
}

std::vector<Counted> TunablesSweep::count_all(const Workload& workload, std::int64_t rows,
                                              std::span<const Tunables> tunables) {
  if (const std::string counted = fmt::format("{} {} {}", workload.op->name, fmt::join(workload.params, " "),
                                              fmt::join(workload.scalars, " "));
      counted != counted_last_) {
    kernels_.clear();
    samples_.clear();
    counted_last_ = counted;
  }
  if (rows <= more_sample) {
    return run(workload, rows, {tunables.begin(), tunables.end()});
  }
  const OpDefinition& op = *workload.op;
  const Call few = call_of(workload, few_sample);
  const Call more = call_of(workload, more_sample);
  const Call all = call_of(workload, rows);
  const double steps = static_cast<double>(rows - few_sample) / static_cast<double>(more_sample - few_sample);
  std::vector<Tunables> even;
  std::vector<Tunables> others;
  for (const Tunables& wanted : tunables) {
    const bool grows = few.spec == all.spec && more.spec == all.spec &&
                       grow_evenly(blocks_of(op, few, wanted, traits_), blocks_of(op, more, wanted, traits_),
                                   blocks_of(op, all, wanted, traits_), steps);
    (grows ? even : others).push_back(wanted);
  }
  const std::vector<Counted> of_few = sample(workload, few_sample, even);
  const std::vector<Counted> of_more = sample(workload, more_sample, even);
  const std::vector<Counted> whole = run(workload, rows, others);
  std::vector<Counted> counted;
  std::size_t next_even = 0;
  std::size_t next_other = 0;
  for (const Tunables& wanted : tunables) {
    if (next_even == even.size() || !(even[next_even] == wanted)) {
      counted.push_back(whole[next_other++]);
      continue;
    }
    std::vector<std::uint64_t> blocks = blocks_of(op, all, wanted, traits_);
    std::erase(blocks, 0U);
    std::optional<Counted> made = extended(of_few[next_even], of_more[next_even], blocks, steps);
    counted.push_back(made ? std::move(*made) : run(workload, rows, {wanted}).front());
    ++next_even;
  }
  return counted;
}

std::vector<Counted> TunablesSweep::sample(const Workload& workload, std::int64_t rows,
                                           const std::vector<Tunables>& tunables) {
  const auto name = [rows](const Tunables& made) {
    return fmt::format("{} {}", rows, fmt::join(made.values, ","));
  };
  std::vector<Tunables> missing;
  for (const Tunables& wanted : tunables) {
    if (!samples_.contains(name(wanted))) {
      missing.push_back(wanted);
    }
  }
  for (Counted& made : run(workload, rows, missing)) {
    std::string key = name(made.tunables);
    samples_[std::move(key)] = std::move(made);
  }
  std::vector<Counted> counted;
  counted.reserve(tunables.size());
  for (const Tunables& wanted : tunables) {
    counted.push_back(samples_.at(name(wanted)));
  }
  return counted;
}

std::vector<Counted> TunablesSweep::run(const Workload& workload, std::int64_t rows,
                                        const std::vector<Tunables>& tunables) {
  std::vector<Counted> counted;
  if (tunables.empty()) {
    return counted;
  }
  OpRunRequest request;
  request.op = workload.op;
  request.params = workload.params;
  request.scalars = workload.scalars;
  request.inputs = inputs_.of(workload, rows);
  request.check = false;
  request.timed_dispatches = 0;
  const std::uint64_t read = bytes_of(request.inputs);
  const std::uint64_t written = bytes_of_call(workload, rows).written;
  request.launch = [&](const Call& call) {
    for (const Tunables& wanted : tunables) {
      if (stop_ && stop_()) {
        throw Stopped{};
      }
      counted.push_back(count_call(workload, call, wanted, read, written));
    }
    return KernelReport{};
  };
  static_cast<void>(run_op(runtime_, device_, request));
  return counted;
}

Counted TunablesSweep::count_call(const Workload& workload, const Call& call, const Tunables& tunables,
                                  std::uint64_t read, std::uint64_t written) {
  const OpDefinition& op = *workload.op;
  Counted made{tunables, {}, launch_defect(op, call.spec, tunables, traits_, arch_, call.rows)};
  const LoadedKernel* loaded =
      made.defect.empty() ? kernel(workload, call.spec, tunables, made.defect) : nullptr;
  for (std::size_t stage = 0; loaded != nullptr && stage <= op.later_stages.size(); ++stage) {
    const LaunchGeometry geometry = geometry_of(op, stage)(call.spec, tunables, traits_, call.rows);
    if (geometry.grid[0] != 0) {
      const LaunchProfile launch =
          recorder_.record(device_, loaded->functions[stage], geometry, call, op.name);
      made.stages.push_back(cost_input(launch, loaded->binary->resources.registers, read, written));
    }
  }
  return made;
}

const LoadedKernel* TunablesSweep::kernel(const Workload& workload, const Specialisation& spec,
                                          const Tunables& tunables, std::string& defect) {
  const std::string name = fmt::format("{} {}", fmt::join(spec.values, ","), fmt::join(tunables.values, ","));
  if (const auto known = kernels_.find(name); known != kernels_.end()) {
    defect = known->second.defect;
    return defect.empty() ? &known->second.kernel : nullptr;
  }
  Kept& made = kernels_[name];
  const Variant variant{workload.op, spec, tunables, arch_};
  try {
    made.kernel = implementation_of(runtime_)
                      .device(device_.ordinal())
                      .load(implementation_of(runtime_).builder.load_or_compile(
                                variant, BuildPolicy::cached_or_compile),
                            describe(variant));
  } catch (const Error& error) {
    // The template refuses this combination.
    if (error.code() != ErrorCode::compile_failed) {
      kernels_.erase(name);
      throw;
    }
    made.defect = error.what();
  }
  defect = made.defect;
  return defect.empty() ? &made.kernel : nullptr;
}

}  // namespace kerncast::tools
