"""Tests of the Python package on the virtual GPU. They need NumPy; the package is found by PYTHONPATH."""

import concurrent.futures
import gc
import inspect
import os
import subprocess
import sys
import unittest

import numpy as np

import kerncast
import kerncast.norm
from kerncast.norm import rms_norm


def random(*shape):
    """Floats around 0 that are the same in every run."""
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


def rms(x, weight, eps=1e-6):
    """The root-mean-square norm in double precision."""
    x = x.astype(np.float64)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


class Producer:
    """A tensor of another library, which knows DLPack by its methods alone."""

    def __init__(self, tensor, device_type=2):
        self.tensor = tensor
        self.device_type = device_type
        self.streams = []

    def __dlpack__(self, stream=None):
        self.streams.append(stream)
        return self.tensor.__dlpack__(stream=stream)

    def __dlpack_device__(self):
        return (self.device_type, 0)


class Ops(unittest.TestCase):
    """Each family by one op, against NumPy."""

    def test_norm(self):
        x, weight = random(5, 96), random(96)
        y = rms_norm(kerncast.from_numpy(x), kerncast.from_numpy(weight), eps=1e-5)
        np.testing.assert_allclose(y.numpy(), rms(x, weight, 1e-5), rtol=1e-5)

    def test_activation(self):
        x = random(3, 64)
        y = kerncast.activation.silu_and_mul(kerncast.from_numpy(x))
        gate, up = x[:, :32].astype(np.float64), x[:, 32:]
        np.testing.assert_allclose(y.numpy(), gate / (1 + np.exp(-gate)) * up, rtol=1e-5, atol=1e-6)

    def test_moe(self):
        logits = random(4, 16)
        weights, ids = kerncast.moe.topk_softmax(kerncast.from_numpy(logits), top_k=2)
        expected = np.argsort(-logits, -1, kind="stable")[:, :2]
        np.testing.assert_array_equal(ids.numpy(), expected)
        np.testing.assert_allclose(weights.numpy().sum(-1), 1, rtol=1e-6)

    def test_quant(self):
        x = random(3, 256)
        q, s = kerncast.quant.per_token_group(kerncast.from_numpy(x), group=128, q_dtype="i8")
        self.assertEqual((q.dtype, s.dtype, s.shape), ("i8", "f32", (3, 2)))
        back = q.numpy().reshape(3, 2, 128) * s.numpy()[:, :, None]
        self.assertLess(np.abs(back - x.reshape(3, 2, 128)).max(), s.numpy().max())

    def test_workspaces_are_made_and_not_returned(self):
        a, b = random(4, 64), random(4, 64)
        d = kerncast.norm.relative_l1(kerncast.from_numpy(a), kerncast.from_numpy(b))
        self.assertEqual(d.shape, (1,))

    def test_in_place(self):
        x, residual, weight = random(2, 64), random(2, 64) + 1, random(64)
        r = kerncast.from_numpy(residual)
        y = kerncast.norm.fused_add_rms_norm(kerncast.from_numpy(x), r, kerncast.from_numpy(weight))
        np.testing.assert_allclose(r.numpy(), x + residual, rtol=1e-6)
        np.testing.assert_allclose(y.numpy(), rms(x + residual, weight), rtol=1e-4, atol=1e-6)


