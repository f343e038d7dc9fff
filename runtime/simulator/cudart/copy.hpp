#pragma once

#include "runtime/simulator/cudart/context.hpp"

/// Copies of the runtime API in terms of the driver's.
namespace kerncast::cudart {

/// Copies `bytes` in the direction `kind`. With `wait` the call returns when the bytes are there. The stream
/// of a copy that waits is the default stream. Throws Failure for an unknown direction.
CUresult copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, CUstream stream, bool wait);

/// One side of a copy: where it lies, and on which device if that is given.
inline CUdeviceptr address(const void* pointer) {
  return reinterpret_cast<CUdeviceptr>(pointer);
}

/// The driver's form of a copy of a box. Throws Failure: cudaErrorInvalidMemcpyDirection, and
/// cudaErrorNotSupported for a copy of arrays.
CUDA_MEMCPY3D driver_copy(const cudaMemcpy3DParms& given);
CUDA_MEMCPY3D driver_copy(const cudaMemcpy3DPeerParms& given);
/// The reverse of driver_copy().
cudaMemcpy3DParms runtime_copy(const CUDA_MEMCPY3D& given);

}  // namespace kerncast::cudart
