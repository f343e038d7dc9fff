#include <vector>

#include "check.cuh"

__device__ float scale = 2.0f;
__constant__ int table[4] = {1, 2, 3, 4};

template <class T>
__global__ void add(const T* a, const T* b, T* c, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    c[i] = a[i] * scale + b[i] + table[i & 3];
  }
}

int main() {
  const int n = 1000;
  const std::vector<float> a(n, 1.5f);
  const std::vector<float> b(n, 0.25f);
  std::vector<float> c(n);
  const std::size_t bytes = n * sizeof(float);
  float* device[3];
  for (float*& pointer : device) {
    CHECK(cudaMalloc(&pointer, bytes));
  }
  CHECK(cudaMemcpy(device[0], a.data(), bytes, cudaMemcpyHostToDevice));
  CHECK(cudaMemcpy(device[1], b.data(), bytes, cudaMemcpyDefault));
  const float three = 3.0f;
  CHECK(cudaMemcpyToSymbol(scale, &three, sizeof(three)));
  add<<<(n + 127) / 128, 128>>>(device[0], device[1], device[2], n);
  CHECK(cudaGetLastError());
  CHECK(cudaMemcpy(c.data(), device[2], bytes, cudaMemcpyDeviceToHost));
  for (int i = 0; i < n; ++i) {
    EXPECT(c[i] == 4.75f + 1 + (i & 3));
  }
  add<<<0, 128>>>(device[0], device[1], device[2], n);
  EXPECT(cudaGetLastError() == cudaErrorInvalidConfiguration);
  EXPECT(cudaGetLastError() == cudaSuccess);
  return 0;
}
