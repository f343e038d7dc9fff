// A matrix product as kernels of Hopper do it: one warpgroup copies tiles by tensor maps, another multiplies
// them.

struct alignas(64) TensorMap {
  unsigned long long opaque[16];
};

constexpr int stages = 2;
constexpr int side = 64;  // of a tile, in rows, columns and along k
constexpr int tile_bytes = side * side * 2;

struct Shared {
  alignas(1024) unsigned char a[stages][tile_bytes];
  alignas(1024) unsigned char b[stages][tile_bytes];
  alignas(8) unsigned long long full[stages];
  alignas(8) unsigned long long empty[stages];
};

__device__ unsigned address_of(const void* at) {
  return static_cast<unsigned>(__cvta_generic_to_shared(at));
}

__device__ void wait(unsigned barrier, unsigned parity) {
  asm volatile(
      "{\n.reg .pred p;\nagain: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra again;\n}\n" ::
          "r"(barrier),
      "r"(parity)
      : "memory");
}

__device__ void load(unsigned to, const TensorMap& map, int x, int y, unsigned barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
      "%3}], [%4];" ::"r"(to),
      "l"(&map), "r"(x), "r"(y), "r"(barrier)
      : "memory");
}

__device__ void load_all(unsigned to, const TensorMap& map, int x, int y, unsigned barrier,
                         unsigned short blocks) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%0], [%1, "
      "{%2, %3}], [%4], %5;" ::"r"(to),
      "l"(&map), "r"(x), "r"(y), "r"(barrier), "h"(blocks)
      : "memory");
}

__device__ void arrive_at(unsigned barrier, unsigned rank) {
  asm volatile(
      "{\n.reg .b32 remote;\nmapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n}\n" ::"r"(barrier),
      "r"(rank)
      : "memory");
}

__device__ unsigned long long descriptor(unsigned at) {
  return (at & 0x3ffff) >> 4 | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

__device__ void multiply(float (&d)[32], unsigned long long a, unsigned long long b, int adds) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, "
      "%11, %12, "
      "%13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, "
      "%33, p, 1, "
      "1, 0, 0;\n}\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
        "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]),
        "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
        "+f"(d[30]), "+f"(d[31])
      : "l"(a), "l"(b), "r"(adds));
}

__device__ unsigned cluster_rank() {
  unsigned rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

__device__ void meet() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// d[m][n] of this block's tile is the sum over k of a[m][k] * b[n][k]. The blocks of a cluster have the same
// tile of b, of which each loads its share for all. `early`: the consumer frees a stage before it has waited
// for its products.
template <int Blocks, bool early>
__device__ void product(const TensorMap& a, const TensorMap& b, float* d, int n, int k) {
  extern __shared__ Shared tiles[];
  Shared& shared = tiles[0];
  const unsigned rank = Blocks == 1 ? 0 : cluster_rank();
  if (threadIdx.x == 0) {
    for (int s = 0; s < stages; ++s) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(address_of(&shared.full[s])) : "memory");
      asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address_of(&shared.empty[s])), "r"(Blocks)
                   : "memory");
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  if (Blocks > 1) {
    meet();
  } else {
    __syncthreads();
  }
  const int row = static_cast<int>(blockIdx.x) * side;
  const int column = static_cast<int>(blockIdx.y) * side;
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    if (threadIdx.x == 0) {
      for (int step = 0; step * side < k; ++step) {
        const int s = step % stages;
        const unsigned full = address_of(&shared.full[s]);
        wait(address_of(&shared.empty[s]), step / stages % 2 ^ 1);
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(full), "r"(2 * tile_bytes)
                     : "memory");
        load(address_of(shared.a[s]), a, step * side, row, full);
        if (Blocks == 1) {
          load(address_of(shared.b[s]), b, step * side, column, full);
        } else {
          const int share = side / Blocks;
          load_all(address_of(shared.b[s]) + rank * share * side * 2, b, step * side, column + rank * share,
                   full, (1 << Blocks) - 1);
        }
      }
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    float sums[32];
    for (int step = 0; step * side < k; ++step) {
      const int s = step % stages;
      wait(address_of(&shared.full[s]), step / stages % 2);
      asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
      for (int part = 0; part < 4; ++part) {
        multiply(sums, descriptor(address_of(shared.a[s]) + part * 32),
                 descriptor(address_of(shared.b[s]) + part * 32), step + part);
      }
      asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
      if (!early) {
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
      }
      asm volatile("bar.sync 1, 128;" ::: "memory");
      if (threadIdx.x % 128 < Blocks) {
        arrive_at(address_of(&shared.empty[s]), threadIdx.x % 128);
      }
      if (early) {
        __nanosleep(1000);
        asm volatile("bar.sync 1, 128;" ::: "memory");
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
      }
    }
    const int warp = threadIdx.x % 128 / 32;
    const int lane = threadIdx.x % 32;
    for (int i = 0; i < 32; ++i) {
      const int m = row + warp * 16 + lane / 4 + i / 2 % 2 * 8;
      d[m * n + column + i / 4 * 8 + lane % 4 * 2 + i % 2] = sums[i];
    }
  }
  if (Blocks > 1) {
    meet();
  }
}

extern "C" __global__ __launch_bounds__(256) void product_1(const __grid_constant__ TensorMap a,
                                                            const __grid_constant__ TensorMap b, float* d,
                                                            int n, int k) {
  product<1, false>(a, b, d, n, k);
}

extern "C" __global__ __launch_bounds__(256) void product_2(const __grid_constant__ TensorMap a,
                                                            const __grid_constant__ TensorMap b, float* d,
                                                            int n, int k) {
  product<2, false>(a, b, d, n, k);
}

extern "C" __global__ __launch_bounds__(256) void product_early(const __grid_constant__ TensorMap a,
                                                                const __grid_constant__ TensorMap b, float* d,
                                                                int n, int k) {
  product<1, true>(a, b, d, n, k);
}
