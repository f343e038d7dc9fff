#include "tools/measure/device_timer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <list>
#include <vector>

#include "runtime/driver/context.hpp"
#include "runtime/driver/device.hpp"
#include "runtime/driver/driver_error.hpp"
#include "tools/measure/launch_graph.hpp"
#include "tools/run/bound_call.hpp"

namespace kerncast::tools {
namespace {

double tensor_bytes(const HostTensor& tensor) {
  return static_cast<double>(element_count(tensor.shape) * size_of(tensor.dtype));
}

}  // namespace

struct DeviceTimer::State {
  /// The tensors of one copy, and the call that names their addresses.
  struct TensorCopy {
    BoundCall memory;
    Call call;

    TensorCopy(const TimedCall& timed, const RunDevice& device)
        : memory(*timed.op, bindings_of(timed.params, timed.scalars), timed.inputs, device.api(),
                 device.ordinal()),
          call(timed.op->bind(memory.bindings())) {}
  };

  /// The launches of one subject.
  struct Prepared {
    std::vector<PreparedLaunch> launches;  ///< one for each copy
    std::optional<LaunchGraph> graph;
  };

  Runtime& runtime;
  RunDevice& device;
  TimedCall timed;
  TimingPolicy policy;
  driver::StreamHandle stream;
  driver::Event start;
  driver::Event end;
  std::size_t l2_bytes;
  TimingPlan plan;
  bool planned = false;
  double bytes_moved = 0;
  std::string note;
  std::list<TensorCopy> copies;
  std::optional<driver::DeviceBuffer> overwritten;  ///< what overwrites the cache
  std::size_t next_copy = 0;                        ///< of single launches

  State(Runtime& runtime_, RunDevice& device_, TimedCall timed_, TimingPolicy policy_)
      : runtime(runtime_),
        device(device_),
        timed(std::move(timed_)),
        policy(policy_),
        stream(device.api()),
        start(device.api()),
        end(device.api()),
        l2_bytes(static_cast<std::size_t>(
            std::max(driver::query_device(device.api(), device.ordinal()).l2_bytes, 0))) {}

  void add_first_copy();
  void count_bytes();
  void make_plan(const PreparedLaunch& launch);
  void add_copies();
  void make_do();
  void enqueue(Prepared& subject);
  void occupy_device(Prepared& subject);
  double sample(Prepared& subject);
};

void DeviceTimer::State::add_first_copy() {
  try {
    copies.emplace_back(timed, device);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::out_of_memory) {
      throw;
    }
    throw Error(ErrorCode::out_of_memory,
                fmt::format("{}: the tensors of one call do not fit the memory of {}; use fewer rows ({})",
                            timed.op->name, device.name(), error.what()),
                error.driver_result());
  }
  if (copies.front().call.rows <= 0) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{}: a call without rows launches nothing that could be timed; give at least one row",
                    timed.op->name));
  }
}

void DeviceTimer::State::count_bytes() {
  for (const HostTensor& input : timed.inputs) {
    bytes_moved += tensor_bytes(input) * (is_inout(*timed.op, input.name) ? 2 : 1);
  }
  for (const TensorPlan& output : timed.op->plan_outputs(copies.front().memory.bindings())) {
    bytes_moved += static_cast<double>(element_count(output.shape) * size_of(output.dtype));
  }
}

/// Finds out how long a call takes and what the policy means for it. The least of three times counts, since
/// the first launches still raise the clock; of a call that is far longer than a sample has to be, one time
/// says enough.
void DeviceTimer::State::make_plan(const PreparedLaunch& launch) {
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3 && (i == 0 || least < 10 * policy.least_us); ++i) {
    launch.launch(stream.get());
    start.record(stream.get());
    launch.launch(stream.get());
    end.record(stream.get());
    end.synchronize();
    least = std::min(least, end.milliseconds_since(start) * 1e3);
  }
  plan = plan_timing(policy, least, copies.front().memory.bytes(), l2_bytes);
  add_copies();
  planned = true;
}

/// Allocates what the plan needs, or makes do with less.
void DeviceTimer::State::add_copies() {
  try {
    while (static_cast<int>(copies.size()) < plan.copies) {
      copies.emplace_back(timed, device);
    }
    if (plan.overwrite_cache) {
      overwritten.emplace(device.api(), 2 * l2_bytes);
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::out_of_memory) {
      throw;
    }
    make_do();
  }
}

