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
#include "tools/run/op_run.hpp"

namespace kerncast::tools {

/// How a call is timed on a device.
struct TimingPolicy {
  enum class L2 : std::uint8_t {
    cold,  ///< the tensors of a launch come from device memory, as in a model whose other layers ran in
           ///< between
    warm,  ///< every launch finds what the one before left in the L2 cache
  };
  enum class Launch : std::uint8_t {
    graph,   ///< as a CUDA graph launches: without the host's cost of a launch
    stream,  ///< as a host launches one by one
  };

  L2 l2 = L2::cold;
  Launch launch = Launch::graph;
  /// A sample takes at least this long, if most_launches allow: an event has a resolution of about 0.5 us.
  double least_us = 200;
  /// The most launches of one sample. It also bounds the copies of the tensors.
  int most_launches = 64;

  /// The policy in words, such as "graphs of 200 us, at most 64 launches, cold L2". Two policies with the
  /// same text give comparable times.
  [[nodiscard]] std::string text() const;
};

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
/// chosen with the first subject and holds for all of them, so their times are comparable. If the launches do
/// not fit one graph of at least two (a long call), one launch between plain events is the sample.
///
/// Cold L2: launch after launch uses another copy of the tensors, until the copies together exceed twice the
/// L2 cache. If that takes more copies than there are launches in a sample, each launch of a sample has a
/// copy of its own, and the cache is overwritten before the sample, outside of the time.
///
/// Programmatic dependent launch is no part of the policy, since the runtime does not offer it.
///
/// The object owns memory, graphs, events and stream. Runtime and device must outlive it, and it must outlive
/// the subjects that it made. Not thread-safe.
class DeviceTimer {
 public:
  /// Uploads the inputs. Throws Error: out_of_memory if not even one copy fits, invalid_argument if the op
  /// refuses the call or the call has no rows, driver_error.
  DeviceTimer(Runtime& runtime, RunDevice& device, TimedCall call, TimingPolicy policy);
  ~DeviceTimer();
  DeviceTimer(const DeviceTimer&) = delete;
  DeviceTimer& operator=(const DeviceTimer&) = delete;

  /// Prepares the call with `tunables` (empty: what the runtime chooses), launches it once and waits for it.
  /// Throws Error as Runtime::prepare does, and driver_error for a kernel that faults.
  [[nodiscard]] Subject subject(std::string name, const std::optional<Tunables>& tunables);

  /// The tensors that one launch with `tunables` writes, from the original inputs; outputs are filled with
  /// 0xCD before. Throws as subject() does.
  [[nodiscard]] std::vector<StoredTensor> outputs(const std::optional<Tunables>& tunables);

  [[nodiscard]] const Call& call() const;
  [[nodiscard]] const TimingPolicy& policy() const;
  /// Launches in one sample; 0 before the first subject.
  [[nodiscard]] int launches() const;
  /// Copies of the tensors in device memory.
  [[nodiscard]] int copies() const;
  /// Bytes of all tensors, each counted once, and those that are read and written twice.
  [[nodiscard]] double bytes_moved() const;
  /// True if the cache is overwritten before each sample.
  [[nodiscard]] bool overwrites_cache() const;
  /// What is not as the policy wants it, because memory is short; empty if all is.
  [[nodiscard]] const std::string& note() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kerncast::tools