class Arguments(unittest.TestCase):
    def setUp(self):
        self.x, self.weight = random(4, 64), random(64)
        self.tensor, self.w = kerncast.from_numpy(self.x), kerncast.from_numpy(self.weight)
        self.expected = rms(self.x, self.weight)

    def check(self, y):
        np.testing.assert_allclose(y.numpy(), self.expected, rtol=1e-5)

    def test_out_is_filled_and_returned(self):
        for name in ("out", "y"):
            out = kerncast.empty((4, 64), "f32")
            self.assertIs(rms_norm(self.tensor, self.w, **{name: out}), out)
            self.check(out)

    def test_call_by_name(self):
        self.check(kerncast.call("norm.rms_norm", self.tensor, weight=self.w))

    def test_made_outputs_follow_each_call(self):
        for _ in range(2):
            for rows in range(1, 12):
                x = kerncast.from_numpy(random(rows, 64))
                for dtype in ("f16", "f32"):
                    y = rms_norm(x, self.w, y_dtype=dtype)
                    self.assertEqual((y.shape, y.dtype), ((rows, 64), dtype))
            for group in (32, 64):
                s = kerncast.quant.per_token_group(self.tensor, group=group, q_dtype="i8")[1]
                self.assertEqual(s.shape, (4, 64 // group))

    def test_dtype_of_the_output(self):
        self.assertEqual(rms_norm(self.tensor, self.w, y_dtype="float16").dtype, "f16")

    def test_refusals_have_the_text_of_the_library(self):
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "norm.rms_norm: tensor 'x' is missing") as raised:
            rms_norm()
        self.assertIsInstance(raised.exception, ValueError)
        self.assertEqual(raised.exception.code, "invalid_argument")
        for name, value in (("weigth", self.w), ("epss", 1), ("hf_roundin", True)):
            with self.assertRaisesRegex(kerncast.InvalidArgumentError, f"'{name}' .did you mean"):
                rms_norm(self.tensor, **{name: value})
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "norm.rms_norm: .*eps"):
            rms_norm(self.tensor, self.w, eps=-1)
        with self.assertRaisesRegex(kerncast.NotFoundError, "norm.rms_norm"):
            kerncast.call("norm.rms_nrm")

    def test_wrong_dtype_and_shape(self):
        with self.assertRaises(kerncast.InvalidArgumentError):
            rms_norm(kerncast.empty((4, 64), "i32"), self.w)
        with self.assertRaises(kerncast.InvalidArgumentError):
            rms_norm(self.tensor, kerncast.from_numpy(random(32)))
        with self.assertRaises(kerncast.InvalidArgumentError):
            rms_norm(self.tensor, self.w, out=kerncast.empty((4, 32), "f32"))

    def test_host_memory_and_other_objects(self):
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "'x' is host memory"):
            rms_norm(self.x)
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "'x' is a list"):
            rms_norm([1, 2])

    def test_other_libraries(self):
        x = Producer(self.tensor)
        self.check(rms_norm(x, self.w))
        self.assertEqual(x.streams, [1])

    def test_streams(self):
        for stream in (0, 1, 2):
            self.check(rms_norm(self.tensor, self.w, stream=stream))
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "stream is a str"):
            rms_norm(self.tensor, self.w, stream="main")

    def test_prepared(self):
        out = kerncast.empty((4, 64), "f32")
        prepared = kerncast.prepare("norm.rms_norm", self.tensor, self.w, out=out)
        self.assertIs(prepared(), out)
        self.check(out)
        other = random(4, 64) * 2
        self.assertIs(prepared(kerncast.from_numpy(other)), out)
        np.testing.assert_allclose(out.numpy(), rms(other, self.weight), rtol=1e-5)
        prepared(stream=1)
        self.check(out)

    def test_prepared_keeps_its_memory(self):
        prepared = kerncast.prepare("norm.rms_norm", kerncast.from_numpy(self.x), kerncast.from_numpy(self.weight))
        gc.collect()
        self.check(prepared())


SCALED_ROWS = """
#include "device/types.cuh"
namespace test {
struct ScaledRowsArgs { const void* x; const int* index; float* y; long long rows; float scale; long long picked; };
template <class Config>
__global__ void scaled_rows_kernel(ScaledRowsArgs args) {
  const auto* x = static_cast<const typename Config::x_dtype*>(args.x) + args.index[blockIdx.x] * Config::hidden;
  for (int i = threadIdx.x; i < Config::hidden; i += Config::threads) {
    const float value = args.scale * x[i] * (Config::twice ? 2 : 1);
    args.y[blockIdx.x * Config::hidden + i] = Config::sign == 0 ? value : -value;
  }
}
}
"""


def scaled_rows(name, **changes):
    """The definition of an op, y[i] = scale * x[index[i]], with everything that a definition may have."""
    definition = {
        "name": name,
        "source": SCALED_ROWS,
        "kernel": "test::scaled_rows_kernel",
        "arguments_type": "test::ScaledRowsArgs",
        "params": [
            kerncast.Param("hidden", maximum=4096, multiple_of=4),
            kerncast.Param("x_dtype", "dtype", allowed=("f32", "i32")),
            kerncast.Param("twice", "bool", default=False),
            kerncast.Param("sign", "choice", allowed=("plus", "minus"), default="plus"),
        ],
        "tunables": [kerncast.Tunable("threads", (64, 128))],
        "tensors": [
            kerncast.TensorArgument("x", ("rows", "hidden"), "x_dtype"),
            kerncast.TensorArgument("index", ("picked",), "i32"),
            kerncast.TensorArgument("y", ("picked", "hidden"), "f32", "out"),
        ],
        "scalars": [kerncast.Scalar("scale", 1.0)],
        "arguments": ["x", "index", "y", "rows", "scale", "picked"],
        "rows": "picked",
        "geometry": lambda rows, threads, **_: ((rows,), (threads,)),
        "constraint": lambda hidden, sign, **_: "12 is taken" if (hidden, sign) == (12, "minus") else None,
    }
    return kerncast.OpDefinition(**{**definition, **changes})