/// After memory has run out: overwrites the cache once before each sample, whose launches have as many copies
/// as the memory holds beside that.
void DeviceTimer::State::make_do() {
  while (!overwritten) {
    try {
      overwritten.emplace(device.api(), l2_bytes);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::out_of_memory) {
        throw;
      }
      if (copies.size() == 1) {
        throw Error(
            ErrorCode::out_of_memory,
            fmt::format(
                "{}: {} has no memory left to overwrite its L2 cache with; use fewer rows, or time with "
                "a warm cache ({})",
                timed.op->name, device.name(), error.what()),
            error.driver_result());
      }
      copies.pop_back();
    }
  }
  const int wanted = plan.copies;
  plan.copies = static_cast<int>(copies.size());
  plan.launches = std::min(plan.launches, plan.copies);
  plan.overwrite_cache = true;
  note = fmt::format(
      "memory holds {} of {} copies of the tensors, so a sample has {} and the L2 cache is overwritten "
      "once before it",
      plan.copies, wanted, plan.launches == 1 ? "one launch" : fmt::format("{} launches", plan.launches));
}

/// Enqueues the launches of one sample.
void DeviceTimer::State::enqueue(Prepared& subject) {
  if (subject.graph) {
    subject.graph->launch(stream.get());
  } else if (plan.launches == 1) {
    subject.launches[next_copy++ % subject.launches.size()].launch(stream.get());
  } else {
    for (int i = 0; i < plan.launches; ++i) {
      subject.launches[static_cast<std::size_t>(i) % subject.launches.size()].launch(stream.get());
    }
  }
}

/// Gives the device work, during which the host can enqueue the sample. It leaves the cache as the policy
/// wants it.
void DeviceTimer::State::occupy_device(Prepared& subject) {
  if (overwritten) {
    const driver::DriverApi& api = device.api();
    driver::check(api, api.cuMemsetD8Async(overwritten->address(), 0, overwritten->size(), stream.get()),
                  "overwriting the L2 cache");
  } else {
    enqueue(subject);
  }
}

double DeviceTimer::State::sample(Prepared& subject) {
  occupy_device(subject);
  start.record(stream.get());
  enqueue(subject);
  end.record(stream.get());
  end.synchronize();
  return end.milliseconds_since(start) * 1e3 / plan.launches;
}

DeviceTimer::DeviceTimer(Runtime& runtime, RunDevice& device, TimedCall call, TimingPolicy policy)
    : state_(std::make_unique<State>(runtime, device, std::move(call), policy)) {
  state_->add_first_copy();
  state_->count_bytes();
}

DeviceTimer::~DeviceTimer() = default;

void DeviceTimer::load(const std::optional<Tunables>& tunables) {
  static_cast<void>(state_->runtime.prepare(*state_->timed.op, state_->copies.front().call, tunables));
}

Subject DeviceTimer::subject(std::string name, const std::optional<Tunables>& tunables) {
  State& state = *state_;
  const OpDefinition& op = *state.timed.op;
  const PreparedLaunch first = state.runtime.prepare(op, state.copies.front().call, tunables);
  first.launch(state.stream.get());
  state.stream.synchronize();
  if (!state.planned) {
    state.make_plan(first);
  }
  const auto prepared = std::make_shared<State::Prepared>();
  for (const State::TensorCopy& copy : state.copies) {
    prepared->launches.push_back(state.runtime.prepare(op, copy.call, tunables));
  }
  if (state.policy.launch == TimingPolicy::Launch::graph && state.plan.launches > 1) {
    prepared->graph.emplace(state.device.api(), state.stream.get(), [&] { state.enqueue(*prepared); });
  }
  return {std::move(name), [&state, prepared] { return state.sample(*prepared); }};
}

std::vector<StoredTensor> DeviceTimer::outputs(const std::optional<Tunables>& tunables) {
  State& state = *state_;
  const State::TensorCopy& copy = state.copies.front();
  const PreparedLaunch launch = state.runtime.prepare(*state.timed.op, copy.call, tunables);
  state.stream.synchronize();
  copy.memory.reset(state.timed.inputs);
  launch.launch(state.stream.get());
  state.stream.synchronize();
  std::vector<StoredTensor> written = copy.memory.download(state.timed.inputs).stored();
  // A kernel's workspace is no result.
  std::erase_if(written, [](const StoredTensor& tensor) { return tensor.name == "workspace"; });
  return written;
}

const Call& DeviceTimer::call() const {
  return state_->copies.front().call;
}

const TimingPolicy& DeviceTimer::policy() const {
  return state_->policy;
}

const TimingPlan& DeviceTimer::plan() const {
  return state_->plan;
}

double DeviceTimer::bytes_moved() const {
  return state_->bytes_moved;
}

const std::string& DeviceTimer::note() const {
  return state_->note;
}

}  // namespace kerncast::tools
