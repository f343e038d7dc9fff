#pragma once

#include <memory>

#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {

/// A stream and the context it belongs to, as a call names it.
struct StreamRef {
  std::shared_ptr<Context> context;
  std::shared_ptr<Stream> stream;
};

/// The stream `handle` names: null or stream_legacy the current context's default stream, stream_per_thread
/// this thread's. Throws Failure: CUDA_ERROR_INVALID_HANDLE, or the fault of its context.
StreamRef find_stream(CUstream handle);

/// While one lives on a thread, null names the thread's default stream there: what functions with _ptds and
/// _ptsz at their end do.
class PerThreadDefault {
 public:
  PerThreadDefault();
  ~PerThreadDefault();
  PerThreadDefault(const PerThreadDefault&) = delete;
  PerThreadDefault& operator=(const PerThreadDefault&) = delete;

 private:
  bool before_;
};

/// Throws Failure(CUDA_ERROR_INVALID_CONTEXT).
std::shared_ptr<Context> find_context(CUcontext handle);

/// Makes a stream of `context` without a handle.
std::shared_ptr<Stream> make_stream(const std::shared_ptr<Context>& context, bool blocking);

}  // namespace kerncast::simulator::api