class OwnOps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.op = staticmethod(kerncast.register_op(scaled_rows("test.scaled_rows")))

    def setUp(self):
        self.x = random(6, 32)
        self.index = np.array([5, 0, 3], np.int32)
        self.tensors = kerncast.from_numpy(self.x), kerncast.from_numpy(self.index)

    def test_call(self):
        y = self.op(*self.tensors, scale=0.5)
        np.testing.assert_array_equal(y.numpy(), self.x[self.index] * np.float32(0.5))
        self.assertIs(kerncast.test.scaled_rows, self.op)
        self.assertIn("test.scaled_rows", kerncast.ops())

    def test_settings(self):
        y = kerncast.call("test.scaled_rows", *self.tensors, twice=True, sign="minus")
        np.testing.assert_array_equal(y.numpy(), self.x[self.index] * -2)
        signature = str(inspect.signature(self.op))
        for part in ("x, index, *", "scale=1.0", "twice=False", "sign='plus'"):
            self.assertIn(part, signature)
        self.assertNotIn("hidden=", signature)

    def test_dtype_of_a_parameter(self):
        x = np.arange(64, dtype=np.int32).reshape(2, 32)
        y = self.op(kerncast.from_numpy(x), kerncast.from_numpy(np.array([1], np.int32)))
        np.testing.assert_array_equal(y.numpy(), x[1:].astype(np.float32))

    def test_prepared(self):
        handle = kerncast.prepare("test.scaled_rows", *self.tensors)
        np.testing.assert_array_equal(handle().numpy(), self.x[self.index])

    def test_refusals(self):
        x, index = self.tensors
        for arguments, named, text in (
            (
                (index, index),
                {},
                r"tensor 'x' is i32 of shape \[3\], but must be contiguous x_dtype of shape \[rows, hidden\]",
            ),
            ((x, x), {}, r"'index' is f32 of shape \[6, 32\], but must be contiguous i32"),
            ((x, index), {"out": kerncast.empty((3, 16), "f32")}, r"'y' .* of shape \[picked = 3, hidden = 32\]"),
            ((kerncast.from_numpy(random(2, 30)), index), {}, "hidden.*multiple of 4"),
            ((kerncast.from_numpy(random(2, 12)), index), {"sign": "minus"}, "12 is taken"),
            ((x, index), {"sign": "none"}, "sign"),
            ((kerncast.empty((2, 32), "f32", strides=(64, 1)), index), {}, "must be contiguous"),
        ):
            with self.assertRaisesRegex(kerncast.InvalidArgumentError, text):
                self.op(*arguments, **named)

    def test_wrong_definitions(self):
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "test.scaled_rows"):
            kerncast.register_op(scaled_rows("test.scaled_rows"))
        with self.assertRaisesRegex(ValueError, "a member of arguments is 'z'"):
            kerncast.register_op(scaled_rows("test.wrong", arguments=["x", "z"]))
        for name in ("call.wrong", "torch.wrong", "arrays.wrong"):
            with self.assertRaisesRegex(kerncast.InvalidArgumentError, "is no family of ops"):
                kerncast.register_op(scaled_rows(name))
        with self.assertRaisesRegex(ValueError, "FAMILY.NAME"):
            kerncast.register_op(scaled_rows("wrong"))
        with self.assertRaisesRegex(ValueError, "names or at least 0"):
            kerncast.register_op(scaled_rows("test.wrong", tensors=[kerncast.TensorArgument("x", ("rows", -1), "f32")]))
        with self.assertRaisesRegex(ValueError, "rows is 'tokens'"):
            kerncast.register_op(scaled_rows("test.wrong", rows="tokens"))
        with self.assertRaisesRegex(ValueError, "dtype of tensor x is 'f31'"):
            kerncast.register_op(scaled_rows("test.wrong", tensors=[kerncast.TensorArgument("x", ("rows",), "f31")]))

    def test_first_calls_on_several_threads(self):
        functions = [kerncast.register_op(scaled_rows(f"test.threads_{i}")) for i in range(2)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(functions[i % 2], *self.tensors, twice=i % 4 < 2, stream=2) for i in range(32)]
            results = [call.result() for call in calls]
        kerncast.synchronize()
        for i, result in enumerate(results):
            np.testing.assert_array_equal(result.numpy(), self.x[self.index] * (2 if i % 4 < 2 else 1))

    def test_geometry_that_raises(self):
        op = kerncast.register_op(scaled_rows("test.no_geometry", geometry=lambda **_: 1 // 0))
        reports = []
        before, sys.unraisablehook = sys.unraisablehook, reports.append
        try:
            with self.assertRaises(kerncast.KerncastError):
                op(*self.tensors)
        finally:
            sys.unraisablehook = before
        self.assertIs(reports[0].exc_type, ZeroDivisionError)

    def test_kernels_that_wait_for_the_one_before(self):
        source = SCALED_ROWS.replace("  const auto* x", "  kerncast::begin_kernel();\n  const auto* x")
        source = '#include "device/programmatic_launch.cuh"\n' + source
        op = kerncast.register_op(scaled_rows("test.waiting", source=source, waits_for_primary=True))
        y = self.tensors[0]
        same = kerncast.from_numpy(np.arange(6, dtype=np.int32))
        for _ in range(4):
            y = op(y, same, scale=0.5)
        np.testing.assert_array_equal(y.numpy(), self.x * np.float32(1 / 16))

    def test_a_kernel_that_is_said_to_wait_and_does_not_is_found(self):
        script = """
import kerncast
from python_package_test import np, random, scaled_rows
op = kerncast.register_op(scaled_rows("test.hasty", waits_for_primary=True))
y = kerncast.empty((2048, 1024), "f32")
first = kerncast.prepare("norm.rms_norm", kerncast.from_numpy(random(2048, 1024)), kerncast.from_numpy(random(1024)), out=y)
second = kerncast.prepare("test.hasty", y, kerncast.from_numpy(np.array([2047], np.int32)))
first()
second()
kerncast.synchronize()
"""
        environment = {**os.environ, "KERNCAST_SIM_PDL": "early"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=os.path.dirname(os.path.abspath(__file__)),
            env=environment,
            capture_output=True,
            text=True,
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("griddepcontrol.wait", done.stderr)

    def test_example(self):
        example = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "custom_op", "main.py")
        done = subprocess.run([sys.executable, example], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, "own.squared_relu_python: right\n"), done.stderr)


class Tensors(unittest.TestCase):
    def test_more_elements_or_bytes_than_64_bits_count_are_refused(self):
        large = 2**32
        for shape, dtype, strides in [
            ((large, large), "u8", None),
            ((2, large * large // 8), "f64", None),
            ((large, 2), "u8", (large, 1)),
        ]:
            with self.assertRaisesRegex(kerncast.InvalidArgumentError, "fewer than 2.63"):
                kerncast.Tensor(shape, dtype, strides=strides)

    def test_round_trip(self):
        for dtype in (np.float32, np.float16, np.float64, np.int8, np.uint8, np.int32, np.int64):
            array = np.arange(24).reshape(2, 3, 4).astype(dtype)
            np.testing.assert_array_equal(kerncast.from_numpy(array).numpy(), array)

    def test_reading_bytes_as_another_type(self):
        tensor = kerncast.from_numpy(np.arange(4, dtype=np.uint16), dtype="bf16")
        self.assertEqual((tensor.dtype, tensor.shape, tensor.strides), ("bf16", (4,), (1,)))
        with self.assertRaisesRegex(ValueError, "cannot be read as bf16"):
            kerncast.from_numpy(np.arange(4, dtype=np.float32), dtype="bf16")

    def test_strides(self):
        tensor = kerncast.empty((2, 3), "f32", strides=(1, 4))
        self.assertEqual((tensor.strides, tensor.span_bytes), ((1, 4), 40))

    def test_unknown_dtype(self):
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "'complex64' is no dtype"):
            kerncast.empty((1,), "complex64")

    def test_capsules(self):
        tensor = kerncast.empty((2, 2), "f32")
        before = sys.getrefcount(tensor)
        self.assertIn("dltensor_versioned", repr(tensor.__dlpack__(max_version=(1, 0))))
        self.assertIn('"dltensor"', repr(tensor.__dlpack__()))
        gc.collect()
        self.assertEqual(sys.getrefcount(tensor), before)

    def test_memory_is_given_back(self):
        for _ in range(64):
            kerncast.empty((1 << 28,), "f32")


class Package(unittest.TestCase):
    def test_documentation(self):
        self.assertEqual(str(inspect.signature(rms_norm)).split(",", 1)[0], "(x")
        self.assertIn("rsqrt(mean(x^2) + eps)", rms_norm.__doc__)
        for op in kerncast.ops():
            family, name = op.split(".")
            self.assertTrue(inspect.signature(getattr(sys.modules[f"kerncast.{family}"], name)))

    def test_fork_after_use(self):
        rms_norm(kerncast.from_numpy(random(1, 64)))
        child = os.fork()
        if child == 0:
            try:
                kerncast.empty((1,), "f32")
            except kerncast.UnsupportedError as error:
                os._exit(0 if "spawn" in str(error) else 1)
            os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)


if __name__ == "__main__":
    unittest.main()
