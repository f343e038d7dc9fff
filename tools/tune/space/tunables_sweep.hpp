#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kerncast/runtime.hpp"
#include "runtime/devices/cost_model.hpp"
#include "runtime/dispatch/device_state.hpp"
#include "tools/model/workload.hpp"
#include "tools/profile/cost_input.hpp"
#include "tools/profile/sim_profile_capture.hpp"
#include "tools/run/op_run.hpp"
#include "tools/tune/space/kept_inputs.hpp"

/// Counts what an op does under given tunables on the virtual GPU, so that the cost model can compare them.
namespace kerncast::tools {

/// The launches of one call as the cost model takes them. There are no stages if the kernel does not compile
/// or launch under these tunables.
struct Counted {
  Tunables tunables;
  std::vector<devices::CostInput> stages;
  std::string defect;             ///< why there are no stages
  std::vector<MovedBytes> moved;  ///< by each of the stages
};

/// Estimated microseconds of one call, with a launch before every stage.
struct CallTime {
  double total_us = 0;
  double device_us = 0;  ///< without launch overhead
};
/// Infinite if a stage does not fit the device or there are no stages.
[[nodiscard]] CallTime estimate_call(const Counted& counted, const devices::DeviceDescription& device);

/// The factor that holds up the longest launch of a call, in words; the defect if there is none.
[[nodiscard]] std::string explain_call(const Counted& counted, const devices::DeviceDescription& device);

/// The traits by which an op chooses tunables on a device that is described.
[[nodiscard]] DeviceTraits traits_of(const devices::DeviceDescription& device);

/// Counts of several tunables share the inputs of a call, its memory and the kernels. Not thread-safe.
class TunablesSweep {
 public:
  /// Kernels are compiled for `arch` and launched as on a device of `traits`. Throws Error(unsupported) if
  /// the driver is not the virtual GPU. `runtime` and `device` must outlive the object.
  TunablesSweep(Runtime& runtime, RunDevice& device, std::string arch, const DeviceTraits& traits);

  /// Counts for each of `tunables`, in their order. Those of many rows follow exactly from three calls of
  /// fewer rows where the launches have even_steps(), no tensor steers what a row costs, and each step counts
  /// the same. Other counts are extrapolated from a few hundred rows if twice the rows make twice the blocks.
  /// `stop` is asked before each launch; the result is empty if it became true. Empty: never. Throws Error if
  /// a launch fails.
  [[nodiscard]] std::vector<Counted> count(const Workload& workload, std::int64_t rows,
                                           std::span<const Tunables> tunables,
                                           const std::function<bool()>& stop = nullptr);
  /// Counts a call of many rows for each of `tunables` only from calls of fewer rows; empty where it does not
  /// follow from them exactly. Throws as count() does.
  [[nodiscard]] std::vector<std::optional<Counted>> count_evenly(const Workload& workload, std::int64_t rows,
                                                                 std::span<const Tunables> tunables);
  /// Counts by launching whole calls, whatever they cost. Throws as count() does.
  [[nodiscard]] std::vector<Counted> count_whole(const Workload& workload, std::int64_t rows,
                                                 std::span<const Tunables> tunables);

  /// Lets `change` alter the synthetic inputs of every call that is counted from now on. Counts that were
  /// made before are kept, so it is set before the first.
  void change_inputs(std::function<void(std::vector<HostTensor>&)> change) { change_ = std::move(change); }

 private:
  /// Forgets the counts and kernels of another workload.
  void begin(const Workload& workload);
  [[nodiscard]] std::vector<Counted> count_all(const Workload& workload, std::int64_t rows,
                                               std::span<const Tunables> tunables);
  [[nodiscard]] std::vector<Counted> run(const Workload& workload, std::int64_t rows,
                                         const std::vector<Tunables>& tunables);
  /// Counts a call of many rows that count_evenly() does not tell.
  [[nodiscard]] std::vector<Counted> count_rest(const Workload& workload, std::int64_t rows,
                                                const std::vector<Tunables>& tunables);
  /// Runs like run(), for the row counts from which others are extrapolated: these counts are kept.
  [[nodiscard]] std::vector<Counted> sample(const Workload& workload, std::int64_t rows,
                                            const std::vector<Tunables>& tunables);
  [[nodiscard]] Counted count_call(const Workload& workload, const Call& call, const Tunables& tunables,
                                   std::uint64_t read, std::uint64_t written);
  /// Null, with the reason in `defect`, if the kernel does not compile.
  [[nodiscard]] const LoadedKernel* kernel(const Workload& workload, const Specialisation& spec,
                                           const Tunables& tunables, std::string& defect);

  struct Kept {
    LoadedKernel kernel;
    std::string defect;
  };
  Runtime& runtime_;
  RunDevice& device_;
  std::string arch_;
  DeviceTraits traits_;
  SimProfileCapture recorder_;
  KeptInputs inputs_;
  /// Kernels of the workload that was counted last, by specialisation and tunables.
  std::map<std::string, Kept> kernels_;
  /// Counts of that workload that others are extrapolated from, by rows and tunables.
  std::map<std::string, Counted> samples_;
  std::string counted_last_;
  std::function<bool()> stop_;  ///< of the call under way
  std::function<void(std::vector<HostTensor>&)> change_;
};

}  // namespace kerncast::tools
