"""The Python package with torch's tensors. tests/torch/run.sh runs it on the virtual GPU if the package is built."""

import unittest

import torch

import kerncast

EPS = 1e-5


def rms_norm(x, weight):
    """The formula in single precision, on the host."""
    x, weight = x.cpu().float(), weight.cpu().float()
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS) * weight


class TorchTest(unittest.TestCase):
    """Each test makes its own tensors; torch's kernels do not run on the virtual GPU, so the host compares."""

    def setUp(self):
        torch.manual_seed(1)
        self.x = torch.randn(16, 4096).cuda()
        self.weight = torch.randn(4096).cuda()

    def near(self, made, wanted, tolerance):
        self.assertLessEqual((made.cpu().float() - wanted).abs().max().item(), tolerance)

    def test_output_is_torchs(self):
        y = kerncast.norm.rms_norm(self.x, self.weight, eps=EPS)
        self.assertIs(type(y), torch.Tensor)
        self.assertEqual((y.shape, y.dtype, y.device), (self.x.shape, self.x.dtype, self.x.device))
        self.near(y, rms_norm(self.x, self.weight), 1e-5)

    def test_given_output_and_bf16(self):
        x, weight = self.x.cpu().bfloat16().cuda(), self.weight.cpu().bfloat16().cuda()
        out = torch.empty_like(x)
        out.zero_()
        self.assertIs(kerncast.norm.rms_norm(x, weight, eps=EPS, out=out), out)
        wanted = rms_norm(x, weight)
        self.near(out, wanted, wanted.abs().max().item() / 128)

    def test_strided_view(self):
        x, weight = self.x[:, :2048], self.weight[:2048]
        wanted = rms_norm(self.x.cpu()[:, :2048], weight)
        self.near(kerncast.norm.rms_norm(x, weight, eps=EPS), wanted, 1e-5)

    def test_current_stream(self):
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            y = kerncast.norm.rms_norm(self.x, self.weight, eps=EPS)
        stream.synchronize()
        self.near(y, rms_norm(self.x, self.weight), 1e-5)

    def test_graph(self):
        out = torch.empty_like(self.x)
        kerncast.norm.rms_norm(self.x, self.weight, eps=EPS, out=out)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            kerncast.norm.rms_norm(self.x, self.weight, eps=EPS, out=out)
        out.zero_()
        graph.replay()
        torch.cuda.synchronize()
        self.near(out, rms_norm(self.x, self.weight), 1e-5)

    def test_prepared(self):
        out = torch.empty_like(self.x)
        handle = kerncast.prepare("norm.rms_norm", self.x, self.weight, eps=EPS, out=out)
        out.zero_()
        handle()
        torch.cuda.synchronize()
        self.near(out, rms_norm(self.x, self.weight), 1e-5)

    def test_bad_shape(self):
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, r"'weight' has shape \[5\]"):
            kerncast.norm.rms_norm(self.x, self.weight[:5], eps=EPS)

    def test_host_memory(self):
        with self.assertRaises(kerncast.KerncastError):
            kerncast.norm.rms_norm(self.x.cpu(), self.weight, eps=EPS)


if __name__ == "__main__":
    unittest.main()
