#include "tests/templates/catalogue/tunables_sweep.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

#include "runtime/dispatch/launch_defect.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/profile/cost_input.hpp"

namespace kerncast::test {
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

/// True for the values of a tunable that launchable_tunables() keeps if it is to be coarse.
bool is_coarse(const TunableSpec& tunable, std::int32_t value) {
  constexpr std::size_t few = 8;
  const std::vector<std::int32_t> values = tunable_values(tunable);
  return values.size() <= few || std::has_single_bit(static_cast<std::uint32_t>(value));
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
    bytes += static_cast<std::uint64_t>(tools::element_count(tensor.shape) * size_of(tensor.dtype));
  }
  return bytes;
}

Bindings settings_of(const tools::Workload& workload) {
  Bindings bindings;
  for (const auto& [name, value] : workload.params) {
    bindings.set_param(name, value);
  }
  for (const auto& [name, value] : workload.scalars) {
    bindings.set_scalar(name, value);
  }
  return bindings;
}

/// A view of memory at `next` that nothing may touch; moves `next` past it.
TensorView untouchable(const TensorPlan& plan, std::uintptr_t& next) {
  const HostTensor tensor = tools::host_tensor(plan);
  TensorView view;
  view.data = reinterpret_cast<void*>(next);
  view.dtype = tensor.dtype;
  view.rank = static_cast<int>(tensor.shape.size());
  std::copy(tensor.shape.begin(), tensor.shape.end(), view.shape.begin());
  std::copy(tensor.strides.begin(), tensor.strides.end(), view.strides.begin());
  next += static_cast<std::uintptr_t>(tools::storage_elements(plan) * size_of(plan.dtype) + 511) / 256 * 256;
  return view;
}

