#include "runtime/driver/context.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "runtime/driver/driver_error.hpp"

namespace kerncast::driver {

PrimaryContext::PrimaryContext(std::shared_ptr<const Driver> driver, int ordinal)
    : driver_(std::move(driver)), ordinal_(ordinal) {
  check(api(), api().cuDeviceGet(&device_, ordinal), fmt::format("opening device {}", ordinal));
  check(api(), api().cuDevicePrimaryCtxRetain(&context_, device_),
        fmt::format("retaining device {}", ordinal));
  if (const CUresult result = api().cuCtxPushCurrent(context_); result != CUDA_SUCCESS) {
    api().cuDevicePrimaryCtxRelease(device_);
    check(api(), result, fmt::format("making the primary context of device {} current", ordinal));
  }
}

PrimaryContext::~PrimaryContext() {
  CUcontext ignored = nullptr;
  api().cuCtxPopCurrent(&ignored);
  api().cuDevicePrimaryCtxRelease(device_);
}

void PrimaryContext::synchronize() const {
  check(api(), api().cuCtxSynchronize(), "waiting for the device");
}

CurrentContext::CurrentContext(const DriverApi& api, CUcontext context) : api_(&api) {
  check(api, api.cuCtxPushCurrent(context), "making a context current");
}

CurrentContext::~CurrentContext() {
  CUcontext ignored = nullptr;
  api_->cuCtxPopCurrent(&ignored);
}

RelaxedCapture::RelaxedCapture(const DriverApi& api) : api_(&api) {
  check(api, api.cuThreadExchangeStreamCaptureMode(&mode_), "relaxing the capture mode of this thread");
}

RelaxedCapture::~RelaxedCapture() {
  api_->cuThreadExchangeStreamCaptureMode(&mode_);
}

DeviceBuffer::DeviceBuffer(const DriverApi& api, std::size_t bytes) : api_(&api), bytes_(bytes) {
  if (bytes > 0) {
    check(api, api.cuMemAlloc(&address_, bytes), fmt::format("allocating {} bytes of device memory", bytes));
  }
}

DeviceBuffer::~DeviceBuffer() {
  if (address_ != 0) {
    api_->cuMemFree(address_);
  }
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : api_(other.api_), address_(std::exchange(other.address_, 0)), bytes_(std::exchange(other.bytes_, 0)) {}

void DeviceBuffer::upload(const void* from, std::size_t bytes, std::size_t offset) const {
  if (bytes > 0) {
    check(*api_, api_->cuMemcpyHtoD(address_ + offset, from, bytes),
          fmt::format("copying {} bytes to the device", bytes));
  }
}

void DeviceBuffer::download(void* to, std::size_t bytes, std::size_t offset) const {
  if (bytes > 0) {
    check(*api_, api_->cuMemcpyDtoH(to, address_ + offset, bytes),
          fmt::format("copying {} bytes from the device", bytes));
  }
}

void DeviceBuffer::fill(unsigned char value) const {
  if (bytes_ > 0) {
    const std::string task = fmt::format("filling {} bytes of device memory", bytes_);
    check(*api_, api_->cuMemsetD8(address_, value, bytes_), task);
    // The driver may return before the memory is set, and non-blocking streams do not wait for this one.
    check(*api_, api_->cuStreamSynchronize(nullptr), task);
  }
}

StreamHandle::StreamHandle(const DriverApi& api, unsigned int flags) : api_(&api) {
  check(api, api.cuStreamCreate(&stream_, flags), "creating a stream");
}

StreamHandle::~StreamHandle() {
  if (stream_ != nullptr) {
    api_->cuStreamDestroy(stream_);
  }
}

StreamHandle::StreamHandle(StreamHandle&& other) noexcept
    : api_(other.api_), stream_(std::exchange(other.stream_, nullptr)) {}

void StreamHandle::synchronize() const {
  check(*api_, api_->cuStreamSynchronize(stream_), "waiting for a stream");
}

Event::Event(const DriverApi& api, unsigned int flags) : api_(&api) {
  check(api, api.cuEventCreate(&event_, flags), "creating an event");
}

Event::~Event() {
  if (event_ != nullptr) {
    api_->cuEventDestroy(event_);
  }
}

Event::Event(Event&& other) noexcept : api_(other.api_), event_(std::exchange(other.event_, nullptr)) {}

void Event::record(CUstream stream) const {
  check(*api_, api_->cuEventRecord(event_, stream), "recording an event");
}

void Event::synchronize() const {
  check(*api_, api_->cuEventSynchronize(event_), "waiting for an event");
}

float Event::milliseconds_since(const Event& start) const {
  float milliseconds = 0;
  check(*api_, api_->cuEventElapsedTime(&milliseconds, start.event_, event_), "timing with events");
  return milliseconds;
}

}  // namespace kerncast::driver
