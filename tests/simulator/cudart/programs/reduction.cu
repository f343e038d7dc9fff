#include <vector>

#include "check.cuh"

__global__ void sum(const float* x, float* out, int n) {
  extern __shared__ float part[];
  float mine = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    mine += x[i];
  }
  part[threadIdx.x] = mine;
  __syncthreads();
  for (unsigned int width = blockDim.x / 2; width > 0; width /= 2) {
    if (threadIdx.x < width) {
      part[threadIdx.x] += part[threadIdx.x + width];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    *out = part[0];
  }
}

int main() {
  const int n = 10000;
  const std::vector<float> x(n, 0.5f);
  float* values = nullptr;
  float* result = nullptr;
  CHECK(cudaMalloc(&values, n * sizeof(float)));
  CHECK(cudaMallocManaged(&result, sizeof(float)));
  CHECK(cudaMemcpy(values, x.data(), n * sizeof(float), cudaMemcpyHostToDevice));
  const int shared = 64 * 1024;
  CHECK(cudaFuncSetAttribute(sum, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  int blocks = 0;
  CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, sum, 256, shared));
  EXPECT(blocks > 0);
  int grid = 0;
  int block = 0;
  CHECK(cudaOccupancyMaxPotentialBlockSize(&grid, &block, sum));
  EXPECT(block >= 256);
  sum<<<1, 256, shared>>>(values, result, n);
  CHECK(cudaDeviceSynchronize());
  EXPECT(*result == 5000);
  return 0;
}