std::uint64_t output_bytes(const tools::Workload& workload, std::int64_t rows) {
  Bindings bindings = settings_of(workload);
  std::uintptr_t next = 4096;
  std::uint64_t bytes = 0;
  const auto size = [](const TensorPlan& plan) {
    return static_cast<std::uint64_t>(tools::element_count(plan.shape) * size_of(plan.dtype));
  };
  for (const TensorPlan& plan : workload.op->plan_inputs(bindings, rows)) {
    bindings.set_tensor(plan.name, untouchable(plan, next));
    const auto spec = std::find_if(workload.op->tensors.begin(), workload.op->tensors.end(),
                                   [&](const TensorSpec& tensor) { return tensor.name == plan.name; });
    bytes += spec != workload.op->tensors.end() && spec->direction == Direction::inout ? size(plan) : 0;
  }
  for (const TensorPlan& plan : workload.op->plan_outputs(bindings)) {
    bytes += size(plan);
  }
  return bytes;
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

DeviceTraits traits_of(const devices::DeviceDescription& device) {
  return {device.sm, device.sm_count, device.shared_bytes_per_block};
}

std::vector<Tunables> launchable_tunables(const OpDefinition& op, const Call& call,
                                          const DeviceTraits& traits, bool coarse) {
  std::vector<Tunables> all = all_tunables(op, call.spec, traits, call.rows);
  std::erase_if(all, [&](const Tunables& made) {
    for (std::size_t i = 0; i < op.tunables.size(); ++i) {
      const bool idle = op.tunables[i].name == "rows_per_block" && made[i] > call.rows;
      if (idle || (coarse && !is_coarse(op.tunables[i], made[i]))) {
        return true;
      }
    }
    return false;
  });
  return all;
}

Call call_of(const tools::Workload& workload, std::int64_t rows) {
  Bindings bindings = settings_of(workload);
  std::uintptr_t next = 4096;
  for (const TensorPlan& plan : workload.op->plan_inputs(bindings, rows)) {
    bindings.set_tensor(plan.name, untouchable(plan, next));
  }
  for (const TensorPlan& plan : workload.op->plan_outputs(bindings)) {
    bindings.set_tensor(plan.name, untouchable(plan, next));
  }
  return workload.op->bind(bindings);
}

TunablesSweep::TunablesSweep(Runtime& runtime, tools::RunDevice& device, std::string arch,
                             const DeviceTraits& traits)
    : runtime_(runtime), device_(device), arch_(std::move(arch)), traits_(traits), recorder_(runtime) {}

std::vector<Counted> TunablesSweep::count(const tools::Workload& workload, std::int64_t rows,
                                          const std::vector<Tunables>& tunables) {
  if (const std::string counted = fmt::format("{} {}", workload.op->name, fmt::join(workload.params, " "));
      counted != counted_last_) {
    kernels_.clear();
    counted_last_ = counted;
  }
  if (rows <= more_sample) {
    return run(workload, rows, tunables);
  }
  const OpDefinition& op = *workload.op;
  const Call few = call_of(workload, few_sample);
  const Call more = call_of(workload, more_sample);
  const Call all = call_of(workload, rows);
  const auto times = static_cast<std::uint64_t>(rows / more_sample);
  std::vector<Tunables> even;
  std::vector<Tunables> others;
  for (const Tunables& wanted : tunables) {
    const std::vector<std::uint64_t> few_blocks = blocks_of(op, few, wanted, traits_);
    const std::vector<std::uint64_t> more_blocks = blocks_of(op, more, wanted, traits_);
    const std::vector<std::uint64_t> all_blocks = blocks_of(op, all, wanted, traits_);
    bool grows = few.spec == all.spec && more.spec == all.spec && rows % more_sample == 0;
    for (std::size_t stage = 0; stage < all_blocks.size(); ++stage) {
      grows = grows && more_blocks[stage] == 2 * few_blocks[stage] &&
              all_blocks[stage] == times * more_blocks[stage];
    }
    (grows ? even : others).push_back(wanted);
  }
  const std::vector<Counted> of_few = run(workload, few_sample, even);
  const std::vector<Counted> of_more = run(workload, more_sample, even);
  const std::vector<Counted> whole = run(workload, rows, others);
  const double steps = static_cast<double>(rows - few_sample) / static_cast<double>(more_sample - few_sample);
  std::vector<Counted> counted;
  std::size_t next_even = 0;
  std::size_t next_other = 0;
  for (const Tunables& wanted : tunables) {
    if (next_even == even.size() || !(even[next_even] == wanted)) {
      counted.push_back(whole[next_other++]);
      continue;
    }
    Counted& made = counted.emplace_back(of_more[next_even]);
    for (std::size_t stage = 0; stage < made.stages.size(); ++stage) {
      made.stages[stage] = along(of_few[next_even].stages.at(stage), made.stages[stage], steps);
    }
    ++next_even;
  }
  return counted;
}

std::vector<Counted> TunablesSweep::run(const tools::Workload& workload, std::int64_t rows,
                                        const std::vector<Tunables>& tunables) {
  std::vector<Counted> counted;
  if (tunables.empty()) {
    return counted;
  }
  const OpDefinition& op = *workload.op;
  tools::OpRunRequest request;
  request.op = &op;
  request.params = workload.params;
  request.scalars = workload.scalars;
  request.inputs = tools::synthetic_inputs(op, workload.params, workload.scalars, rows);
  request.check = false;
  request.timed_dispatches = 0;
  const std::uint64_t read = bytes_of(request.inputs);
  const std::uint64_t written = output_bytes(workload, rows);
  request.launch = [&](const Call& call) {
    for (const Tunables& wanted : tunables) {
      Counted& made = counted.emplace_back(Counted{wanted, {}});
      const LoadedKernel* loaded = launch_defect(op, call.spec, wanted, traits_, arch_, call.rows).empty()
                                       ? kernel(workload, call.spec, wanted)
                                       : nullptr;
      for (std::size_t stage = 0; loaded != nullptr && stage <= op.later_stages.size(); ++stage) {
        const LaunchGeometry geometry = geometry_of(op, stage)(call.spec, wanted, traits_, call.rows);
        if (geometry.grid[0] != 0) {
          const tools::LaunchProfile launch =
              recorder_.record(device_, loaded->functions[stage], geometry, call, op.name);
          made.stages.push_back(
              tools::cost_input(launch, loaded->binary->resources.registers, read, written));
        }
      }
    }
    return KernelReport{};
  };
  static_cast<void>(tools::run_op(runtime_, device_, request));
  return counted;
}

const LoadedKernel* TunablesSweep::kernel(const tools::Workload& workload, const Specialisation& spec,
                                          const Tunables& tunables) {
  const std::string name = fmt::format("{} {}", fmt::join(spec.values, ","), fmt::join(tunables.values, ","));
  const auto known = kernels_.find(name);
  if (known != kernels_.end()) {
    return known->second.binary != nullptr ? &known->second : nullptr;
  }
  LoadedKernel& made = kernels_[name];
  const Variant variant{workload.op, spec, tunables, arch_};
  try {
    made = implementation_of(runtime_)
               .device(device_.ordinal())
               .load(implementation_of(runtime_).builder.load_or_compile(variant,
                                                                         BuildPolicy::cached_or_compile),
                     describe(variant));
  } catch (const Error& error) {
    // The template refuses this combination.
    if (error.code() != ErrorCode::compile_failed) {
      throw;
    }
    return nullptr;
  }
  return &made;
}

}  // namespace kerncast::test
