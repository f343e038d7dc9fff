#pragma once

#include <string>

#include "kerncast/runtime.hpp"
#include "runtime/simulator/watch/profile_abi.hpp"
#include "tools/profile/launch_profile.hpp"
#include "tools/run/op_run.hpp"

namespace kerncast::tools {

/// Launches kernels while the virtual GPU records.
class SimProfileCapture {
 public:
  /// Throws Error(unsupported) if the driver in use is not the virtual GPU.
  explicit SimProfileCapture(const Runtime& runtime);

  /// Launches `function` once and returns the counts. `starts_early` is that of Runtime::Impl for the op, so
  /// that a profile is one of the launch that the library makes. `what` names the kernel in errors. Throws
  /// Error.
  [[nodiscard]] LaunchProfile record(const RunDevice& device, void* function, const LaunchGeometry& geometry,
                                     bool starts_early, const Call& call, const std::string& what) const;

 private:
  decltype(kerncastSimProfile)* set_recording_;
  decltype(kerncastSimProfileCount)* count_;
  decltype(kerncastSimProfileLaunch)* launch_;
};

}  // namespace kerncast::tools
