#pragma once

#include <cstddef>
#include <cstdint>
#include <kerncast/kerncast.hpp>
#include <stdexcept>
#include <string>
#include <vector>

/// Device memory and driver calls, which an inference engine has anyway. The examples take the driver's
/// functions from Kerncast, so that they also run on machines without a GPU; an engine links libcuda or the
/// CUDA runtime itself.
namespace example {

/// Calls the Driver API function `name`. Throws std::runtime_error if it fails.
template <class... Parameters>
void call_driver(const kerncast::Runtime& runtime, const char* name, Parameters... parameters) {
  auto* function = reinterpret_cast<int (*)(Parameters...)>(runtime.driver_symbol(name));
  if (const int result = function == nullptr ? -1 : function(parameters...); result != 0) {
    throw std::runtime_error(std::string(name) + " failed with " + std::to_string(result));
  }
}

/// Floats in the memory of the device that is current on this thread. The runtime must outlive it.
class DeviceFloats {
 public:
  DeviceFloats(const kerncast::Runtime& runtime, std::size_t count) : runtime_(runtime), count_(count) {
    call_driver(runtime_, "cuMemAlloc", &address_, count * sizeof(float));
  }
  DeviceFloats(const kerncast::Runtime& runtime, const std::vector<float>& values)
      : DeviceFloats(runtime, values.size()) {
    call_driver(runtime_, "cuMemcpyHtoD", address_, static_cast<const void*>(values.data()), bytes());
  }
  ~DeviceFloats() {
    auto* free = reinterpret_cast<int (*)(std::uint64_t)>(runtime_.driver_symbol("cuMemFree"));
    free(address_);
  }
  DeviceFloats(const DeviceFloats&) = delete;
  DeviceFloats& operator=(const DeviceFloats&) = delete;

  /// The memory as a row-major matrix on device `device`.
  [[nodiscard]] kerncast::TensorView matrix(std::int64_t rows, std::int64_t columns, int device = 0) const {
    kerncast::TensorView view = kerncast::TensorView::contiguous(reinterpret_cast<void*>(address_),
                                                                 kerncast::DType::f32, {rows, columns});
    view.device = device;
    return view;
  }
  /// The values after everything that was enqueued on the legacy default stream and on blocking streams.
  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> out(count_);
    call_driver(runtime_, "cuMemcpyDtoH", static_cast<void*>(out.data()), address_, bytes());
    return out;
  }

 private:
  [[nodiscard]] std::size_t bytes() const { return count_ * sizeof(float); }

  const kerncast::Runtime& runtime_;
  std::size_t count_;
  std::uint64_t address_ = 0;
};

}  // namespace example
