#pragma once

#include <memory>

#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {

/// A stream and the context it belongs to, as a call names it.
struct StreamRef {
  std::shared_ptr<Context> context;
  std::shared_ptr<Stream> stream;
};

/// The stream that `handle` names. Null and stream_legacy name the current context's default stream,
/// stream_per_thread names this thread's. Throws Failure: CUDA_ERROR_INVALID_HANDLE, or the fault of its
/// context.
StreamRef find_stream(CUstream handle);

/// While an object of this type lives on a thread, null names the thread's default stream there, as in
/// functions whose names end in _ptds and _ptsz.
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
