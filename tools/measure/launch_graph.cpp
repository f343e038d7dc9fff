#include "tools/measure/launch_graph.hpp"

#include "runtime/driver/driver_error.hpp"

namespace kerncast::tools {

LaunchGraph::LaunchGraph(const driver::DriverApi& api, driver::CUstream stream,
                         const std::function<void()>& enqueue)
    : api_(api) {
  driver::check(api, api.cuStreamBeginCapture(stream, driver::CU_STREAM_CAPTURE_MODE_RELAXED),
                "beginning to capture launches");
  try {
    enqueue();
  } catch (...) {
    // A stream that stays in capture could not be used again.
    if (api.cuStreamEndCapture(stream, &graph_) == driver::CUDA_SUCCESS && graph_ != nullptr) {
      api.cuGraphDestroy(graph_);
    }
    throw;
  }
  driver::check(api, api.cuStreamEndCapture(stream, &graph_), "capturing launches");
  if (const driver::CUresult result = api.cuGraphInstantiateWithFlags(&executable_, graph_, 0);
      result != driver::CUDA_SUCCESS) {
    api.cuGraphDestroy(graph_);
    driver::check(api, result, "instantiating the graph of the launches");
  }
}

LaunchGraph::~LaunchGraph() {
  api_.cuGraphExecDestroy(executable_);
  api_.cuGraphDestroy(graph_);
}

void LaunchGraph::launch(driver::CUstream stream) const {
  driver::check(api_, api_.cuGraphLaunch(executable_, stream), "launching the graph");
}

}  // namespace kerncast::tools
