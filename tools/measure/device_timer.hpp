#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/reference.hpp"
#include "kerncast/runtime.hpp"
#include "tools/io/safetensors.hpp"
#include "tools/measure/rounds.hpp"
#include "tools/measure/timing_plan.hpp"
#include "tools/run/op_run.hpp"

namespace kerncast::tools {

/// One call to be timed.
struct TimedCall {
  const OpDefinition* op = nullptr;
  std::vector<HostTensor> inputs;
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
};

/// Times one call of an op on a device, with any tunables. The tensors are uploaded once, to as many copies
/// as a cold L2 needs, and all subjects share them.
///
/// A sample is the time between two events around several launches, divided by their number. The number is
/// chosen with the first subject and holds for all of them, so their times are comparable. Several launches
/// are one graph, unless the policy wants a stream; one launch stands between plain events. Before the first
/// event the device gets other work, so that it does not wait for the host in between.
///
/// Cold L2: launch after launch uses another copy of the tensors, until the copies together exceed twice the
/// L2 cache. If that takes more copies than a sample has launches, each of its launches has a copy of its
/// own, and the cache is overwritten before the first event.
///
/// Launches are programmatic if those of the runtime are, so that a launch overlaps with the end of the one
/// before it, as in a model.
///
/// The object owns memory, events and stream, and a subject owns its graph. Runtime and device must outlive
/// the object, and it must outlive its subjects. Not thread-safe.
class DeviceTimer {
 public:
  /// Uploads the inputs. Throws Error: out_of_memory if not even one copy fits, invalid_argument if the op
  /// refuses the call or the call has no rows, driver_error.
  DeviceTimer(Runtime& runtime, RunDevice& device, TimedCall call, TimingPolicy policy);
  ~DeviceTimer();
  DeviceTimer(const DeviceTimer&) = delete;
  DeviceTimer& operator=(const DeviceTimer&) = delete;

  /// Compiles and loads the kernel for `tunables`, and launches nothing: what follows needs no compiler.
  /// Throws Error as Runtime::prepare does.
  void load(const std::optional<Tunables>& tunables);

  /// Prepares the call with `tunables` (empty: what the runtime chooses), launches it once and waits for it.
  /// Throws Error as Runtime::prepare does, and driver_error for a kernel that faults.
  [[nodiscard]] Subject subject(std::string name, const std::optional<Tunables>& tunables);

  /// The tensors that one launch with `tunables` writes, from the original inputs; outputs are filled with
  /// 0xCD before. Throws as subject() does.
  [[nodiscard]] std::vector<StoredTensor> outputs(const std::optional<Tunables>& tunables);

  [[nodiscard]] const Call& call() const;
  [[nodiscard]] const TimingPolicy& policy() const;
  /// The launches of a sample and the copies of the tensors. Valid after the first subject.
  [[nodiscard]] const TimingPlan& plan() const;
  /// Bytes of all tensors, each counted once, and those that are read and written twice.
  [[nodiscard]] double bytes_moved() const;
  /// The departure from the policy that short memory forced, in words; empty if there is none.
  [[nodiscard]] const std::string& note() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kerncast::tools
