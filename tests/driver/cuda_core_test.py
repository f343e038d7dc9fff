"""Runs programs of cuda.core, unmodified, on the virtual GPU placed on the library path as libcuda.so.1."""

import sys

import numpy as np
from cuda.core import (
    Device,
    EventOptions,
    LaunchConfig,
    LegacyPinnedMemoryResource,
    Program,
    ProgramOptions,
    launch,
)

KERNELS = r"""
extern "C" __global__ void add(const float* a, const float* b, float* sum, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    sum[i] = a[i] + b[i];
  }
}

extern "C" __global__ void scale(float* x, float factor, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    x[i] *= factor;
  }
}

// One sum of each block's elements; the shared memory is given at launch.
extern "C" __global__ void block_sums(const int* x, int* sums, unsigned n) {
  extern __shared__ int partial[];
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  partial[threadIdx.x] = i < n ? x[i] : 0;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      partial[threadIdx.x] += partial[threadIdx.x + half];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = partial[0];
  }
}

template <class T, int Tile>
__global__ void matrix_product(const T* a, const T* b, T* c, int n) {
  __shared__ T a_tile[Tile][Tile];
  __shared__ T b_tile[Tile][Tile];
  const int row = blockIdx.y * Tile + threadIdx.y;
  const int column = blockIdx.x * Tile + threadIdx.x;
  T sum = 0;
  for (int k = 0; k < n; k += Tile) {
    a_tile[threadIdx.y][threadIdx.x] = a[row * n + k + threadIdx.x];
    b_tile[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * n + column];
    __syncthreads();
    for (int i = 0; i < Tile; ++i) {
      sum += a_tile[threadIdx.y][i] * b_tile[i][threadIdx.x];
    }
    __syncthreads();
  }
  c[row * n + column] = sum;
}
"""

PRODUCT = "matrix_product<double, 16>"


class Fixture:
    """One device, its kernels and pinned arrays that both sides see."""

    def __init__(self):
        self.device = Device(0)
        self.device.set_current()
        options = ProgramOptions(std="c++17", arch=f"sm_{self.device.arch}")
        code = Program(KERNELS, code_type="c++", options=options).compile("ptx", name_expressions=(PRODUCT,))
        assert code.code_type == "ptx"
        self.code = code
        self.pinned = LegacyPinnedMemoryResource()
        self.buffers = []

    def kernel(self, name):
        return self.code.get_kernel(name)

    def array(self, values):
        """Pinned memory as a numpy array that holds `values`."""
        values = np.ascontiguousarray(values)
        buffer = self.pinned.allocate(values.nbytes)
        self.buffers.append(buffer)
        array = np.from_dlpack(buffer).view(dtype=values.dtype).reshape(values.shape)
        array[...] = values
        return array

    def on_device(self, stream, values):
        """A device buffer that holds `values` once the stream has come there."""
        host = self.array(values)
        buffer = self.device.allocate(host.nbytes, stream=stream)
        buffer.copy_from(self.host_buffer(host), stream=stream)
        return buffer

    def host_buffer(self, array):
        return next(b for b in self.buffers if int(b.handle) == array.ctypes.data)

    def from_device(self, stream, buffer, like):
        host = self.array(np.zeros_like(like))
        buffer.copy_to(self.host_buffer(host), stream=stream)
        stream.sync()
        return host


def check_device(f):
    properties = f.device.properties
    assert "virtual GPU" in f.device.name
    assert properties.warp_size == 32
    assert properties.max_threads_per_block == 1024
    assert properties.multiprocessor_count > 0
    assert f.device.compute_capability.major * 10 + f.device.compute_capability.minor >= 75


