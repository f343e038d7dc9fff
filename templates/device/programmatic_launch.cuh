#pragma once

/// Programmatic dependent launch. From sm_90 on, the device may start the blocks of a kernel while the kernel
/// before it in the stream, its primary, still runs. The runtime launches the ops of the library in this way.
namespace kerncast {

/// Waits until the primary has completed and all that it wrote is visible. A kernel whose primary has
/// completed, or that has none, goes on at once.
__device__ __forceinline__ void wait_for_primary() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Lets the device start the kernel after this one in the stream, its dependent, as soon as every block has
/// called this or has ended.
__device__ __forceinline__ void launch_dependents() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// The first statement of every kernel: without it the kernel would read what its primary has not yet
/// written, and overwrite what its primary still reads. Every kernel waits before it ends, so all kernels
/// before it in the stream have completed when it has.
__device__ __forceinline__ void begin_kernel() {
  wait_for_primary();
  // Dependents start when every block of this kernel has started, so they take no place that one of them
  // needs. They do not start before the wait: some kernels of others load weights before they wait, and what
  // wrote those weights has then completed.
  launch_dependents();
}

}  // namespace kerncast
