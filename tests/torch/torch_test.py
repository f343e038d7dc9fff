"""What torch does on the virtual GPU, without a kernel of its own: its kernels are device binaries, which the virtual GPU
does not run. Run by run.sh, with two devices.
"""

import ctypes
import unittest

import torch

PTX = b"""
.version 8.0
.target sm_75
.address_size 64
.visible .entry add_one(.param .u64 p_x, .param .u32 p_n)
{
  .reg .pred %p;
  .reg .f32 %f;
  .reg .b32 %r<3>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [p_x];
  ld.param.u32 %r1, [p_n];
  mov.u32 %r2, %tid.x;
  setp.ge.u32 %p, %r2, %r1;
  @%p bra DONE;
  mul.wide.u32 %rd2, %r2, 4;
  add.s64 %rd1, %rd1, %rd2;
  ld.global.f32 %f, [%rd1];
  add.f32 %f, %f, 0f3f800000;
  st.global.f32 [%rd1], %f;
DONE:
  ret;
}
"""


class OwnKernel:
    """A kernel that is launched through the Driver API on torch's memory and stream."""

    def __init__(self):
        torch.cuda.current_stream()
        self.driver = ctypes.CDLL("libcuda.so.1")
        module = ctypes.c_void_p()
        self.function = ctypes.c_void_p()
        assert self.driver.cuModuleLoadData(ctypes.byref(module), PTX) == 0
        assert self.driver.cuModuleGetFunction(ctypes.byref(self.function), module, b"add_one") == 0

    def __call__(self, x):
        pointer = ctypes.c_void_p(x.data_ptr())
        count = ctypes.c_uint(x.numel())
        arguments = (ctypes.c_void_p * 2)(ctypes.addressof(pointer), ctypes.addressof(count))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        result = self.driver.cuLaunchKernel(self.function, 1, 1, 1, 128, 1, 1, 0, stream, arguments, None)
        assert result == 0, result


class TorchTest(unittest.TestCase):
    def setUp(self):
        self.host = torch.arange(100.0)

    def on_device(self, device="cuda"):
        return torch.empty(100, device=device).copy_(self.host)

    def assertSame(self, tensor, expected):
        self.assertTrue(torch.equal(tensor.cpu(), expected))

    def test_devices(self):
        self.assertTrue(torch.cuda.is_available())
        self.assertEqual(torch.cuda.device_count(), 2)
        self.assertIn("virtual GPU", torch.cuda.get_device_name(0))
        self.assertEqual(torch.cuda.get_device_capability(0), (9, 0))
        free, total = torch.cuda.mem_get_info()
        self.assertLessEqual(free, total)
        self.assertTrue(torch.cuda.can_device_access_peer(0, 1))

    def test_copies(self):
        x = self.on_device()
        self.assertSame(x, self.host)
        self.assertSame(x.clone(), self.host)
        self.assertSame(self.host.cuda().view(10, 10)[3], self.host[30:40])
        self.assertSame(torch.zeros(100, device="cuda"), torch.zeros(100))
        self.assertEqual(x[7].item(), 7)
        pinned = torch.empty(100, pin_memory=True)
        self.assertTrue(pinned.is_pinned())
        pinned.copy_(x, non_blocking=True)
        torch.cuda.synchronize()
        self.assertSame(pinned, self.host)

    def test_two_devices(self):
        x = self.on_device("cuda:1")
        self.assertEqual(x.device.index, 1)
        self.assertSame(x.to("cuda:0"), self.host)

    def test_streams_and_events(self):
        stream = torch.cuda.Stream()
        begin = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        x = self.on_device()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            begin.record()
            y = x.clone()
            end.record()
        end.synchronize()
        self.assertTrue(stream.query())
        self.assertGreaterEqual(begin.elapsed_time(end), 0)
        self.assertSame(y, self.host)

    def test_own_kernel(self):
        kernel = OwnKernel()
        stream = torch.cuda.Stream()
        x = self.on_device()
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            kernel(x)
        stream.synchronize()
        self.assertSame(x, self.host + 1)

    def test_graph(self):
        kernel = OwnKernel()
        source = torch.zeros(100, device="cuda")
        result = torch.zeros(100, device="cuda")
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result.copy_(source)
            kernel(result)
        source.copy_(self.host)
        for _ in range(2):
            graph.replay()
        torch.cuda.synchronize()
        self.assertSame(result, self.host + 1)

    def test_kernels_of_torch_are_refused_by_name(self):
        with self.assertRaisesRegex(Exception, "no kernel image .*kernel _Z"):
            torch.ones(4, device="cuda")
        self.assertSame(self.on_device(), self.host)

    def test_out_of_memory(self):
        with self.assertRaises(torch.OutOfMemoryError):
            torch.empty(1 << 50, device="cuda", dtype=torch.uint8)
        self.assertSame(self.on_device(), self.host)


if __name__ == "__main__":
    unittest.main()
