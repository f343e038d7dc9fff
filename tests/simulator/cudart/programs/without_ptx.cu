#include <cstring>

#include "check.cuh"

__global__ void only_a_binary() {}

// Compiled for a binary alone: the launch fails with a text that names the kernel, and the program goes on.
int main() {
  only_a_binary<<<1, 1>>>();
  const cudaError_t error = cudaGetLastError();
  EXPECT(error == cudaErrorNoKernelImageForDevice);
  EXPECT(std::strstr(cudaGetErrorString(error), "only_a_binary") != nullptr);
  void* pointer = nullptr;
  CHECK(cudaMalloc(&pointer, 64));
  CHECK(cudaMemset(pointer, 0, 64));
  return 0;
}
