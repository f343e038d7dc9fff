// Atomics of every type and operation: all threads of a block work on the same few places.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

extern "C" __global__ void integers(int* s, unsigned* u, unsigned long long* l, const int* a, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= n) {
    return;
  }
  const int v = a[i];
  atomicAdd(&s[0], v);
  atomicSub(&s[1], v);
  atomicMin(&s[2], v);
  atomicMax(&s[3], v);
  atomicAnd(&s[4], v);
  atomicOr(&s[5], v);
  atomicXor(&s[6], v);
  atomicExch(&s[7], 17);
  atomicMin(&u[0], static_cast<unsigned>(v));
  atomicMax(&u[1], static_cast<unsigned>(v));
  atomicInc(&u[2], 9u);
  atomicDec(&u[3], 9u);
  atomicAdd_block(&u[4], 1u);
  atomicAdd_system(&u[5], 2u);
  atomicAdd(&l[0], static_cast<unsigned long long>(static_cast<long long>(v)));
  atomicMin(&l[1], static_cast<unsigned long long>(static_cast<long long>(v)));
  atomicMax(reinterpret_cast<long long*>(&l[2]), static_cast<long long>(v));
  atomicXor(&l[3], static_cast<unsigned long long>(v) << 20);
  unsigned long long seen = l[4];
  for (;;) {
    const unsigned long long before = atomicCAS(&l[4], seen, seen + 3);
    if (before == seen) {
      break;
    }
    seen = before;
  }
  unsigned short* half = reinterpret_cast<unsigned short*>(&l[5]);
  for (unsigned short old = *half;;) {
    const unsigned short before = atomicCAS(half, old, static_cast<unsigned short>(old + 1));
    if (before == old) {
      break;
    }
    old = before;
  }
}

extern "C" __global__ void floats(float* f, double* d, __half* h, __nv_bfloat16* b, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= n) {
    return;
  }
  atomicAdd(&f[0], 0.5f);
  atomicAdd(&d[0], 0.25);
  atomicAdd(&h[0], __float2half(1.0f));
  atomicAdd(reinterpret_cast<__half2*>(&h[2]), __floats2half2_rn(1.0f, 2.0f));
  atomicAdd(&b[0], __float2bfloat16(1.0f));
  atomicAdd(reinterpret_cast<__nv_bfloat162*>(&b[2]), __floats2bfloat162_rn(1.0f, 2.0f));
#if __CUDA_ARCH__ >= 900
  atomicAdd(reinterpret_cast<float2*>(&f[2]), make_float2(1.0f, 2.0f));
  atomicAdd(reinterpret_cast<float4*>(&f[4]), make_float4(1.0f, 2.0f, 3.0f, 4.0f));
#endif
}

extern "C" __global__ void shared_counts(unsigned* d, const unsigned char* a, int n) {
  __shared__ unsigned bins[256];
  for (unsigned k = threadIdx.x; k < 256; k += blockDim.x) {
    bins[k] = 0;
  }
  __syncthreads();
  for (int k = static_cast<int>(threadIdx.x); k < n; k += static_cast<int>(blockDim.x)) {
    atomicAdd(&bins[a[k]], 1u);
  }
  __syncthreads();
  for (unsigned k = threadIdx.x; k < 256; k += blockDim.x) {
    d[k] = bins[k];
  }
}
