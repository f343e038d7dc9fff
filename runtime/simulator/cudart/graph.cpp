#include <fmt/format.h>

#include <cstring>

#include "runtime/simulator/cudart/context.hpp"
#include "runtime/simulator/cudart/copy.hpp"
#include "runtime/simulator/cudart/registry.hpp"
#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

CUDA_KERNEL_NODE_PARAMS driver_kernel(const cudaKernelNodeParams& given) {
  CUDA_KERNEL_NODE_PARAMS made{};
  made.kern = find_kernel(given.func);
  made.gridDimX = given.gridDim.x;
  made.gridDimY = given.gridDim.y;
  made.gridDimZ = given.gridDim.z;
  made.blockDimX = given.blockDim.x;
  made.blockDimY = given.blockDim.y;
  made.blockDimZ = given.blockDim.z;
  made.sharedMemBytes = given.sharedMemBytes;
  made.kernelParams = given.kernelParams;
  made.extra = given.extra;
  return made;
}

CUDA_KERNEL_NODE_PARAMS driver_kernel(const cudaKernelNodeParams* given) {
  require(given, "parameters");
  return driver_kernel(*given);
}

CUDA_MEMCPY3D driver_copy_of(const cudaMemcpy3DParms* given) {
  require(given, "parameters");
  return driver_copy(*given);
}

/// A copy of one run of bytes as a box of one row.
CUDA_MEMCPY3D row(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return driver_copy(cudaMemcpy3DParms{nullptr,
                                       {},
                                       {const_cast<void*>(from), bytes, bytes, 1},
                                       nullptr,
                                       {},
                                       {to, bytes, bytes, 1},
                                       {bytes, 1, 1},
                                       kind});
}

void* symbol_address(const void* symbol, std::size_t offset) {
  return reinterpret_cast<void*>(find_variable(symbol).address + offset);
}

CUcontext current_context() {
  CUcontext current = nullptr;
  check(KERNCAST_CU(cuCtxGetCurrent)(&current));
  return current;
}

/// The driver's form of the parameters of a node of any type.
CUgraphNodeParams driver_node(const cudaGraphNodeParams& given) {
  CUgraphNodeParams made{};
  std::memcpy(&made, &given, sizeof(made));
  if (given.type == CU_GRAPH_NODE_TYPE_KERNEL) {
    made.kernel = driver_kernel(given.kernel);
  } else if (given.type == CU_GRAPH_NODE_TYPE_MEMCPY) {
    made.memcpy = {given.memcpy.flags, given.memcpy.reserved, static_cast<CUcontext>(given.memcpy.ctx),
                   driver_copy(given.memcpy.copyParams)};
  }
  return made;
}

CUresult add_copy(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, std::size_t count,
                  const CUDA_MEMCPY3D& copy) {
  return KERNCAST_CU(cuGraphAddMemcpyNode)(node, graph, dependencies, count, &copy, current_context());
}

CUresult set_copy(CUgraphExec executable, CUgraphNode node, const CUDA_MEMCPY3D& copy) {
  return KERNCAST_CU(cuGraphExecMemcpyNodeSetParams)(executable, node, &copy, current_context());
}

}  // namespace

extern "C" {

cudaError_t cudaGraphAddKernelNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                   std::size_t count, const cudaKernelNodeParams* given) {
  return device_call([&] {
    const CUDA_KERNEL_NODE_PARAMS made = driver_kernel(given);
    return KERNCAST_CU(cuGraphAddKernelNode_v2)(node, graph, dependencies, count, &made);
  });
}

cudaError_t cudaGraphKernelNodeGetParams(CUgraphNode node, cudaKernelNodeParams* given) {
  return device_call([&] {
    require(given, "parameters");
    CUDA_KERNEL_NODE_PARAMS found{};
    check(KERNCAST_CU(cuGraphKernelNodeGetParams_v2)(node, &found));
    *given = {host_function(found.kern, found.func),
              {found.gridDimX, found.gridDimY, found.gridDimZ},
              {found.blockDimX, found.blockDimY, found.blockDimZ},
              found.sharedMemBytes,
              found.kernelParams,
              found.extra};
    return cudaSuccess;
  });
}

cudaError_t cudaGraphKernelNodeSetParams(CUgraphNode node, const cudaKernelNodeParams* given) {
  return device_call([&] {
    const CUDA_KERNEL_NODE_PARAMS made = driver_kernel(given);
    return KERNCAST_CU(cuGraphKernelNodeSetParams_v2)(node, &made);
  });
}

cudaError_t cudaGraphExecKernelNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                             const cudaKernelNodeParams* given) {
  return device_call([&] {
    const CUDA_KERNEL_NODE_PARAMS made = driver_kernel(given);
    return KERNCAST_CU(cuGraphExecKernelNodeSetParams_v2)(executable, node, &made);
  });
}

cudaError_t cudaGraphAddMemcpyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                   std::size_t count, const cudaMemcpy3DParms* given) {
  return device_call([&] { return add_copy(node, graph, dependencies, count, driver_copy_of(given)); });
}

cudaError_t cudaGraphAddMemcpyNode1D(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                     std::size_t count, void* to, const void* from, std::size_t bytes,
                                     cudaMemcpyKind kind) {
  return device_call([&] { return add_copy(node, graph, dependencies, count, row(to, from, bytes, kind)); });
}

cudaError_t cudaGraphAddMemcpyNodeToSymbol(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                           std::size_t count, const void* symbol, const void* from,
                                           std::size_t bytes, std::size_t offset, cudaMemcpyKind kind) {
  return device_call([&] {
    return add_copy(node, graph, dependencies, count, row(symbol_address(symbol, offset), from, bytes, kind));
  });
}

