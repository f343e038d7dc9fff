#include <fmt/format.h>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/event.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"

namespace kerncast::simulator::api {
namespace {

/// Adds a node that `make` gives the payload of.
template <class Make>
CUresult add(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, std::size_t count,
             CUgraphNodeType type, Make&& make, const CUgraphEdgeData* edges = nullptr) {
  return driver_call([&] {
    require(static_cast<const void*>(node), "node");
    Payload payload = make();
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<Graph> found = find_graph(graph);
    std::vector<GraphNode*> after = find_nodes(*found, dependencies, count);
    std::vector<GraphNode*> programmatic;
    for (std::size_t i = 0; edges != nullptr && i < count; ++i) {
      if (is_programmatic(edges[i], *after[i], type)) {
        programmatic.push_back(after[i]);
      }
    }
    GraphNode& added = add_node(*found, type, std::move(payload), std::move(after));
    added.programmatic = std::move(programmatic);
    *node = added.handle;
    return CUDA_SUCCESS;
  });
}

/// Gives a node of `type` another payload.
template <class Make>
CUresult change(CUgraphNode node, CUgraphNodeType type, Make&& make) {
  return driver_call([&] {
    Payload payload = make();
    const Scheduler::Lock lock = Scheduler::instance().lock();
    find_node(node, type)->payload = std::move(payload);
    return CUDA_SUCCESS;
  });
}

/// Reads the payload of a node of `type`.
template <class Node, class Read>
CUresult read(CUgraphNode node, CUgraphNodeType type, Read&& action) {
  return driver_call([&] {
    const Scheduler::Lock lock = Scheduler::instance().lock();
    action(*std::get<Shared<Node>>(find_node(node, type)->payload));
    return CUDA_SUCCESS;
  });
}

CUDA_KERNEL_NODE_PARAMS widened(const CUDA_KERNEL_NODE_PARAMS_v1& given) {
  return {given.func,         given.gridDimX,  given.gridDimY,  given.gridDimZ,
          given.blockDimX,    given.blockDimY, given.blockDimZ, given.sharedMemBytes,
          given.kernelParams, given.extra,     nullptr,         nullptr};
}

}  // namespace

extern "C" {

CUresult cuGraphAddKernelNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                 std::size_t count, const CUDA_KERNEL_NODE_PARAMS* given) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_KERNEL, [&] {
    require(given, "parameters");
    return kernel_payload(*given);
  });
}

CUresult cuGraphAddKernelNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                              std::size_t count, const CUDA_KERNEL_NODE_PARAMS_v1* given) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_KERNEL, [&] {
    require(given, "parameters");
    return kernel_payload(widened(*given));
  });
}

CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS* given) {
  return read<KernelNode>(node, CU_GRAPH_NODE_TYPE_KERNEL, [&](const KernelNode& kernel) {
    require(given, "parameters");
    *given = parameters_of(kernel);
  });
}

CUresult cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1* given) {
  return read<KernelNode>(node, CU_GRAPH_NODE_TYPE_KERNEL, [&](const KernelNode& kernel) {
    require(given, "parameters");
    const CUDA_KERNEL_NODE_PARAMS wide = parameters_of(kernel);
    *given = {wide.func,      wide.gridDimX,  wide.gridDimY,       wide.gridDimZ,     wide.blockDimX,
              wide.blockDimY, wide.blockDimZ, wide.sharedMemBytes, wide.kernelParams, wide.extra};
  });
}

CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* given) {
  return change(node, CU_GRAPH_NODE_TYPE_KERNEL, [&] {
    require(given, "parameters");
    return kernel_payload(*given);
  });
}

CUresult cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1* given) {
  return change(node, CU_GRAPH_NODE_TYPE_KERNEL, [&] {
    require(given, "parameters");
    return kernel_payload(widened(*given));
  });
}

CUresult cuGraphKernelNodeGetAttribute(CUgraphNode node, CUlaunchAttributeID attribute,
                                       CUlaunchAttributeValue* value) {
  return read<KernelNode>(node, CU_GRAPH_NODE_TYPE_KERNEL, [&](const KernelNode& kernel) {
    require(value, "value");
    *value = {};
    if (attribute == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
      value->cooperative = kernel.cooperative ? 1 : 0;
    } else if (attribute == CU_LAUNCH_ATTRIBUTE_PRIORITY) {
      value->priority = kernel.priority;
    } else if (const auto hint = kernel.hints.find(attribute); hint != kernel.hints.end()) {
      *value = hint->second;
    } else {
      // The default of every hint is zero: no window, no cluster, the default policy and domain.
      CUlaunchAttribute unset{};
      unset.id = attribute;
      require_supported(unset);
    }
  });
}

