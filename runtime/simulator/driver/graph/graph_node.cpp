#include <fmt/format.h>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/event.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"
#include "runtime/simulator/driver/memory/memory.hpp"
#include "runtime/simulator/driver/memory/memory_op.hpp"

namespace kerncast::simulator::api {
namespace {

struct Runner {
  Work operator()(std::monostate) const { return {}; }
  Work operator()(const Shared<KernelNode>& node) const {
    return [node](Context& context, Moment& moment) { run_kernel(*node, context, moment); };
  }
  Work operator()(const Shared<CopyNode>& node) const {
    return [node](Context& context, Moment& moment) { run_copy(*node, context, moment); };
  }
  Work operator()(const Shared<FillNode>& node) const {
    return [node](Context& context, Moment& moment) { run_fill(*node, context, moment); };
  }
  Work operator()(const Shared<HostNode>& node) const {
    return [node](Context&, Moment&) { node->call.fn(node->call.userData); };
  }
  Work operator()(const Shared<FreeNode>& node) const {
    if (node->memory != nullptr) {
      return {};
    }
    return
        [node](Context&, Moment&) { release_allocation(reinterpret_cast<const std::byte*>(node->pointer)); };
  }
  Work operator()(const Shared<MemoryOpNode>& node) const {
    return [node](Context& context, Moment&) { run_memory_operations(node->operations, context); };
  }
  // A launch of the whole graph sees to events, child graphs and the graph's own memory.
  Work operator()(const Shared<EventNode>&) const { return {}; }
  Work operator()(const Shared<ChildNode>&) const { return {}; }
  Work operator()(const Shared<AllocNode>&) const { return {}; }
};

}  // namespace

Work work_of(const Payload& payload) {
  return std::visit(Runner{}, payload);
}

Payload kernel_payload(const CUDA_KERNEL_NODE_PARAMS& given) {
  const CUfunction function = given.func != nullptr ? given.func : reinterpret_cast<CUfunction>(given.kern);
  return Shared<KernelNode>(
      make_kernel({given.gridDimX, given.gridDimY, given.gridDimZ, given.blockDimX, given.blockDimY,
                   given.blockDimZ, given.sharedMemBytes, nullptr, nullptr, 0},
                  function, given.kernelParams, given.extra));
}

Payload copy_payload(const CUDA_MEMCPY3D& given) {
  return Shared<CopyNode>(make_copy(given, "a memcpy node"));
}

Payload fill_payload(const CUDA_MEMSET_NODE_PARAMS& given) {
  return Shared<FillNode>(make_fill(given, "a memset node"));
}

Payload host_payload(const CUDA_HOST_NODE_PARAMS& given) {
  require(reinterpret_cast<const void*>(given.fn), "fn");
  return std::make_shared<const HostNode>(HostNode{given});
}

Payload event_payload(CUevent handle) {
  std::shared_ptr<Event> event = state().events.find(handle);
  if (event == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such event, or it is destroyed");
  }
  return std::make_shared<const EventNode>(EventNode{std::move(event)});
}

Payload child_payload(CUgraph handle) {
  const Scheduler::Lock lock = Scheduler::instance().lock();
  const std::shared_ptr<Graph> graph = find_graph(handle);
  for (const std::shared_ptr<GraphNode>& node : graph->nodes) {
    if (node->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || node->type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, "a child graph cannot allocate or free memory");
    }
  }
  std::shared_ptr<Graph> copy = clone(*graph);
  copy->is_child = true;
  return std::make_shared<const ChildNode>(ChildNode{std::move(copy)});
}

Payload memory_op_payload(const CUDA_BATCH_MEM_OP_NODE_PARAMS& given) {
  return std::make_shared<const MemoryOpNode>(
      MemoryOpNode{checked_memory_operations(given.count, given.paramArray, given.flags)});
}

Payload alloc_payload(CUDA_MEM_ALLOC_NODE_PARAMS& given) {
  if (given.poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
      given.poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "a graph allocates pinned memory of a device");
  }
  require_device(given.poolProps.location.id);
  auto node = std::make_shared<AllocNode>();
  node->memory = allocate_graph_memory(given.bytesize, given.poolProps.location.id);
  node->properties = given.poolProps;
  given.dptr = reinterpret_cast<CUdeviceptr>(node->memory->base);
  return Shared<AllocNode>(std::move(node));
}

Payload free_payload(CUdeviceptr pointer) {
  auto node = std::make_shared<FreeNode>();
  node->pointer = pointer;
  node->memory = find_graph_memory(pointer);
  if (node->memory == nullptr && !is_device_allocation(reinterpret_cast<const std::byte*>(pointer))) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{:#x} is not the start of an allocation", pointer));
  }
  return Shared<FreeNode>(std::move(node));
}

Payload payload_of(CUgraphNodeParams& given) {
  switch (given.type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return kernel_payload(given.kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return copy_payload(given.memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET:
      return fill_payload(given.memset.fill);
    case CU_GRAPH_NODE_TYPE_HOST:
      return host_payload(given.host);
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return child_payload(given.graph.graph);
    case CU_GRAPH_NODE_TYPE_EMPTY:
      return {};
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return event_payload(given.event);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
      return alloc_payload(given.alloc);
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
      return free_payload(given.free);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
      return memory_op_payload(given.memOp);
  }
  throw Failure(CUDA_ERROR_NOT_SUPPORTED,
                fmt::format("graph nodes of type {} are not offered", static_cast<int>(given.type)));
}

CUDA_KERNEL_NODE_PARAMS parameters_of(const KernelNode& node) {
  CUDA_KERNEL_NODE_PARAMS given{};
  given.func = node.function->handle;
  given.gridDimX = node.grid[0];
  given.gridDimY = node.grid[1];
  given.gridDimZ = node.grid[2];
  given.blockDimX = node.block[0];
  given.blockDimY = node.block[1];
  given.blockDimZ = node.block[2];
  given.sharedMemBytes = node.shared_bytes;
  given.kernelParams = const_cast<void**>(node.parameter_places.data());
  given.ctx = node.function->context;
  return given;
}

}  // namespace kerncast::simulator::api