cudaError_t cudaGraphAddMemcpyNodeFromSymbol(CUgraphNode* node, CUgraph graph,
                                             const CUgraphNode* dependencies, std::size_t count, void* to,
                                             const void* symbol, std::size_t bytes, std::size_t offset,
                                             cudaMemcpyKind kind) {
  return device_call([&] {
    return add_copy(node, graph, dependencies, count, row(to, symbol_address(symbol, offset), bytes, kind));
  });
}

cudaError_t cudaGraphMemcpyNodeGetParams(CUgraphNode node, cudaMemcpy3DParms* given) {
  return device_call([&] {
    require(given, "parameters");
    CUDA_MEMCPY3D found{};
    check(KERNCAST_CU(cuGraphMemcpyNodeGetParams)(node, &found));
    *given = runtime_copy(found);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphMemcpyNodeSetParams(CUgraphNode node, const cudaMemcpy3DParms* given) {
  return device_call([&] {
    const CUDA_MEMCPY3D made = driver_copy_of(given);
    return KERNCAST_CU(cuGraphMemcpyNodeSetParams)(node, &made);
  });
}

cudaError_t cudaGraphMemcpyNodeSetParams1D(CUgraphNode node, void* to, const void* from, std::size_t bytes,
                                           cudaMemcpyKind kind) {
  return device_call([&] {
    const CUDA_MEMCPY3D made = row(to, from, bytes, kind);
    return KERNCAST_CU(cuGraphMemcpyNodeSetParams)(node, &made);
  });
}

cudaError_t cudaGraphMemcpyNodeSetParamsToSymbol(CUgraphNode node, const void* symbol, const void* from,
                                                 std::size_t bytes, std::size_t offset, cudaMemcpyKind kind) {
  return device_call([&] {
    const CUDA_MEMCPY3D made = row(symbol_address(symbol, offset), from, bytes, kind);
    return KERNCAST_CU(cuGraphMemcpyNodeSetParams)(node, &made);
  });
}

cudaError_t cudaGraphMemcpyNodeSetParamsFromSymbol(CUgraphNode node, void* to, const void* symbol,
                                                   std::size_t bytes, std::size_t offset,
                                                   cudaMemcpyKind kind) {
  return device_call([&] {
    const CUDA_MEMCPY3D made = row(to, symbol_address(symbol, offset), bytes, kind);
    return KERNCAST_CU(cuGraphMemcpyNodeSetParams)(node, &made);
  });
}

cudaError_t cudaGraphExecMemcpyNodeSetParamsToSymbol(CUgraphExec executable, CUgraphNode node,
                                                     const void* symbol, const void* from, std::size_t bytes,
                                                     std::size_t offset, cudaMemcpyKind kind) {
  return device_call(
      [&] { return set_copy(executable, node, row(symbol_address(symbol, offset), from, bytes, kind)); });
}

cudaError_t cudaGraphExecMemcpyNodeSetParamsFromSymbol(CUgraphExec executable, CUgraphNode node, void* to,
                                                       const void* symbol, std::size_t bytes,
                                                       std::size_t offset, cudaMemcpyKind kind) {
  return device_call(
      [&] { return set_copy(executable, node, row(to, symbol_address(symbol, offset), bytes, kind)); });
}

cudaError_t cudaGraphExecMemcpyNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                             const cudaMemcpy3DParms* given) {
  return device_call([&] { return set_copy(executable, node, driver_copy_of(given)); });
}

cudaError_t cudaGraphExecMemcpyNodeSetParams1D(CUgraphExec executable, CUgraphNode node, void* to,
                                               const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return device_call([&] { return set_copy(executable, node, row(to, from, bytes, kind)); });
}

cudaError_t cudaGraphAddMemsetNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                   std::size_t count, const CUDA_MEMSET_NODE_PARAMS* given) {
  return device_call([&] {
    return KERNCAST_CU(cuGraphAddMemsetNode)(node, graph, dependencies, count, given, current_context());
  });
}

cudaError_t cudaGraphExecMemsetNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                             const CUDA_MEMSET_NODE_PARAMS* given) {
  return device_call([&] {
    return KERNCAST_CU(cuGraphExecMemsetNodeSetParams)(executable, node, given, current_context());
  });
}

cudaError_t cudaGraphAddNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                             const CUgraphEdgeData* edges, std::size_t count, cudaGraphNodeParams* given) {
  return device_call([&] {
    require(given, "parameters");
    CUgraphNodeParams made = driver_node(*given);
    check(KERNCAST_CU(cuGraphAddNode_v2)(node, graph, dependencies, edges, count, &made));
    if (given->type != CU_GRAPH_NODE_TYPE_KERNEL && given->type != CU_GRAPH_NODE_TYPE_MEMCPY) {
      std::memcpy(given, &made, sizeof(made));  // an allocation's address comes back in it
    }
    return cudaSuccess;
  });
}

cudaError_t cudaGraphNodeSetParams(CUgraphNode node, cudaGraphNodeParams* given) {
  return device_call([&] {
    require(given, "parameters");
    CUgraphNodeParams made = driver_node(*given);
    return KERNCAST_CU(cuGraphNodeSetParams)(node, &made);
  });
}

cudaError_t cudaGraphExecNodeSetParams(CUgraphExec executable, CUgraphNode node, cudaGraphNodeParams* given) {
  return device_call([&] {
    require(given, "parameters");
    CUgraphNodeParams made = driver_node(*given);
    return KERNCAST_CU(cuGraphExecNodeSetParams)(executable, node, &made);
  });
}

cudaError_t cudaGraphInstantiate(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
  return cudaGraphInstantiateWithFlags(executable, graph, flags);
}

}  // extern "C"

}  // namespace kerncast::cudart
