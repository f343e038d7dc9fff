// Control flow and memory that ordinary kernels use: switches, recursion, indirect calls, local arrays,
// tables.
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

__constant__ int table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
__device__ int counter = 5;
__device__ const char text[] = "tables";

extern "C" __global__ void switches(int* d, const int* a, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) {
    return;
  }
  int r = a[i];
  switch (r) {
    case 0:
      r = d[i] * 3 + 1;
      break;
    case 1:
      r = d[i] ^ 55;
      break;
    case 2:
      r = d[i] - 9;
      break;
    case 3:
      r = d[i] / 3;
      break;
    case 4:
      r = d[i] % 7;
      break;
    case 5:
      r = d[i] << 2;
      break;
    case 6:
      r = ~d[i];
      break;
    case 7:
      r = d[i] >> 1;
      break;
    case 8:
      r = d[i] * d[i];
      break;
    default:
      r = -1;
      break;
  }
  d[i] = r;
}

__device__ __noinline__ int fibonacci(int n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

extern "C" __global__ void recursion(int* d, const int* a, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < n) {
    d[i] = fibonacci(a[i]);
  }
}

__device__ __noinline__ int twice(int x) {
  return 2 * x;
}
__device__ __noinline__ int square(int x) {
  return x * x;
}
__device__ __noinline__ int negate(int x) {
  return -x;
}
typedef int (*Function)(int);
__device__ Function functions[3] = {twice, square, negate};

extern "C" __global__ void pointers(int* d, const int* a, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < n) {
    d[i] = functions[a[i] % 3](a[i]);
  }
}

struct Shape {
  __device__ virtual int area(int x) const { return x; }
};
struct Square : Shape {
  __device__ int area(int x) const override { return x * x; }
};
struct Cube : Shape {
  int sides;
  __device__ explicit Cube(int s) : sides(s) {}
  __device__ int area(int x) const override { return sides * x * x; }
};

extern "C" __global__ void virtuals(int* d, const int* a, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= n) {
    return;
  }
  Shape plain;
  Square square_shape;
  Cube cube(6);
  const Shape* shapes[3] = {&plain, &square_shape, &cube};
  d[i] = shapes[a[i] % 3]->area(a[i]);
}

extern "C" __global__ void locals(int* d, const int* a, int n) {
  const int i = static_cast<int>(threadIdx.x);
  int stack[64];
  for (int k = 0; k < 64; ++k) {
    stack[k] = k * i;
  }
  for (int k = 0; k < n; ++k) {
    stack[a[k] & 63] += stack[(a[k] + k) & 63];
  }
  int sum = 0;
  for (int k = 0; k < 64; ++k) {
    sum = sum * 31 + stack[k];
  }
  d[i] = sum;
}

extern "C" __global__ void constants(int* d, const int* a, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < n) {
    d[i] = table[a[i] & 7] + text[a[i] % 6] + counter;
  }
}

extern "C" __global__ void groups(int* d, const int* a, int n) {
  extern __shared__ int shared[];
  cg::thread_block block = cg::this_thread_block();
  cg::thread_block_tile<32> warp = cg::tiled_partition<32>(block);
  const int i = static_cast<int>(block.thread_rank());
  int sum = i < n ? a[i] : 0;
  for (int offset = static_cast<int>(warp.size()) / 2; offset > 0; offset /= 2) {
    sum += warp.shfl_down(sum, offset);
  }
  if (warp.thread_rank() == 0) {
    shared[warp.meta_group_rank()] = sum;
  }
  block.sync();
  int total = 0;
  for (unsigned k = 0; k < warp.meta_group_size(); ++k) {
    total += shared[k];
  }
  cg::coalesced_group active = cg::coalesced_threads();
  d[i] = total + static_cast<int>(active.size()) + static_cast<int>(warp.any(i == 40));
}

extern "C" __global__ void groups_small(int* d, const int* a, int n) {
  cg::thread_block block = cg::this_thread_block();
  cg::thread_block_tile<8> tile = cg::tiled_partition<8>(block);
  const int i = static_cast<int>(block.thread_rank());
  int v = i < n ? a[i] : 0;
  if (v % 2 == 0) {
    cg::coalesced_group even = cg::coalesced_threads();
    v = even.shfl(v, 0) + static_cast<int>(even.thread_rank());
  }
  tile.sync();
  d[i] = v + tile.shfl_xor(i, 3);
}

extern "C" __global__ void prints(int* d, const int* a, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < n) {
    printf("%d: %d %s %5.2f\n", i, a[i], "text", 0.5 * a[i]);
    assert(a[i] >= 0);
    d[i] = 1;
  }
}

extern "C" __global__ void wide(unsigned long long* d, const unsigned long long* a, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < n) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a[i]) * a[(i + 1) % n] + a[i];
    const unsigned __int128 quotient = product / (a[i] % 1000 + 1);
    d[3 * i] = static_cast<unsigned long long>(product >> 64) ^ __umul64hi(a[i], a[i]);
    d[3 * i + 1] = static_cast<unsigned long long>(quotient) + __brevll(a[i]) + __popcll(a[i]) +
                   __clzll(a[i]) + __ffsll(a[i]);
    d[3 * i + 2] = static_cast<unsigned long long>(quotient >> 64) + a[i] / 7 + a[i] % 1000003;
  }
}

extern "C" __global__ void simd(unsigned* d, const unsigned* a, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < n) {
    const unsigned x = a[i];
    const unsigned y = a[(i + 1) % n];
    unsigned r = __vadd4(x, y);
    r = r * 31 + __vsub4(x, y);
    r = r * 31 + __vabsdiffu4(x, y);
    r = r * 31 + __vmaxs4(x, y);
    r = r * 31 + __vminu2(x, y);
    r = r * 31 + __vavgu4(x, y);
    r = r * 31 + __vcmpgts4(x, y);
    r = r * 31 + __vsadu4(x, y);
    r = r * 31 + __vaddss2(x, y);
    r = r * 31 + __vsetgeu4(x, y);
    r = r * 31 + __byte_perm(x, y, 0x2615);
    r = r * 31 + __funnelshift_l(x, y, 7) + __funnelshift_rc(x, y, 40);
    r = r * 31 + static_cast<unsigned>(__dp4a(static_cast<int>(x), static_cast<int>(y), 5)) +
        __sad(static_cast<int>(x), static_cast<int>(y), 3u);
    r = r * 31 + __usad(x, y, 9) + __umulhi(x, y) +
        static_cast<unsigned>(__mulhi(static_cast<int>(x), static_cast<int>(y)));
    r = r * 31 + __mul24(static_cast<int>(x), static_cast<int>(y)) + __umul24(x, y) +
        __rhadd(static_cast<int>(x), static_cast<int>(y)) + __uhadd(x, y);
    d[i] = r;
  }
}
