#include "tools/measure/device_session.hpp"

#include <utility>

#include "runtime/driver/driver_error.hpp"

namespace kerncast::tools {

DeviceSession::DeviceSession(RuntimeOptions options, int ordinal)
    : options_(std::move(options)),
      ordinal_(ordinal),
      runtime_(std::make_unique<Runtime>(options_)),
      device_(std::make_unique<RunDevice>(*runtime_, ordinal_)) {}

DeviceSession::~DeviceSession() = default;

bool DeviceSession::healthy() const {
  return device_ != nullptr && device_->api().cuCtxSynchronize() == driver::CUDA_SUCCESS;
}

void DeviceSession::renew() {
  if (device_ != nullptr) {
    // The driver stays loaded, so its table outlives the runtime.
    const driver::DriverApi& api = device_->api();
    driver::CUdevice device = 0;
    driver::check(api, api.cuDeviceGet(&device, ordinal_), "finding the device to reset");
    using Reset = driver::CUresult (*)(driver::CUdevice);
    const auto reset = reinterpret_cast<Reset>(runtime_->driver_symbol("cuDevicePrimaryCtxReset"));
    device_.reset();
    if (reset != nullptr) {
      driver::check(api, reset(device), "resetting the device after a fault");
    }
  }
  runtime_ = std::make_unique<Runtime>(options_);
  device_ = std::make_unique<RunDevice>(*runtime_, ordinal_);
  device_->synchronize();
}

}  // namespace kerncast::tools
