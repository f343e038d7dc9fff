#include "kerncast/device_buffer.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/context.hpp"
#include "runtime/driver/driver_error.hpp"

namespace kerncast {
namespace {

const driver::DriverApi& functions(const void* api) {
  return *static_cast<const driver::DriverApi*>(api);
}

void require_room(std::size_t size, std::size_t bytes, std::size_t offset) {
  if (offset > size || bytes > size - offset) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{} bytes at byte {} do not fit into a buffer of {} bytes; allocate a larger one",
                            bytes, offset, size));
  }
}

}  // namespace

DeviceBuffer::DeviceBuffer(Runtime& runtime, std::size_t bytes) : bytes_(bytes) {
  const driver::DriverApi& api = implementation_of(runtime).driver().api;
  api_ = &api;
  // A CUdevice is the ordinal of the device.
  driver::check(api, api.cuCtxGetDevice(&device_), "asking for the device of the current context");
  driver::CUcontext context = nullptr;
  driver::check(api, api.cuCtxGetCurrent(&context), "asking for the current context");
  context_ = context;
  if (bytes > 0) {
    driver::CUdeviceptr address = 0;
    driver::check(api, api.cuMemAlloc(&address, bytes),
                  fmt::format("allocating {} bytes of device memory", bytes));
    address_ = address;
  }
}

DeviceBuffer::~DeviceBuffer() {
  free();
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : api_(other.api_),
      context_(other.context_),
      address_(std::exchange(other.address_, 0)),
      bytes_(std::exchange(other.bytes_, 0)),
      device_(other.device_) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  if (this != &other) {
    free();
    api_ = other.api_;
    context_ = other.context_;
    address_ = std::exchange(other.address_, 0);
    bytes_ = std::exchange(other.bytes_, 0);
    device_ = other.device_;
  }
  return *this;
}

void DeviceBuffer::free() noexcept {
  if (address_ == 0) {
    return;
  }
  const driver::DriverApi& api = functions(api_);
  auto* context = static_cast<driver::CUcontext>(context_);
  if (api.cuCtxPushCurrent(context) == driver::CUDA_SUCCESS) {
    api.cuMemFree(address_);
    api.cuCtxPopCurrent(&context);
  }
  address_ = 0;
}

TensorView DeviceBuffer::tensor(DType dtype, std::initializer_list<std::int64_t> dims) const {
  std::size_t room = bytes_ / static_cast<std::size_t>(size_of(dtype));
  bool fits = true;
  bool empty = false;
  for (const std::int64_t dim : dims) {
    fits = fits && dim >= 0;
    empty = empty || dim == 0;
  }
  // The room is divided, since the product of the dimensions may overflow.
  for (const std::int64_t dim : dims) {
    if (fits && !empty) {
      room /= static_cast<std::size_t>(dim);
      fits = room > 0;
    }
  }
  if (!fits) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("a {} tensor of shape [{}] does not fit into a buffer of {} bytes",
                            name_of(dtype), fmt::join(dims, ", "), bytes_));
  }
  return TensorView::contiguous(data(), dtype, dims, device_);
}

void DeviceBuffer::upload(const void* from, std::size_t bytes, Stream stream, std::size_t offset) {
  require_room(bytes_, bytes, offset);
  if (bytes == 0) {
    return;
  }
  const driver::DriverApi& api = functions(api_);
  const driver::CurrentContext current(api, static_cast<driver::CUcontext>(context_));
  const std::string task = fmt::format("copying {} bytes to the device", bytes);
  auto* queue = static_cast<driver::CUstream>(stream);
  driver::check(api, api.cuMemcpyHtoDAsync(address_ + offset, from, bytes, queue), task);
  driver::check(api, api.cuStreamSynchronize(queue), task);
}

void DeviceBuffer::download(void* to, std::size_t bytes, Stream stream, std::size_t offset) const {
  require_room(bytes_, bytes, offset);
  if (bytes == 0) {
    return;
  }
  const driver::DriverApi& api = functions(api_);
  const driver::CurrentContext current(api, static_cast<driver::CUcontext>(context_));
  const std::string task = fmt::format("copying {} bytes from the device", bytes);
  auto* queue = static_cast<driver::CUstream>(stream);
  driver::check(api, api.cuMemcpyDtoHAsync(to, address_ + offset, bytes, queue), task);
  driver::check(api, api.cuStreamSynchronize(queue), task);
}

}  // namespace kerncast
