#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/runtime.hpp"
#include "runtime/devices/cost_model.hpp"
#include "runtime/dispatch/device_state.hpp"
#include "tools/model/workload.hpp"
#include "tools/profile/sim_profile_capture.hpp"
#include "tools/run/op_run.hpp"

/// Counts what an op does under given tunables on the virtual GPU, so that the cost model can compare them.
namespace kerncast::test {

/// The launches of one call as the cost model takes them. There are no stages if the kernel does not compile
/// or launch under these tunables.
struct Counted {
  Tunables tunables;
  std::vector<devices::CostInput> stages;
};

/// Estimated microseconds of one call, with a launch before every stage.
struct CallTime {
  double total_us = 0;
  double device_us = 0;  ///< without launch overhead
};
/// Infinite if a stage does not fit the device or there are no stages.
[[nodiscard]] CallTime estimate_call(const Counted& counted, const devices::DeviceDescription& device);

[[nodiscard]] DeviceTraits traits_of(const devices::DeviceDescription& device);

/// The combinations of the op's tunables that `call` can be launched with, except blocks of more rows than
/// the call has: warps without a row would lower the averages that the model uses. If `coarse`, a tunable of
/// many values has only the powers of two among them.
[[nodiscard]] std::vector<Tunables> launchable_tunables(const OpDefinition& op, const Call& call,
                                                        const DeviceTraits& traits, bool coarse);

/// The call of `rows` rows of `workload`, over memory that does not exist.
[[nodiscard]] Call call_of(const tools::Workload& workload, std::int64_t rows);

class TunablesSweep {
 public:
  /// Kernels are compiled for `arch` and launched as on a device of `traits`.
  TunablesSweep(Runtime& runtime, tools::RunDevice& device, std::string arch, const DeviceTraits& traits);

  /// Counts for each of `tunables`, in their order. If twice the rows make twice the blocks, counts of many
  /// rows are extrapolated from a few hundred.
  [[nodiscard]] std::vector<Counted> count(const tools::Workload& workload, std::int64_t rows,
                                           const std::vector<Tunables>& tunables);

 private:
  [[nodiscard]] std::vector<Counted> run(const tools::Workload& workload, std::int64_t rows,
                                         const std::vector<Tunables>& tunables);
  /// Null if the kernel does not compile or load.
  [[nodiscard]] const LoadedKernel* kernel(const tools::Workload& workload, const Specialisation& spec,
                                           const Tunables& tunables);

  Runtime& runtime_;
  tools::RunDevice& device_;
  std::string arch_;
  DeviceTraits traits_;
  tools::SimProfileCapture recorder_;
  /// Kernels of the workload that was counted last, by specialisation and tunables.
  std::map<std::string, LoadedKernel> kernels_;
  std::string counted_last_;
};

}  // namespace kerncast::test
