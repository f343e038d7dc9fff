#pragma once

#include <memory>

#include "runtime/simulator/driver_state.hpp"

namespace kerncast::simulator::api {

/// A stream and the context it belongs to, as a call names it.
struct StreamRef {
  std::shared_ptr<Context> context;
  std::shared_ptr<Stream> stream;
};

/// The stream `handle` names: null or stream_legacy the current context's default stream, stream_per_thread
/// this thread's. Throws Failure: CUDA_ERROR_INVALID_HANDLE, or the fault of its context.
StreamRef find_stream(CUstream handle);

/// Makes a stream of `context` without a handle.
std::shared_ptr<Stream> make_stream(const std::shared_ptr<Context>& context, bool blocking);

}  // namespace kerncast::simulator::api
