#include "tools/tune/space/tunables_sweep.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/dispatch/tunables/launch_defect.hpp"
#include "tools/profile/cost_input.hpp"
#include "tools/run/steering_data.hpp"
#include "tools/tune/space/call_shape.hpp"
#include "tools/tune/space/even_steps.hpp"
#include "tools/tune/space/stage_geometry.hpp"

namespace kerncast::tools {
namespace {

/// Counts of more rows than `more_sample` are extrapolated from these if they grow evenly.
constexpr std::int64_t few_sample = 256;
constexpr std::int64_t more_sample = 512;

/// Blocks of each stage.
std::vector<std::uint64_t> blocks_of(const OpDefinition& op, const Call& call, const Tunables& tunables,
                                     const DeviceTraits& traits) {
  std::vector<std::uint64_t> blocks;
  for (std::size_t stage = 0; stage <= op.later_stages.size(); ++stage) {
    blocks.push_back(block_count(stage_geometry(op, stage)(call.spec, tunables, traits, call.rows)));
  }
  return blocks;
}

/// a + times * (b - a).
std::uint64_t along(std::uint64_t a, std::uint64_t b, double times) {
  const double value = static_cast<double>(a) + times * (static_cast<double>(b) - static_cast<double>(a));
  return static_cast<std::uint64_t>(std::llround(std::max(value, 0.0)));
}

/// Number of instructions of `unit` that `input` issued.
std::uint64_t issued(const devices::CostInput& input, std::string_view unit) {
  const auto same = std::find_if(input.warp_instructions.begin(), input.warp_instructions.end(),
                                 [&](const auto& entry) { return entry.first == unit; });
  return same == input.warp_instructions.end() ? 0 : same->second;
}

/// The counts of `b`, but those that grow with the rows are grow(count of a, count of b), which goes `times`
/// as far from `a` as `b` is.
template <class Grow>
devices::CostInput grown(const devices::CostInput& a, const devices::CostInput& b, double times,
                         const Grow& grow) {
  devices::CostInput made = b;
  made.blocks = grow(a.blocks, b.blocks);
  for (auto& [unit, count] : made.warp_instructions) {
    count = grow(issued(a, unit), count);
  }
  made.tensor_fma = a.tensor_fma + times * (b.tensor_fma - a.tensor_fma);
  made.global_sectors = grow(a.global_sectors, b.global_sectors);
  made.memory_bytes = grow(a.memory_bytes, b.memory_bytes);
  made.global_requests = grow(a.global_requests, b.global_requests);
  made.global_waits = grow(a.global_waits, b.global_waits);
  made.shared_wavefronts = grow(a.shared_wavefronts, b.shared_wavefronts);
  made.shared_waits = grow(a.shared_waits, b.shared_waits);
  made.barriers = grow(a.barriers, b.barriers);
  return made;
}

std::uint64_t bytes_of(const std::vector<HostTensor>& tensors) {
  std::uint64_t bytes = 0;
  for (const HostTensor& tensor : tensors) {
    bytes += static_cast<std::uint64_t>(element_count(tensor.shape) * size_of(tensor.dtype));
  }
  return bytes;
}

/// True if a and b are the same but for what grows with the rows.
bool alike(const devices::CostInput& a, const devices::CostInput& b) {
  return a.warps_per_block == b.warps_per_block && a.resources.threads == b.resources.threads &&
         a.resources.registers == b.resources.registers &&
         a.resources.shared_bytes == b.resources.shared_bytes && a.longest_warp == b.longest_warp &&
         a.longest_warp_requests == b.longest_warp_requests &&
         a.warp_instructions.size() == b.warp_instructions.size();
}

/// The counts that grow with the rows, in one order. `classes` names the instructions.
std::vector<std::uint64_t> growing_counts(const devices::CostInput& input, const MovedBytes& moved,
                                          const devices::CostInput& classes) {
  std::vector<std::uint64_t> counts = {input.blocks,
                                       input.global_requests,
                                       input.global_sectors,
                                       input.global_waits,
                                       input.shared_wavefronts,
                                       input.shared_waits,
                                       input.barriers,
                                       moved.loaded,
                                       moved.stored,
                                       static_cast<std::uint64_t>(input.tensor_fma)};
  for (const auto& [unit, unused] : classes.warp_instructions) {
    counts.push_back(issued(input, unit));
  }
  return counts;
}

/// True if the counts of one launch grow as much from `a` to `b` as from `b` to `c`.
bool steps_equally(const Counted& a, const Counted& b, const Counted& c, std::size_t stage) {
  const devices::CostInput& classes = c.stages[stage];
  const std::vector<std::uint64_t> first = growing_counts(a.stages[stage], a.moved[stage], classes);
  const std::vector<std::uint64_t> second = growing_counts(b.stages[stage], b.moved[stage], classes);
  const std::vector<std::uint64_t> third = growing_counts(c.stages[stage], c.moved[stage], classes);
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (second[i] < first[i] || second[i] - first[i] != third[i] - second[i]) {
      return false;
    }
  }
  return alike(a.stages[stage], b.stages[stage]) && alike(b.stages[stage], c.stages[stage]);
}

/// a + times * (b - a), for counts that do not fall.
std::uint64_t after_steps(std::uint64_t a, std::uint64_t b, std::uint64_t times) {
  return a + times * (b - a);
}

/// The counts of the call after `times` steps from `a`, from the first three, whose tensors have `read` and
/// `written` bytes. Empty if the steps do not count the same.
std::optional<Counted> after_steps(const Counted& a, const Counted& b, const Counted& c, std::uint64_t times,
                                   std::uint64_t read, std::uint64_t written) {
  if (a.stages.empty() || a.stages.size() != b.stages.size() || b.stages.size() != c.stages.size()) {
    return std::nullopt;
  }
  Counted made{a.tunables, {}, {}, {}};
  for (std::size_t stage = 0; stage < a.stages.size(); ++stage) {
    if (!steps_equally(a, b, c, stage)) {
      return std::nullopt;
    }
    made.stages.push_back(
        grown(a.stages[stage], b.stages[stage], static_cast<double>(times),
              [times](std::uint64_t from, std::uint64_t to) { return after_steps(from, to, times); }));
    made.moved.push_back({after_steps(a.moved[stage].loaded, b.moved[stage].loaded, times),
                          after_steps(a.moved[stage].stored, b.moved[stage].stored, times)});
    made.stages.back().memory_bytes = memory_bytes(made.moved.back(), read, written);
  }
  return made;
}

/// True if a call of `rows` rows takes data that decide what its rows cost.
bool is_steered(const Workload& workload, std::int64_t rows) {
  const std::vector<std::string> steering = steering_tensors(*workload.op);
  const std::vector<std::string> given = input_names(workload, rows);
  return std::any_of(given.begin(), given.end(), [&](const std::string& name) {
    return std::find(steering.begin(), steering.end(), name) != steering.end();
  });
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
    made.stages[stage] =
        grown(few.stages[stage], made.stages[stage], steps,
              [steps](std::uint64_t from, std::uint64_t to) { return along(from, to, steps); });
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

void TunablesSweep::begin(const Workload& workload) {
  if (const std::string counted = text_of(workload); counted != counted_last_) {
    kernels_.clear();
    samples_.clear();
    counted_last_ = counted;
  }
}

std::vector<Counted> TunablesSweep::count_whole(const Workload& workload, std::int64_t rows,
                                                std::span<const Tunables> tunables) {
  begin(workload);
  stop_ = nullptr;
  return run(workload, rows, {tunables.begin(), tunables.end()});
}

std::vector<Counted> TunablesSweep::count_all(const Workload& workload, std::int64_t rows,
                                              std::span<const Tunables> tunables) {
  std::vector<std::optional<Counted>> evenly = count_evenly(workload, rows, tunables);
  std::vector<Tunables> rest;
  for (std::size_t i = 0; i < tunables.size(); ++i) {
    if (!evenly[i]) {
      rest.push_back(tunables[i]);
    }
  }
  std::vector<Counted> others = count_rest(workload, rows, rest);
  std::vector<Counted> counted;
  counted.reserve(evenly.size());
  std::size_t next = 0;
  for (std::optional<Counted>& made : evenly) {
    counted.push_back(made ? std::move(*made) : std::move(others[next++]));
  }
  return counted;
}

std::vector<std::optional<Counted>> TunablesSweep::count_evenly(const Workload& workload, std::int64_t rows,
                                                                std::span<const Tunables> tunables) {
  begin(workload);
  std::vector<std::optional<Counted>> counted(tunables.size());
  const Call all = call_of(workload, rows);
  if (all.rows % rows != 0 || is_steered(workload, rows)) {
    return counted;
  }
  const std::int64_t period = sector_period(workload, rows);
  std::vector<std::optional<EvenSteps>> steps;
  std::map<std::int64_t, std::vector<Tunables>> wanted;
  for (const Tunables& made : tunables) {
    steps.push_back(launch_defect(*workload.op, all.spec, made, traits_, arch_, all.rows).empty()
                        ? even_steps(*workload.op, all.spec, made, traits_, rows, all.rows / rows, period)
                        : std::nullopt);
    for (std::int64_t number = 0; steps.back() && number < 3; ++number) {
      wanted[steps.back()->rows(number)].push_back(made);
    }
  }
  std::map<std::int64_t, bool> same_kernel;
  for (const auto& [few, made] : wanted) {
    const Call call = call_of(workload, few);
    same_kernel[few] = call.spec == all.spec && call.rows * rows == all.rows * few;
    if (same_kernel[few]) {
      static_cast<void>(sample(workload, few, made));
    }
  }
  const CallBytes bytes = bytes_of_call(workload, rows);
  for (std::size_t i = 0; i < tunables.size(); ++i) {
    if (steps[i] && same_kernel[steps[i]->rows(0)] && same_kernel[steps[i]->rows(1)] &&
        same_kernel[steps[i]->rows(2)]) {
      const auto at = [&](std::int64_t number) {
        return sample(workload, steps[i]->rows(number), {tunables[i]}).front();
      };
      counted[i] = after_steps(at(0), at(1), at(2), static_cast<std::uint64_t>(steps[i]->steps), bytes.read,
                               bytes.written);
    }
  }
  return counted;
}

std::vector<Counted> TunablesSweep::count_rest(const Workload& workload, std::int64_t rows,
                                               const std::vector<Tunables>& tunables) {
  if (rows <= more_sample) {
    return run(workload, rows, tunables);
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
  if (change_) {
    change_(request.inputs);
  }
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
  Counted made{tunables, {}, launch_defect(op, call.spec, tunables, traits_, arch_, call.rows), {}};
  const LoadedKernel* loaded =
      made.defect.empty() ? kernel(workload, call.spec, tunables, made.defect) : nullptr;
  for (std::size_t stage = 0; loaded != nullptr && stage <= op.later_stages.size(); ++stage) {
    const LaunchGeometry geometry = stage_geometry(op, stage)(call.spec, tunables, traits_, call.rows);
    if (geometry.grid[0] != 0) {
      const LaunchProfile launch =
          recorder_.record(device_, loaded->functions[stage], geometry,
                           implementation_of(runtime_).starts_early(op, traits_), call, op.name);
      made.stages.push_back(cost_input(launch, loaded->binary->resources.registers, read, written));
      made.moved.push_back(moved_bytes(launch));
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
