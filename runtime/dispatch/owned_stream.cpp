#include "kerncast/owned_stream.hpp"

#include <utility>

#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/context.hpp"
#include "runtime/driver/driver_error.hpp"

namespace kerncast {

OwnedStream::OwnedStream(Runtime& runtime) {
  const driver::DriverApi& api = implementation_of(runtime).driver().api;
  api_ = &api;
  driver::CUcontext context = nullptr;
  driver::check(api, api.cuCtxGetCurrent(&context), "asking for the current context");
  context_ = context;
  driver::CUstream stream = nullptr;
  driver::check(api, api.cuStreamCreate(&stream, driver::CU_STREAM_NON_BLOCKING), "creating a stream");
  stream_ = stream;
}

OwnedStream::~OwnedStream() {
  destroy();
}

OwnedStream::OwnedStream(OwnedStream&& other) noexcept
    : api_(other.api_), context_(other.context_), stream_(std::exchange(other.stream_, nullptr)) {}

OwnedStream& OwnedStream::operator=(OwnedStream&& other) noexcept {
  if (this != &other) {
    destroy();
    api_ = other.api_;
    context_ = other.context_;
    stream_ = std::exchange(other.stream_, nullptr);
  }
  return *this;
}

void OwnedStream::destroy() noexcept {
  if (stream_ == nullptr) {
    return;
  }
  const driver::DriverApi& api = *static_cast<const driver::DriverApi*>(api_);
  auto* context = static_cast<driver::CUcontext>(context_);
  if (api.cuCtxPushCurrent(context) == driver::CUDA_SUCCESS) {
    api.cuStreamDestroy(static_cast<driver::CUstream>(stream_));
    api.cuCtxPopCurrent(&context);
  }
  stream_ = nullptr;
}

void OwnedStream::synchronize() const {
  const driver::DriverApi& api = *static_cast<const driver::DriverApi*>(api_);
  const driver::CurrentContext current(api, static_cast<driver::CUcontext>(context_));
  driver::check(api, api.cuStreamSynchronize(static_cast<driver::CUstream>(stream_)), "waiting for a stream");
}

}  // namespace kerncast
