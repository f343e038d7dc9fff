#include <fmt/format.h>

#include <algorithm>

#include "runtime/simulator/driver_context.hpp"
#include "runtime/simulator/driver_failure.hpp"
#include "runtime/simulator/driver_state.hpp"

namespace kerncast::simulator::api {
namespace {

/// A graph that is not being captured any more, and so does not change.
std::shared_ptr<Graph> find_graph(CUgraph handle) {
  std::shared_ptr<Graph> graph = state().graphs.find(handle);
  if (graph == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such graph, or it is destroyed");
  }
  const Scheduler::Lock lock = Scheduler::instance().lock();
  if (graph->capturing) {
    throw Failure(CUDA_ERROR_ILLEGAL_STATE, "the graph is still being captured");
  }
  return graph;
}

/// Branches of a graph may run in any order, so one after the other is one of them.
void run_nodes(const std::vector<GraphNode>& nodes, Context& context) {
  for (const GraphNode& node : nodes) {
    if (context.fault() != CUDA_SUCCESS) {
      return;
    }
    if (node.work) {
      node.work(context);
    }
  }
}

}  // namespace

extern "C" {

CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
  return driver_call([&] {
    require(executable, "executable");
    if (flags > 15) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no instantiation flags {:#x}", flags));
    }
    if (flags != 0) {
      throw Failure(CUDA_ERROR_NOT_SUPPORTED,
                    fmt::format("instantiation flags {:#x} are not offered", flags));
    }
    const std::shared_ptr<Graph> found = find_graph(graph);
    auto made = std::make_shared<GraphExec>();
    made->nodes = std::make_shared<const std::vector<GraphNode>>(found->nodes);
    *executable = state().executables.insert(made);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  return driver_call([&] {
    const std::shared_ptr<GraphExec> found = state().executables.find(executable);
    if (found == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such executable graph, or it is destroyed");
    }
    const StreamRef target = find_stream(stream);
    submit(
        target, CU_GRAPH_NODE_TYPE_GRAPH,
        [nodes = found->nodes](Context& context) { run_nodes(*nodes, context); }, &found->last);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
  return driver_call([&] {
    if (state().executables.take(executable) == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such executable graph, or it is destroyed");
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return driver_call([&] {
    find_graph(graph);
    state().graphs.take(graph);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, std::size_t* count) {
  return driver_call([&] {
    require(count, "count");
    const std::shared_ptr<Graph> found = find_graph(graph);
    if (nodes != nullptr) {
      for (std::size_t i = 0; i < *count; ++i) {
        nodes[i] = i < found->nodes.size() ? found->nodes[i].handle : nullptr;
      }
    }
    *count = nodes == nullptr ? found->nodes.size() : std::min(*count, found->nodes.size());
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType* type) {
  return driver_call([&] {
    require(type, "type");
    const Scheduler::Lock lock = Scheduler::instance().lock();
    for (const std::shared_ptr<Graph>& graph : state().graphs.all()) {
      for (const GraphNode& candidate : graph->nodes) {
        if (candidate.handle == node) {
          *type = candidate.type;
          return CUDA_SUCCESS;
        }
      }
    }
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such graph node");
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
