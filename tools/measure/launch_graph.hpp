#pragma once

#include <functional>

#include "runtime/driver/driver_api.hpp"

namespace kerncast::tools {

/// A CUDA graph that was captured from a stream and instantiated. It belongs to the context that is current
/// at construction, and is destroyed with the object.
class LaunchGraph {
 public:
  /// Captures what `enqueue` enqueues on `stream`. Throws what `enqueue` throws, after the end of the
  /// capture, and Error(driver_error).
  LaunchGraph(const driver::DriverApi& api, driver::CUstream stream, const std::function<void()>& enqueue);
  ~LaunchGraph();
  LaunchGraph(const LaunchGraph&) = delete;
  LaunchGraph& operator=(const LaunchGraph&) = delete;

  /// Enqueues the graph and returns. Throws Error(driver_error).
  void launch(driver::CUstream stream) const;

 private:
  const driver::DriverApi& api_;
  driver::CUgraph graph_ = nullptr;
  driver::CUgraphExec executable_ = nullptr;
};

}  // namespace kerncast::tools