CUresult cuGraphKernelNodeSetAttribute(CUgraphNode node, CUlaunchAttributeID attribute,
                                       const CUlaunchAttributeValue* value) {
  return driver_call([&] {
    require(value, "value");
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<GraphNode> found = find_node(node, CU_GRAPH_NODE_TYPE_KERNEL);
    auto changed = std::make_shared<KernelNode>(*std::get<Shared<KernelNode>>(found->payload));
    if (attribute == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
      changed->cooperative = value->cooperative != 0;
      if (changed->cooperative) {
        require_cooperative(*changed);
      }
    } else if (attribute == CU_LAUNCH_ATTRIBUTE_PRIORITY) {
      changed->priority = value->priority;
    } else {
      CUlaunchAttribute given{};
      given.id = attribute;
      given.value = *value;
      require_supported(given);
      changed->hints[attribute] = *value;
      require_cluster(*changed);
    }
    place_parameters(*changed);
    found->payload = Shared<KernelNode>(std::move(changed));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphKernelNodeCopyAttributes(CUgraphNode to, CUgraphNode from) {
  return driver_call([&] {
    const Scheduler::Lock lock = Scheduler::instance().lock();
    const std::shared_ptr<GraphNode> source = find_node(from, CU_GRAPH_NODE_TYPE_KERNEL);
    const std::shared_ptr<GraphNode> target = find_node(to, CU_GRAPH_NODE_TYPE_KERNEL);
    const KernelNode& given = *std::get<Shared<KernelNode>>(source->payload);
    auto changed = std::make_shared<KernelNode>(*std::get<Shared<KernelNode>>(target->payload));
    changed->cooperative = given.cooperative;
    changed->priority = given.priority;
    changed->hints = given.hints;
    require_cluster(*changed);
    place_parameters(*changed);
    target->payload = Shared<KernelNode>(std::move(changed));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphAddMemcpyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                              std::size_t count, const CUDA_MEMCPY3D* given, CUcontext) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEMCPY, [&] {
    require(given, "parameters");
    return copy_payload(*given);
  });
}

CUresult cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D* given) {
  return read<CopyNode>(node, CU_GRAPH_NODE_TYPE_MEMCPY, [&](const CopyNode& copy) {
    require(given, "parameters");
    *given = copy.given;
  });
}

CUresult cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D* given) {
  return change(node, CU_GRAPH_NODE_TYPE_MEMCPY, [&] {
    require(given, "parameters");
    return copy_payload(*given);
  });
}

CUresult cuGraphAddMemsetNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                              std::size_t count, const CUDA_MEMSET_NODE_PARAMS* given, CUcontext) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEMSET, [&] {
    require(given, "parameters");
    return fill_payload(*given);
  });
}

CUresult cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS* given) {
  return read<FillNode>(node, CU_GRAPH_NODE_TYPE_MEMSET, [&](const FillNode& fill) {
    require(given, "parameters");
    *given = fill.given;
  });
}

CUresult cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS* given) {
  return change(node, CU_GRAPH_NODE_TYPE_MEMSET, [&] {
    require(given, "parameters");
    return fill_payload(*given);
  });
}

CUresult cuGraphAddHostNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                            std::size_t count, const CUDA_HOST_NODE_PARAMS* given) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_HOST, [&] {
    require(given, "parameters");
    return host_payload(*given);
  });
}

CUresult cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS* given) {
  return read<HostNode>(node, CU_GRAPH_NODE_TYPE_HOST, [&](const HostNode& host) {
    require(given, "parameters");
    *given = host.call;
  });
}

CUresult cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS* given) {
  return change(node, CU_GRAPH_NODE_TYPE_HOST, [&] {
    require(given, "parameters");
    return host_payload(*given);
  });
}

CUresult cuGraphAddChildGraphNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                  std::size_t count, CUgraph child) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_GRAPH,
             [&] { return child_payload(child); });
}

CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph* child) {
  return read<ChildNode>(node, CU_GRAPH_NODE_TYPE_GRAPH, [&](const ChildNode& found) {
    require(child, "graph");
    *child = found.graph->handle;
  });
}

CUresult cuGraphAddEmptyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                             std::size_t count) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_EMPTY, [] { return Payload{}; });
}

CUresult cuGraphAddEventRecordNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                   std::size_t count, CUevent event) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_EVENT_RECORD,
             [&] { return event_payload(event); });
}

CUresult cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent* event) {
  return read<EventNode>(node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, [&](const EventNode& found) {
    require(event, "event");
    *event = found.event->handle;
  });
}

CUresult cuGraphEventRecordNodeSetEvent(CUgraphNode node, CUevent event) {
  return change(node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, [&] { return event_payload(event); });
}

CUresult cuGraphAddEventWaitNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                 std::size_t count, CUevent event) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_WAIT_EVENT,
             [&] { return event_payload(event); });
}

CUresult cuGraphEventWaitNodeGetEvent(CUgraphNode node, CUevent* event) {
  return read<EventNode>(node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, [&](const EventNode& found) {
    require(event, "event");
    *event = found.event->handle;
  });
}

CUresult cuGraphEventWaitNodeSetEvent(CUgraphNode node, CUevent event) {
  return change(node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, [&] { return event_payload(event); });
}

CUresult cuGraphAddMemAllocNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                std::size_t count, CUDA_MEM_ALLOC_NODE_PARAMS* given) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEM_ALLOC, [&] {
    require(given, "parameters");
    return alloc_payload(*given);
  });
}

CUresult cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS* given) {
  return read<AllocNode>(node, CU_GRAPH_NODE_TYPE_MEM_ALLOC, [&](const AllocNode& found) {
    require(given, "parameters");
    *given = {found.properties, nullptr, 0, found.memory->bytes,
              reinterpret_cast<CUdeviceptr>(found.memory->base)};
  });
}

CUresult cuGraphAddMemFreeNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                               std::size_t count, CUdeviceptr pointer) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEM_FREE,
             [&] { return free_payload(pointer); });
}

CUresult cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr* pointer) {
  return read<FreeNode>(node, CU_GRAPH_NODE_TYPE_MEM_FREE, [&](const FreeNode& found) {
    require(pointer, "pointer");
    *pointer = found.pointer;
  });
}

CUresult cuGraphAddBatchMemOpNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                  std::size_t count, const CUDA_BATCH_MEM_OP_NODE_PARAMS* given) {
  return add(node, graph, dependencies, count, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, [&] {
    require(given, "parameters");
    return memory_op_payload(*given);
  });
}

CUresult cuGraphBatchMemOpNodeGetParams(CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS* given) {
  return read<MemoryOpNode>(node, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, [&](const MemoryOpNode& found) {
    require(given, "parameters");
    *given = {nullptr, static_cast<unsigned int>(found.operations.size()),
              const_cast<CUstreamBatchMemOpParams*>(found.operations.data()), 0};
  });
}

CUresult cuGraphBatchMemOpNodeSetParams(CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS* given) {
  return change(node, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, [&] {
    require(given, "parameters");
    return memory_op_payload(*given);
  });
}

CUresult cuGraphAddNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                           const CUgraphEdgeData* edges, std::size_t count, CUgraphNodeParams* given) {
  const CUgraphNodeType type = given != nullptr ? given->type : CU_GRAPH_NODE_TYPE_EMPTY;
  return add(
      node, graph, dependencies, count, type,
      [&] {
        require(given, "parameters");
        return payload_of(*given);
      },
      edges);
}

CUresult cuGraphAddNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, std::size_t count,
                        CUgraphNodeParams* given) {
  return cuGraphAddNode_v2(node, graph, dependencies, nullptr, count, given);
}

CUresult cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams* given) {
  const CUgraphNodeType type = given != nullptr ? given->type : CU_GRAPH_NODE_TYPE_EMPTY;
  return change(node, type, [&] {
    require(given, "parameters");
    if (type == CU_GRAPH_NODE_TYPE_GRAPH || type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
        type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, "nodes of this type cannot be changed");
    }
    return payload_of(*given);
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
