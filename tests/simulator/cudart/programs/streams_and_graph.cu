#include <vector>

#include "check.cuh"

__global__ void add(int* x, int value) {
  x[threadIdx.x] += value;
}

int main() {
  cudaStream_t streams[2];
  cudaEvent_t done;
  for (cudaStream_t& stream : streams) {
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  }
  CHECK(cudaEventCreate(&done));
  int* x = nullptr;
  CHECK(cudaMallocAsync(&x, 32 * sizeof(int), streams[0]));
  CHECK(cudaMemsetAsync(x, 0, 32 * sizeof(int), streams[0]));
  add<<<1, 32, 0, streams[0]>>>(x, 1);
  CHECK(cudaEventRecord(done, streams[0]));
  CHECK(cudaStreamWaitEvent(streams[1], done));
  add<<<1, 32, 0, streams[1]>>>(x, 2);
  CHECK(cudaStreamSynchronize(streams[1]));

  cudaGraph_t graph;
  cudaGraphExec_t executable;
  CHECK(cudaStreamBeginCapture(streams[0], cudaStreamCaptureModeGlobal));
  add<<<1, 32, 0, streams[0]>>>(x, 10);
  add<<<1, 32, 0, streams[0]>>>(x, 20);
  CHECK(cudaStreamEndCapture(streams[0], &graph));
  CHECK(cudaGraphInstantiate(&executable, graph));
  CHECK(cudaGraphLaunch(executable, streams[0]));
  CHECK(cudaGraphLaunch(executable, streams[0]));

  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = 1;
  config.blockDim = 32;
  config.stream = streams[0];
  config.attrs = &attribute;
  config.numAttrs = 1;
  CHECK(cudaLaunchKernelEx(&config, add, x, 100));
  std::vector<int> host(32);
  CHECK(cudaMemcpyAsync(host.data(), x, 32 * sizeof(int), cudaMemcpyDeviceToHost, streams[0]));
  CHECK(cudaStreamSynchronize(streams[0]));
  for (const int value : host) {
    EXPECT(value == 3 + 60 + 100);
  }
  CHECK(cudaFreeAsync(x, streams[0]));
  CHECK(cudaDeviceReset());
  return 0;
}
