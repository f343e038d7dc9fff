// Blocks and grids that work together through the libraries of the toolkit.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cub/block/block_merge_sort.cuh>
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_scan.cuh>
#include <cuda/atomic>
#include <cuda/barrier>
#include <cuda/pipeline>

namespace cg = cooperative_groups;

// x holds two rows of n; every round replaces each element by the sum of it and its right neighbour.
extern "C" __global__ void grid_rounds(int* x, int n, int rounds) {
  cg::grid_group grid = cg::this_grid();
  const int i = static_cast<int>(grid.thread_rank());
  for (int r = 0; r < rounds; ++r) {
    const int* from = x + (r & 1) * n;
    if (i < n) {
      x[(~r & 1) * n + i] = __ldcg(from + i) + __ldcg(from + (i + 1) % n);
    }
    grid.sync();
  }
}

extern "C" __global__ void staged(int* y, const int* x, int n) {
  cg::thread_block block = cg::this_thread_block();
  __shared__ int buffer[2][128];
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
  auto pipeline = cuda::make_pipeline(block, &state);
  int next = 0;
  int sum = 0;
  for (int i = 0; i < n / 128; ++i) {
    for (; next < n / 128 && next < i + 2; ++next) {
      pipeline.producer_acquire();
      cuda::memcpy_async(block, buffer[next % 2], x + next * 128, sizeof(buffer[0]), pipeline);
      pipeline.producer_commit();
    }
    pipeline.consumer_wait();
    sum += buffer[i % 2][threadIdx.x * 7 % 128];
    pipeline.consumer_release();
  }
  y[threadIdx.x] = sum;
}

extern "C" __global__ void mirrored(int* y, const int* x, int n) {
  __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
  __shared__ int shared[128];
  if (threadIdx.x == 0) {
    init(&barrier, blockDim.x);
  }
  __syncthreads();
  for (int round = 0; round < n / 128; ++round) {
    shared[threadIdx.x] = x[round * 128 + threadIdx.x];
    auto token = barrier.arrive();
    barrier.wait(std::move(token));
    y[round * 128 + threadIdx.x] = shared[127 - threadIdx.x];
    barrier.arrive_and_wait();
  }
}

extern "C" __global__ void grouped(int* y, const int* x, int n) {
  cg::thread_block_tile<32> warp = cg::tiled_partition<32>(cg::this_thread_block());
  cg::thread_block_tile<4> quad = cg::tiled_partition<4>(warp);
  const int t = static_cast<int>(threadIdx.x);
  const int v = x[t];
  y[t] = cg::reduce(warp, v, cg::plus<int>());
  y[n + t] = cg::inclusive_scan(quad, v);
  y[2 * n + t] = static_cast<int>(cg::labeled_partition(warp, v % 3).size());
}

extern "C" __global__ void sorted(unsigned* keys, int* values) {
  using Sort = cub::BlockRadixSort<unsigned, 128, 4, int>;
  __shared__ Sort::TempStorage storage;
  unsigned key[4];
  int value[4];
  for (int i = 0; i < 4; ++i) {
    key[i] = keys[threadIdx.x * 4 + i];
    value[i] = values[threadIdx.x * 4 + i];
  }
  Sort(storage).Sort(key, value);
  for (int i = 0; i < 4; ++i) {
    keys[threadIdx.x * 4 + i] = key[i];
    values[threadIdx.x * 4 + i] = value[i];
  }
}

struct Less {
  __device__ bool operator()(unsigned a, unsigned b) const { return a < b; }
};

extern "C" __global__ void merged(unsigned* keys) {
  using Sort = cub::BlockMergeSort<unsigned, 128, 4>;
  __shared__ Sort::TempStorage storage;
  unsigned key[4];
  for (int i = 0; i < 4; ++i) {
    key[i] = keys[threadIdx.x * 4 + i];
  }
  Sort(storage).Sort(key, Less());
  for (int i = 0; i < 4; ++i) {
    keys[threadIdx.x * 4 + i] = key[i];
  }
}

extern "C" __global__ void scanned(int* y, const int* x, int n) {
  using Scan = cub::BlockScan<int, 128>;
  __shared__ Scan::TempStorage storage;
  int v = static_cast<int>(threadIdx.x) < n ? x[threadIdx.x] : 0;
  Scan(storage).InclusiveSum(v, v);
  y[threadIdx.x] = v;
}

extern "C" __global__ void locked(int* lock, int* counter, unsigned long long* sum) {
  cuda::atomic_ref<int, cuda::thread_scope_device> mutex(*lock);
  if (threadIdx.x % 32 == 0) {
    while (mutex.exchange(1, cuda::memory_order_acquire) != 0) {
      __nanosleep(20);
    }
    *counter = *static_cast<volatile int*>(counter) + 1;
    mutex.store(0, cuda::memory_order_release);
  }
  cuda::atomic_ref<unsigned long long, cuda::thread_scope_system> total(*sum);
  total.fetch_add(0x100000001ULL, cuda::memory_order_relaxed);
}
