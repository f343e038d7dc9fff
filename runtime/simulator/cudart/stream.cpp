#include <memory>

#include "runtime/simulator/cudart/context.hpp"
#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

/// A callback of the runtime, which gets the runtime's code.
struct Callback {
  cudaStreamCallback_t function;
  void* data;
};

void run_callback(CUstream stream, CUresult status, void* data) {
  const std::unique_ptr<Callback> callback(static_cast<Callback*>(data));
  callback->function(stream, static_cast<cudaError_t>(status), callback->data);
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreate(CUstream* stream) {
  return cudaStreamCreateWithFlags(stream, CU_STREAM_DEFAULT);
}

cudaError_t cudaStreamAddCallback(CUstream stream, cudaStreamCallback_t function, void* data,
                                  unsigned int flags) {
  return device_call([&] {
    require(reinterpret_cast<const void*>(function), "callback");
    auto callback = std::make_unique<Callback>(Callback{function, data});
    const CUresult result =
        KERNCAST_CU(cuStreamAddCallback)(default_stream(stream), &run_callback, callback.get(), flags);
    if (result == CUDA_SUCCESS) {
      static_cast<void>(callback.release());
    }
    return result;
  });
}

cudaError_t cudaEventCreate(CUevent* event) {
  return cudaEventCreateWithFlags(event, CU_EVENT_DEFAULT);
}

cudaError_t cudaLaunchHostFunc_v2(CUstream stream, CUhostFn function, void* data, unsigned int) {
  return device_call([&] { return KERNCAST_CU(cuLaunchHostFunc)(default_stream(stream), function, data); });
}

}  // extern "C"

}  // namespace kerncast::cudart
