"""The operators of torch. tests/torch/run.sh runs this on the virtual GPU if the package is built.

torch's own kernels do not run on the virtual GPU, so tests make tensors by copies from the host and compare there. Where torch
itself must compare, as in opcheck, the operators get a kernel for the host that calls them on the virtual GPU.
"""

import os
import unittest
import warnings
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.fx.passes.split_module import split_module

import kerncast
import kerncast.torch

OPS = torch.ops.kerncast
EPS = 1e-5
HIDDEN = 256


def rms_norm(x, weight):
    """The formula in single precision, on the host."""
    x, weight = x.cpu().float(), weight.cpu().float()
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS) * weight


def dynamic_rows(tensor):
    """The tensor, whose row count a compile must leave open: torch raises an error if it does not."""
    torch._dynamo.mark_dynamic(tensor, 0)
    return tensor


def samples(device):
    """Calls of several ops of each family: operator, arguments, named arguments."""

    def floats(*shape, dtype=torch.float32):
        return torch.randn(*shape).to(dtype).to(device)

    def empty(*shape, dtype=torch.float32):
        return torch.zeros(*shape, dtype=dtype).to(device)

    ids = torch.randint(0, 8, (6, 2), dtype=torch.int32).to(device)
    x = floats(6, HIDDEN)
    weight = floats(HIDDEN)
    return [
        (OPS.rms_norm, (x, weight), {"eps": EPS}),
        (OPS.rms_norm, (x,), {"y_dtype": torch.bfloat16}),
        (OPS.rms_norm_out, (x, weight), {"y": empty(6, HIDDEN)}),
        (OPS.fused_add_rms_norm, (x, floats(6, HIDDEN), weight), {}),
        (OPS.fused_add_rms_norm_out, (x, floats(6, HIDDEN), weight), {"y": empty(6, HIDDEN)}),
        (OPS.qk_norm, (floats(6, 4, 64), floats(64), floats(64)), {"q_heads": 2, "kv_heads": 1}),
        (OPS.relative_l1, (x, floats(6, HIDDEN)), {}),
        (OPS.relative_l1_out, (x, floats(6, HIDDEN)), {"d": empty(1)}),
        (OPS.silu_and_mul, (x,), {}),
        (OPS.silu_and_mul_out, (x,), {"y": empty(6, HIDDEN // 2)}),
        (OPS.gelu_and_mul, (x,), {"y_dtype": torch.float16}),
        (OPS.topk_softmax, (floats(6, 8),), {"top_k": 2}),
        (OPS.permute, (x, ids), {"experts": 8}),
        (OPS.align_block_size, (ids,), {"experts": 8, "block": 16}),
        (OPS.sum_reduce, (floats(6, 2, HIDDEN), floats(6, 2)), {}),
        (OPS.per_token_group, (x,), {"q_dtype": torch.int8}),
        (OPS.per_token_group, (x,), {"scale_layout": "column_major_tma_aligned"}),
        (OPS.per_tensor_fp8, (x,), {}),
        (OPS.per_tensor_fp8, (x, torch.ones(1).to(device)), {}),
        (OPS.mxfp8, (x,), {"sf_layout": "swizzled"}),
    ]


def add_host_kernels(library):
    """Gives each operator of `samples` a kernel for the host, which copies to the virtual GPU and back."""

    def moved(value, device):
        if not isinstance(value, torch.Tensor) or value.is_contiguous():
            return value.to(device) if isinstance(value, torch.Tensor) else value
        # A copy of a strided tensor is a kernel of torch, so the memory behind it is copied.
        span = sum((n - 1) * stride for n, stride in zip(value.shape, value.stride())) + 1
        return value.as_strided((span,), (1,)).to(device).as_strided(value.shape, value.stride())

    def host_kernel(operator):
        def run(*arguments, **named):
            there = [moved(each, "cuda") for each in arguments]
            named_there = {name: moved(each, "cuda") for name, each in named.items()}
            result = operator(*there, **named_there)
            for here, copy in [*zip(arguments, there), *((named[name], named_there[name]) for name in named)]:
                if isinstance(here, torch.Tensor):
                    here.copy_(copy)
            if result is None or isinstance(result, torch.Tensor):
                return moved(result, "cpu")
            return tuple(moved(each, "cpu") for each in result)

        return run

    for operator in {operator for operator, _, _ in samples("cpu")}:
        name = operator.__name__
        library.impl(name, host_kernel(operator.default), "CPU")


class Operators(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.x = torch.randn(16, HIDDEN)
        self.weight = torch.randn(HIDDEN).cuda()

    def near(self, made, wanted):
        torch.testing.assert_close(made.cpu().float(), wanted, rtol=1e-4, atol=1e-5)

    def test_every_op_is_there(self):
        for op in [op for op in kerncast.ops() if not op.startswith("test.")]:
            name = kerncast.torch.operator_name(op)
            self.assertEqual(name, op.split(".")[1])
            functional = getattr(OPS, name).default._schema
            written = [a.name for a in functional.arguments if a.alias_info is not None and a.alias_info.is_write]
            tensors = kerncast._native.tensors(op)
            self.assertEqual(written, [name for name, direction, _ in tensors if direction == "inout"])
            outputs = [name for name, direction, _ in tensors if direction == "out"]
            self.assertEqual(len(functional.returns), len([name for name in outputs if name != "workspace"]))
            if outputs:
                out = getattr(OPS, name + "_out").default._schema
                written_out = {a.name for a in out.arguments if a.alias_info is not None and a.alias_info.is_write}
                self.assertEqual(written_out, {*written, *outputs})

    def test_types_of_settings(self):
        schema = str(OPS.fused_add_rms_norm_quant.default._schema)
        for part in (
            "Tensor(a1!) residual",
            "Tensor? weight=None",
            "float eps=",
            "int group=128",
            "ScalarType? q_dtype",
        ):
            self.assertIn(part, schema)
        for part in ('scale_layout="row_major"', "bool round_residual=False"):
            self.assertIn(part, schema)

    def test_result(self):
        y = OPS.rms_norm(self.x.cuda(), self.weight, eps=EPS)
        self.near(y, rms_norm(self.x, self.weight))
        out = torch.empty_like(y)
        self.assertIsNone(OPS.rms_norm_out(self.x.cuda(), self.weight, y=out, eps=EPS))
        self.near(out, rms_norm(self.x, self.weight))

    def test_in_place(self):
        residual = torch.randn(16, HIDDEN)
        there = residual.cuda()
        y = OPS.fused_add_rms_norm(self.x.cuda(), there, self.weight, eps=EPS)
        self.near(there, self.x + residual)
        self.near(y, rms_norm(self.x + residual, self.weight))

    def test_an_output_that_the_call_does_not_have_is_empty(self):
        q, s = OPS.per_tensor_fp8(self.x.cuda(), torch.ones(1).cuda())
        self.assertEqual((q.shape, s.shape), (self.x.shape, (0,)))

    def test_workspace_of_out_is_made(self):
        q = torch.empty(16, HIDDEN, dtype=torch.float8_e4m3fn, device="cuda")
        s = torch.empty(1, device="cuda")
        OPS.per_tensor_fp8_out(self.x.cuda(), q=q, s=s)
        self.near(s, self.x.abs().max().view(1) / 448)

    def test_refusals_keep_their_type(self):
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, r"'weight' has shape \[5\]"):
            OPS.rms_norm(self.x.cuda(), self.weight[:5])
        with self.assertRaisesRegex(NotImplementedError, "CPU"):
            OPS.l2_norm(self.x)
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "scale_layout"):
            OPS.per_token_group(self.x.cuda(), scale_layout="diagonal")

    def test_current_stream(self):
        stream = torch.cuda.Stream()
        x = self.x.cuda()
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            y = OPS.rms_norm(x, self.weight, eps=EPS)
        stream.synchronize()
        self.near(y, rms_norm(self.x, self.weight))

    def test_another_device(self):
        y = OPS.rms_norm(self.x.to("cuda:1"), self.weight.to("cuda:1"), eps=EPS)
        self.assertEqual(y.device.index, 1)
        self.near(y, rms_norm(self.x, self.weight))


class Native(unittest.TestCase):
    """The implementations that torch calls without Python, and the choice of them."""

    REQUIRED = (
        "aoti_torch_get_data_ptr",
        "aoti_torch_get_current_cuda_stream",
        "torch_string_c_str",
        "torch_library_impl",
        "torch_dtype_float8_e8m0fnu",
    )

    @staticmethod
    def is_native(name):
        """True if torch's table has the native implementation of an operator."""
        rows = torch._C._dispatch_dump(f"kerncast::{name}").splitlines()
        return any(row.startswith("CUDA: registered at kerncast:0") for row in rows)

    def setUp(self):
        torch.manual_seed(1)
        self.x = torch.randn(16, HIDDEN)
        self.weight = torch.randn(HIDDEN).cuda()

    def test_every_operator_is_native(self):
        self.assertEqual(kerncast.torch.implementation, "native")
        for op in kerncast.ops():
            if not op.startswith("test."):
                self.assertTrue(self.is_native(kerncast.torch.operator_name(op)), op)
        self.assertTrue(self.is_native("rms_norm_out"))

    def test_a_missing_function_of_torch_leaves_python(self):
        def without(missing):
            return lambda name: 0 if name == missing else kerncast.torch._torch_function(name)

        for name in self.REQUIRED:
            self.assertEqual(kerncast.torch._choose_implementation(without(name)), "python", name)
        self.assertEqual(kerncast.torch._choose_implementation(without("torch_delete_stable_ivalue")), "native")

    def test_a_failing_look_up_is_reported(self):
        with self.assertRaises(ZeroDivisionError):
            kerncast.torch._choose_implementation(lambda name: 1 // 0)

    def test_implementations_of_python(self):
        with mock.patch.object(kerncast.torch, "implementation", "python"):
            OwnOps.register("test.in_python")
        self.assertFalse(self.is_native("in_python"))
        self.assertTrue(torch.equal(OPS.in_python(self.x.cuda()).cpu(), self.x * 2))
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "'x'"):
            OPS.in_python(self.x[0].cuda())

    def test_refusals_are_those_of_python(self):
        x = self.x.cuda()
        refused = [
            (x, self.weight[:5]),
            (x, self.weight.cpu()),
            (torch.empty(4, HIDDEN, dtype=torch.complex64, device="cuda"), None),
            (torch.empty(1, 1, 1, 1, 1, 1, HIDDEN, device="cuda"), None),
        ]
        for arguments in refused:
            with self.assertRaises(kerncast.InvalidArgumentError) as typed:
                kerncast.norm.rms_norm(*arguments)
            for operator in (OPS.rms_norm, OPS.rms_norm.default):
                with self.assertRaises(kerncast.InvalidArgumentError) as raised:
                    operator(*arguments)
                self.assertEqual(str(raised.exception), str(typed.exception))
        with self.assertRaisesRegex(kerncast.InvalidArgumentError, "'complex64' is no dtype"):
            OPS.rms_norm(x, y_dtype=torch.complex64)

    def test_other_errors_of_torch_stay(self):
        with self.assertRaises(kerncast.InvalidArgumentError):
            OPS.rms_norm(self.x.cuda(), self.weight[:5])
        with self.assertRaisesRegex(RuntimeError, "Unknown keyword argument 'unknown'"):
            OPS.rms_norm(self.x.cuda(), unknown=3)

    def test_cpp_callers_get_the_text(self):
        handle = torch._C._dispatch_find_schema_or_throw("kerncast::rms_norm", "")
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
        with self.assertRaisesRegex(RuntimeError, r"'weight' has shape \[5\]"):
            handle.redispatch_boxed(keys, self.x.cuda(), self.weight[:5])

    def test_memory_is_given_back(self):
        x = self.x.cuda()

        def calls():
            OPS.rms_norm(x, self.weight)
            OPS.per_token_group(x, scale_layout="column_major_tma_aligned", q_dtype=torch.int8)
            OPS.per_tensor_fp8(x)
            with self.assertRaises(kerncast.InvalidArgumentError):
                OPS.rms_norm(x, self.weight[:5])

        calls()
        before = torch.cuda.memory_allocated()
        for _ in range(20):
            calls()
        self.assertEqual(torch.cuda.memory_allocated(), before)

    def test_threads(self):
        def work(rows):
            x = torch.full((rows, HIDDEN), float(rows)).cuda()
            made = [OPS.rms_norm(x, eps=0.0) for _ in range(20)]
            torch.cuda.synchronize()
            return all(y.shape == x.shape and torch.allclose(y.cpu(), torch.ones(rows, HIDDEN)) for y in made)

        with ThreadPoolExecutor(4) as pool:
            self.assertTrue(all(pool.map(work, range(1, 17))))

    def test_script(self):
        def block(x, weight):
            return torch.ops.kerncast.rms_norm(x, weight, eps=1e-5)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scripted = torch.jit.script(block)
        self.assertTrue(
            torch.equal(scripted(self.x.cuda(), self.weight).cpu(), block(self.x.cuda(), self.weight).cpu())
        )


class Opcheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.manual_seed(1)
        cls.library = torch.library.Library("kerncast", "FRAGMENT")
        add_host_kernels(cls.library)

    @classmethod
    def tearDownClass(cls):
        cls.library._destroy()

    def test_on_the_host(self):
        for operator, arguments, named in samples("cpu"):
            with self.subTest(operator=operator, named=list(named)):
                torch.library.opcheck(operator.default, arguments, named)

    def test_on_the_device(self):
        for operator, arguments, named in samples("cuda"):
            with self.subTest(operator=operator, named=list(named)):
                checks = ("test_faketensor", "test_autograd_registration")
                torch.library.opcheck(operator.default, arguments, named, test_utils=checks)


class Shapes(unittest.TestCase):
    """Shapes of the outputs as functions of a symbolic row count, against those of calls."""

    def check(self, call, *rows):
        environment = ShapeEnv()
        mode = FakeTensorMode(shape_env=environment)
        context = StatelessSymbolicContext(dynamic_sizes=[DimDynamic.DYNAMIC, DimDynamic.STATIC])
        example = mode.from_tensor(torch.empty(24, HIDDEN, device="cuda"), symbolic_context=context)
        with mode:
            made = call(example)
        made = made if isinstance(made, tuple) else (made,)
        symbol = example.shape[0].node.expr

        def value(extent, count):
            return int(extent.node.expr.subs(symbol, count)) if isinstance(extent, torch.SymInt) else extent

        self.assertFalse(environment.guards)
        for count in rows:
            real = call(torch.zeros(count, HIDDEN).cuda())
            real = real if isinstance(real, tuple) else (real,)
            for fake, tensor in zip(made, real):
                self.assertEqual(tuple(value(n, count) for n in fake.shape), tensor.shape)
                self.assertEqual(tuple(value(n, count) for n in fake.stride()), tensor.stride())
                self.assertEqual(fake.dtype, tensor.dtype)

    def test_same_rows(self):
        self.check(OPS.rms_norm, 2, 7)
        self.check(OPS.silu_and_mul, 2, 7)

    def test_rounded_rows(self):
        self.check(lambda x: OPS.mxfp8(x, sf_layout="swizzled"), 2, 127, 128, 129, 300)
        self.check(lambda x: OPS.per_token_group(x, scale_layout="column_major_tma_aligned"), 2, 3, 4, 5)
        self.check(lambda x: OPS.per_token_group(x, scale_layout="column_major"), 2, 3)

    def test_grouped_rows(self):
        def permuted(x):
            weights, ids = OPS.topk_softmax(x, top_k=2)
            return OPS.permute(x, ids, experts=HIDDEN)

        def aligned(x):
            return OPS.align_block_size(OPS.topk_softmax(x, top_k=3)[1], experts=HIDDEN, block=48)

        self.check(permuted, 2, 9)
        self.check(aligned, 2, 85, 86, 87, 200)

    def test_two_symbols(self):
        mode = FakeTensorMode(shape_env=ShapeEnv())
        dynamic = [DimDynamic.DYNAMIC, DimDynamic.DYNAMIC, DimDynamic.STATIC]
        context = StatelessSymbolicContext(dynamic_sizes=dynamic)
        x = mode.from_tensor(torch.empty(3, 5, HIDDEN, device="cuda"), symbolic_context=context)
        with mode:
            y = OPS.rms_norm(x)
            scales = OPS.mxfp8(x, sf_layout="swizzled")[1]
        self.assertEqual(str(y.shape), str(x.shape))
        self.assertEqual(tuple(scales.shape), (128, 8))


class OwnOps(unittest.TestCase):
    """An op of Python's own, which is registered when the operators are there already."""

    @classmethod
    def setUpClass(cls):
        cls.register("test.doubled")

    @staticmethod
    def register(name):
        rows = ("rows", "hidden")
        kerncast.register_op(
            kerncast.OpDefinition(
                name=name,
                source="""
struct DoubledArgs { const float* x; float* y; float factor; };
template <class Config>
__global__ void doubled_kernel(DoubledArgs args) {
  for (int i = threadIdx.x; i < Config::hidden; i += 64) {
    args.y[blockIdx.x * Config::hidden + i] = args.factor * args.x[blockIdx.x * Config::hidden + i];
  }
}
""",
                kernel="doubled_kernel",
                arguments_type="DoubledArgs",
                params=[kerncast.Param("hidden")],
                tensors=[
                    kerncast.TensorArgument("x", rows, "f32"),
                    kerncast.TensorArgument("y", rows, "f32", "out"),
                ],
                scalars=[kerncast.Scalar("factor", 2.0)],
                arguments=["x", "y", "factor"],
                geometry=lambda rows, **_: ((rows,), (64,)),
            )
        )

    def test_name_that_is_taken(self):
        self.register("test.l2_norm")
        self.assertEqual(kerncast.torch.operator_name("test.l2_norm"), "test_l2_norm")
        self.assertEqual(kerncast.torch.operator_name("norm.l2_norm"), "l2_norm")
        self.assertIsNotNone(OPS.test_l2_norm_out)

    def test_schema(self):
        self.assertEqual(str(OPS.doubled.default._schema), "kerncast::doubled(Tensor x, *, float factor=2.) -> Tensor")

    def test_compile(self):
        function = torch.compile(
            lambda x: OPS.doubled(OPS.doubled(x), factor=0.25), fullgraph=True, backend="aot_eager"
        )
        for rows in (3, 5):
            x = torch.randn(rows, HIDDEN)
            self.assertTrue(torch.equal(function(dynamic_rows(x.cuda())).cpu(), x / 2))

    def test_opcheck(self):
        x = torch.zeros(3, HIDDEN).cuda()
        checks = ("test_faketensor", "test_autograd_registration")
        torch.library.opcheck(OPS.doubled.default, (x,), test_utils=checks)
        torch.library.opcheck(OPS.doubled_out.default, (x,), {"y": torch.zeros_like(x.cpu()).cuda()}, test_utils=checks)


class Compile(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        torch._dynamo.reset()
        self.weight = torch.randn(HIDDEN).cuda()

    def compiled(self, function, backend):
        torch._dynamo.reset()
        counter = CompileCounterWithBackend(backend)
        return torch.compile(function, fullgraph=True, backend=counter), counter

    def test_rows_need_one_compile(self):
        def block(x, residual, weight):
            y = OPS.fused_add_rms_norm(x, residual, weight, eps=EPS)
            q, s = OPS.per_token_group(y, scale_layout="column_major_tma_aligned", q_dtype=torch.int8)
            return y, q, s, OPS.dequant(q, s, scale_layout="column_major_tma_aligned", y_dtype=torch.float32)

        for backend in ("eager", "aot_eager"):
            function, counter = self.compiled(block, backend)
            for rows in (4, 7, 33):
                x, residual = torch.randn(rows, HIDDEN), torch.randn(rows, HIDDEN)
                there = dynamic_rows(residual.cuda())
                y, q, s, back = function(dynamic_rows(x.cuda()), there, self.weight)
                wanted = rms_norm(x + residual, self.weight)
                torch.testing.assert_close(there.cpu(), x + residual)
                torch.testing.assert_close(y.cpu(), wanted, rtol=1e-4, atol=1e-5)
                self.assertEqual(s.stride(), (1, (rows + 3) // 4 * 4))
                self.assertLessEqual((back.cpu() - wanted).abs().max(), wanted.abs().max() / 127)
            self.assertEqual(counter.frame_count, 1, backend)

    def test_export(self):
        class Block(torch.nn.Module):
            def forward(self, x, weight):
                return OPS.silu_and_mul(OPS.rms_norm(x, weight, eps=EPS))

        rows = torch.export.Dim("rows", min=2, max=4096)
        example = (torch.zeros(4, HIDDEN).cuda(), self.weight)
        exported = torch.export.export(Block(), example, dynamic_shapes={"x": {0: rows}, "weight": None}).module()
        x = torch.randn(9, HIDDEN)
        gate, up = rms_norm(x, self.weight).chunk(2, -1)
        made = exported(x.cuda(), self.weight).cpu()
        torch.testing.assert_close(made, torch.nn.functional.silu(gate) * up, rtol=1e-4, atol=1e-5)

    def test_out_operators(self):
        def block(x, weight, normed, gated):
            OPS.rms_norm_out(x, weight, y=normed, eps=EPS)
            OPS.silu_and_mul_out(normed, y=gated)

        for backend in ("eager", "aot_eager"):
            function, _ = self.compiled(block, backend)
            x = torch.randn(5, HIDDEN)
            normed, gated = torch.zeros(5, HIDDEN).cuda(), torch.zeros(5, HIDDEN // 2).cuda()
            function(x.cuda(), self.weight, normed, gated)
            wanted = rms_norm(x, self.weight)
            torch.testing.assert_close(normed.cpu(), wanted, rtol=1e-4, atol=1e-5)
            gate, up = wanted.chunk(2, -1)
            torch.testing.assert_close(gated.cpu(), torch.nn.functional.silu(gate) * up, rtol=1e-4, atol=1e-5)


class Graphs(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        torch._dynamo.reset()
        self.weight = torch.randn(HIDDEN).cuda()

    def test_replay_with_new_inputs(self):
        x, residual = torch.zeros(8, HIDDEN).cuda(), torch.zeros(8, HIDDEN).cuda()

        def block():
            return OPS.silu_and_mul(OPS.fused_add_rms_norm(x, residual, self.weight, eps=EPS))

        block()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = block()
        for _ in range(3):
            new_x, new_residual = torch.randn(8, HIDDEN), torch.randn(8, HIDDEN)
            x.copy_(new_x)
            residual.copy_(new_residual)
            graph.replay()
            torch.cuda.synchronize()
            gate, up = rms_norm(new_x + new_residual, self.weight).chunk(2, -1)
            torch.testing.assert_close(y.cpu(), torch.nn.functional.silu(gate) * up, rtol=1e-4, atol=1e-5)

    def test_capture_never_compiles(self):
        # A width that no earlier run has left in the cache.
        x = torch.zeros(2, 100 + int.from_bytes(os.urandom(4), "big") % 50000).cuda()
        torch.cuda.synchronize()
        with self.assertRaisesRegex(kerncast.CaptureMissError, "norm.rms_norm.*captur"):
            with torch.cuda.graph(torch.cuda.CUDAGraph()):
                OPS.rms_norm(x, eps=EPS)
        OPS.rms_norm(x, eps=EPS)
        torch.cuda.synchronize()
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            OPS.rms_norm(x, eps=EPS)

    def test_pieces_at_several_batch_sizes(self):
        head = torch.randn(64).cuda()

        def model(x, residual, weight):
            y = OPS.fused_add_rms_norm(x, residual, weight, eps=EPS)
            OPS.qk_norm(y.view(-1, 4, 64), head, head, q_heads=2, kv_heads=1)
            z = OPS.rms_norm(y, weight, eps=EPS)
            return OPS.silu_and_mul(z)

        pieces = []

        def backend(module, _):
            part, parts = 0, {}
            for node in module.graph.nodes:
                cut = node.op == "call_function" and node.target in (OPS.qk_norm, OPS.qk_norm.default)
                part += cut
                parts[node] = part
                part += cut
            split = split_module(module, None, lambda node: parts[node], keep_original_order=True)
            for name in ("submod_0", "submod_2"):
                pieces.append(Piece(getattr(split, name)))
                setattr(split, name, pieces[-1])
            return split

        compiled = torch.compile(model, backend=backend, fullgraph=True)
        inputs = {rows: (torch.empty(rows, HIDDEN).cuda(), torch.empty(rows, HIDDEN).cuda()) for rows in (2, 4, 8)}
        for _ in range(2):
            for x, residual in inputs.values():
                new_x, new_residual = torch.randn(x.shape), torch.randn(x.shape)
                wanted = model(new_x.cuda(), new_residual.cuda(), self.weight)
                x.copy_(new_x)
                residual.copy_(new_residual)
                made = compiled(dynamic_rows(x), dynamic_rows(residual), self.weight)
                torch.cuda.synchronize()
                torch.testing.assert_close(made.cpu(), wanted.cpu(), rtol=0, atol=0)
        self.assertEqual([(len(piece.graphs), piece.replays) for piece in pieces], [(3, 6), (3, 6)])


class Piece(torch.nn.Module):
    """A part of a graph that is captured once for each batch size. Its inputs keep their addresses."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.graphs = {}
        self.replays = 0

    def forward(self, *arguments):
        key = next(each.shape[0] for each in arguments if isinstance(each, torch.Tensor) and each.dim() == 2)
        addresses = [each.data_ptr() for each in arguments if isinstance(each, torch.Tensor)]
        if key not in self.graphs:
            self.module(*[each.clone() if isinstance(each, torch.Tensor) else each for each in arguments])
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                result = self.module(*arguments)
            self.graphs[key] = (graph, addresses, result)
        graph, captured, result = self.graphs[key]
        assert addresses == captured, "an input of the piece has moved"
        graph.replay()
        self.replays += 1
        return result


if __name__ == "__main__":
    unittest.main()
