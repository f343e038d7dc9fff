// Source of kernels.ptx: nvrtc --gpu-architecture=compute_80. Kernels whose PTX takes in what hand-written
// test PTX would not: the compiler's own idioms for divergence, calls, local memory, switches, asserts and
// prints.

extern "C" __global__ void switch_histogram(const int* x, int* y, unsigned long long* histogram, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) {
    return;
  }
  int v = x[i], r = 0;
  switch (v % 11) {
    case 0:
      r = v * 3;
      break;
    case 1:
      r = v ^ 77;
      break;
    case 2:
      for (int k = 0; k < v % 50; k++) {
        r += k * v;
      }
      break;
    case 3:
      r = v / 7;
      break;
    case 4:
      r = v % 13;
      break;
    case 5:
      r = __popc(v);
      break;
    case 6:
      r = __clz(v);
      break;
    case 7:
      r = v << 3;
      break;
    case 8:
      r = v >> 2;
      break;
    case 9:
      r = __brev(v);
      break;
    default:
      r = -v;
  }
  y[i] = r;
  atomicAdd(&histogram[v % 11], 1ull);
}

extern "C" __global__ void collatz(int* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) {
    return;
  }
  long long v = i + 1;
  int c = 0;
  while (v != 1) {
    v = (v & 1) ? 3 * v + 1 : v / 2;
    c++;
  }
  y[i] = c;
}

__device__ __noinline__ double series(double x, int d) {
  if (d <= 0) {
    return 1;
  }
  return 1 + x * series(x, d - 1) / d;
}
extern "C" __global__ void recursion(const double* x, double* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    y[i] = series(x[i], 10 + (i & 3)) + sqrt(x[i]);
  }
}

extern "C" __global__ void spin_lock(int* lock, int* count) {
  bool done = false;
  while (!done) {
    if (atomicCAS(lock, 0, 1) == 0) {
      *(volatile int*)count = *(volatile int*)count + 1;
      __threadfence();
      atomicExch(lock, 0);
      done = true;
    }
  }
}

extern "C" __global__ void grid_barrier(unsigned* arrived, int* out) {
  out[blockIdx.x] = blockIdx.x;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    atomicAdd(arrived, 1);
    while (*(volatile unsigned*)arrived < gridDim.x);
  }
  __syncthreads();
  int s = 0;
  for (int b = threadIdx.x; b < gridDim.x; b += blockDim.x) {
    s += ((volatile int*)out)[b];
  }
  for (int o = 16; o; o >>= 1) {
    s += __shfl_down_sync(~0u, s, o);
  }
  if (threadIdx.x == 0) {
    out[gridDim.x + blockIdx.x] = s;
  }
}

extern __shared__ int dynamic[];
extern "C" __global__ void shared_both(int* y) {
  __shared__ int fixed[3];
  if (threadIdx.x < 3) {
    fixed[threadIdx.x] = threadIdx.x * 100;
  }
  dynamic[threadIdx.x] = threadIdx.x;
  __syncthreads();
  y[blockIdx.x * blockDim.x + threadIdx.x] = dynamic[blockDim.x - 1 - threadIdx.x] + fixed[threadIdx.x % 3];
}

struct Table {
  int a[20];
  float f;
};
extern "C" __global__ void grid_constant(const __grid_constant__ Table t, int* y) {
  y[threadIdx.x] = t.a[threadIdx.x % 20];
}

__constant__ int constants[4] = {5, 6, 7, 8};
__device__ int variable = 42;
__device__ int* pointer = &variable;
extern "C" __global__ void module_variables(int* y) {
  y[threadIdx.x] = constants[threadIdx.x & 3] + *pointer;
}

extern "C" __global__ void local_array(int* y, int n) {
  int a[32];
  for (int i = 0; i < 32; i++) {
    a[i] = i * threadIdx.x;
  }
  int s = 0;
  for (int i = 0; i < n; i++) {
    s += a[(i * 7 + threadIdx.x) & 31];
  }
  y[threadIdx.x] = s;
}

extern "C" __global__ void print(int x) {
  if (threadIdx.x == 1) {
    printf("printed %d %s %.2f %lld|\n", x, "text", 1.5, 1234567890123ll);
  }
}

extern "C" __global__ void assertion(int x) {
  if ((int)threadIdx.x == x) {
    __assertfail("x is small", "file.cu", 77, "assertion", 1);
  }
}
