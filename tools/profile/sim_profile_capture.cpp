#include "tools/profile/sim_profile_capture.hpp"

#include <fmt/format.h>

#include "runtime/driver/driver_error.hpp"
#include "runtime/driver/programmatic_launch.hpp"

namespace kerncast::tools {
namespace {

template <class Function>
Function* find_symbol(const Runtime& runtime, const char* name) {
  return reinterpret_cast<Function*>(runtime.driver_symbol(name));
}

/// Turns recording on for a scope.
class Recording {
 public:
  explicit Recording(decltype(kerncastSimProfile)* set) : set_(set) { set_(1); }
  ~Recording() { set_(0); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

 private:
  decltype(kerncastSimProfile)* set_;
};

void launch_once(const RunDevice& device, void* function, const LaunchGeometry& geometry, bool starts_early,
                 const Call& call, const std::string& what) {
  driver::CUlaunchConfig config{};
  config.gridDimX = geometry.grid[0];
  config.gridDimY = geometry.grid[1];
  config.gridDimZ = geometry.grid[2];
  config.blockDimX = geometry.block[0];
  config.blockDimY = geometry.block[1];
  config.blockDimZ = geometry.block[2];
  config.sharedMemBytes = geometry.dynamic_shared;
  if (starts_early) {
    driver::allow_early_start(config);
  }
  void* arguments[] = {const_cast<std::byte*>(call.arguments.data())};
  driver::check(
      device.api(),
      device.api().cuLaunchKernelEx(&config, static_cast<driver::CUfunction>(function), arguments, nullptr),
      fmt::format("launching {}", what));
  device.synchronize();
}

}  // namespace

SimProfileCapture::SimProfileCapture(const Runtime& runtime)
    : set_recording_(find_symbol<decltype(kerncastSimProfile)>(runtime, "kerncastSimProfile")),
      count_(find_symbol<decltype(kerncastSimProfileCount)>(runtime, "kerncastSimProfileCount")),
      launch_(find_symbol<decltype(kerncastSimProfileLaunch)>(runtime, "kerncastSimProfileLaunch")) {
  if (set_recording_ == nullptr || count_ == nullptr || launch_ == nullptr) {
    throw Error(
        ErrorCode::unsupported,
        "the driver in use does not count launches; profiles need the virtual GPU: set KERNCAST_DRIVER=sim");
  }
}

LaunchProfile SimProfileCapture::record(const RunDevice& device, void* function,
                                        const LaunchGeometry& geometry, bool starts_early, const Call& call,
                                        const std::string& what) const {
  {
    const Recording recording(set_recording_);
    launch_once(device, function, geometry, starts_early, call, what);
  }
  const KerncastSimLaunch* launch = count_() == 1 ? launch_(0) : nullptr;
  if (launch == nullptr) {
    throw Error(ErrorCode::internal,
                fmt::format("the virtual GPU recorded {} launches of {} instead of one", count_(), what));
  }
  return copy_launch(*launch);
}

}  // namespace kerncast::tools