def check_vector_add(f):
    n = 10_007
    a = np.arange(n, dtype=np.float32)
    b = np.linspace(-3, 5, n, dtype=np.float32)
    stream = f.device.create_stream()
    on_a, on_b = f.on_device(stream, a), f.on_device(stream, b)
    out = f.device.allocate(a.nbytes, stream=stream)
    launch(stream, LaunchConfig(grid=(n + 255) // 256, block=256), f.kernel("add"), on_a, on_b, out, np.uint32(n))
    np.testing.assert_array_equal(f.from_device(stream, out, a), a + b)
    for buffer in (on_a, on_b, out):
        buffer.close(stream)
    stream.close()


def check_reduction(f):
    n, block = 5_000, 256
    x = np.random.default_rng(1).integers(-1000, 1000, n, dtype=np.int32)
    blocks = (n + block - 1) // block
    stream = f.device.create_stream()
    on_x = f.on_device(stream, x)
    sums = f.device.allocate(4 * blocks, stream=stream)
    config = LaunchConfig(grid=blocks, block=block, shmem_size=4 * block)
    launch(stream, config, f.kernel("block_sums"), on_x, sums, np.uint32(n))
    expected = np.add.reduceat(x, np.arange(0, n, block))
    np.testing.assert_array_equal(f.from_device(stream, sums, expected.astype(np.int32)), expected)


def check_matrix_product(f):
    n = 64
    rng = np.random.default_rng(2)
    # Small whole numbers, so that sums are exact in any order.
    a = rng.integers(-8, 8, (n, n)).astype(np.float64)
    b = rng.integers(-8, 8, (n, n)).astype(np.float64)
    stream = f.device.create_stream()
    on_a, on_b = f.on_device(stream, a), f.on_device(stream, b)
    out = f.device.allocate(a.nbytes, stream=stream)
    config = LaunchConfig(grid=(n // 16, n // 16), block=(16, 16))
    launch(stream, config, f.kernel(PRODUCT), on_a, on_b, out, np.int32(n))
    np.testing.assert_array_equal(f.from_device(stream, out, a), a @ b)


def check_streams_and_events(f):
    n = 4096
    first, second = f.device.create_stream(), f.device.create_stream()
    assert first != second
    x = f.on_device(first, np.ones(n, dtype=np.float32))
    config = LaunchConfig(grid=n // 256, block=256)
    timed = EventOptions(timing_enabled=True)
    start = first.record(options=timed)
    for _ in range(10):
        launch(first, config, f.kernel("scale"), x, np.float32(2), np.uint32(n))
    end = first.record(options=timed)
    second.wait(end)
    launch(second, config, f.kernel("scale"), x, np.float32(3), np.uint32(n))
    np.testing.assert_array_equal(
        f.from_device(second, x, np.ones(n, dtype=np.float32)), np.full(n, 3 * 1024, dtype=np.float32)
    )
    end.sync()
    assert end.is_done
    assert end - start > 0


def check_graph(f):
    n = 1024
    stream = f.device.create_stream()
    x = f.on_device(stream, np.ones(n, dtype=np.float32))
    y = f.on_device(stream, np.ones(n, dtype=np.float32))
    total = f.on_device(stream, np.zeros(n, dtype=np.float32))
    stream.sync()
    config = LaunchConfig(grid=n // 256, block=256)
    builder = f.device.create_graph_builder().begin_building()
    launch(builder, config, f.kernel("scale"), x, np.float32(2), np.uint32(n))
    left, right = builder.split(2)
    launch(left, config, f.kernel("scale"), x, np.float32(5), np.uint32(n))
    launch(right, config, f.kernel("scale"), y, np.float32(3), np.uint32(n))
    joined = left.join(left, right)
    launch(joined, config, f.kernel("add"), x, y, total, np.uint32(n))
    graph = joined.end_building().complete()
    np.testing.assert_array_equal(f.from_device(stream, total, np.zeros(n, np.float32)), np.zeros(n, np.float32))
    graph.upload(stream)
    for repeat in (1, 2):
        graph.launch(stream)
        expected = np.full(n, 10.0**repeat + 3.0**repeat, dtype=np.float32)
        np.testing.assert_array_equal(f.from_device(stream, total, expected), expected)
    graph.close()


def main():
    f = Fixture()
    for check in (
        check_device,
        check_vector_add,
        check_reduction,
        check_matrix_product,
        check_streams_and_events,
        check_graph,
    ):
        check(f)
        print(f"{check.__name__}: passed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
