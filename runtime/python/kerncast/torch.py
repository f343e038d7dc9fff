"""The ops as operators of torch: `torch.ops.kerncast.rms_norm(x, weight, eps=1e-5)`. Importing this module registers them.

Each op has a functional operator, which makes its outputs, and `rms_norm_out`, which takes them by name and returns nothing.
An op that only changes tensors in place has the first alone. Schemas, shapes and dtypes come from the definitions.
The implementations are native functions, which torch calls without Python, or those of Python where torch lacks a function
that they need; `implementation` tells which.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any, Callable

import torch  # type: ignore[import-not-found]

from kerncast import _native, _own_ops, extents, ops
from kerncast.errors import KerncastError

__all__ = ["implementation", "operator_name", "register"]

_DTYPES = {
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8_e4m3": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
    "ue8m0": torch.float8_e8m0fnu,
    "i8": torch.int8,
    "u8": torch.uint8,
    "i32": torch.int32,
    "i64": torch.int64,
    "f64": torch.float64,
}
_SCHEMA_TYPES = {"float": "float", "int": "int", "bool": "bool", "choice": "str", "dtype": "ScalarType"}

_library = torch.library.Library("kerncast", "FRAGMENT")
_names: dict[str, str] = {}

# A plan of an output: its name, dtype, shape and strides.
_Plan = tuple[str, str, tuple[Any, ...], "tuple[Any, ...] | None"]


class _Op:
    """What the schemas and the shapes of one op need of its definition."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: list[tuple[str, bool, bool]] = []  # name, changed in place, optional; in the order of a call
        self.settings: list[tuple[str, str, str]] = []  # name, type and default of the schema
        self.scalars: list[str] = []
        tensors = {tensor: (direction, optional) for tensor, direction, optional in _native.tensors(name)}
        self.outputs = [
            (tensor, optional or tensor == "workspace")
            for tensor, (direction, optional) in tensors.items()
            if direction == "out"
        ]
        self.results = [tensor for tensor, _ in self.outputs if tensor != "workspace"]
        for line in _native.arguments(name).splitlines():
            argument, kind, default = line.split("\t")
            if kind.startswith("tensor"):
                direction, optional = tensors[argument]
                self.inputs.append((argument, direction == "inout", optional))
            elif kind in _SCHEMA_TYPES:
                optional = default == "None" or (kind == "dtype" and default != "")
                self.settings.append((argument, _SCHEMA_TYPES[kind] + "?" * optional, "None" if optional else default))
                if kind == "float":
                    self.scalars.append(argument)

    def types(self, with_outputs: bool) -> list[tuple[str, str]]:
        """Name and type of each argument of an operator, in the order of its schema."""
        tensors = [(name, optional) for name, _, optional in self.inputs] + (self.outputs if with_outputs else [])
        return [(name, "Tensor" + "?" * optional) for name, optional in tensors] + [row[:2] for row in self.settings]

    def schema(self, with_outputs: bool) -> str:
        """Arguments and results of an operator, as torch writes them."""
        count = 0

        def tensor(name: str, written: bool, optional: bool) -> str:
            nonlocal count
            count += written
            alias = f"(a{count}!)" if written else ""
            return f"Tensor{alias}{'?' * optional} {name}" + ("=None" if optional else "")

        parts = [tensor(*each) for each in self.inputs]
        named = [tensor(name, True, optional) for name, optional in self.outputs] if with_outputs else []
        for name, kind, default in self.settings:
            named.append(f"{kind} {name}" + (f"={default}" if default else ""))
        arguments = ", ".join([*parts, *(["*", *named] if named else [])])
        results = ", ".join("Tensor" for _ in self.results)
        one = len(self.results) == 1 and not with_outputs
        return f"({arguments}) -> " + ("Tensor" if one else "()" if with_outputs else f"({results})")


def _value(extent: Any, known: dict[Any, int]) -> int:
    """An extent as a number, with numbers in the place of its symbols."""
    if not isinstance(extent, torch.SymInt):
        return int(extent)
    expression = extent.node.expr
    return known[expression] if expression in known else int(expression.xreplace(known))


def _symbols(tensors: list[tuple[str, Any]]) -> list[Any]:
    """The symbols in shapes and strides, in order of name."""
    found: set[Any] = set()
    for _, tensor in tensors:
        for extent in (*tensor.shape, *tensor.stride()):
            if isinstance(extent, torch.SymInt):
                found |= extent.node.expr.free_symbols
    return sorted(found, key=str)


def _plans(op: _Op, tensors: list[tuple[str, Any]], settings: dict[str, Any], known: dict[Any, int]) -> list[_Plan]:
    """The plans of the results for numbers in the place of symbols."""
    rows = [
        (name, t.dtype, tuple(_value(n, known) for n in t.shape), tuple(_value(n, known) for n in t.stride()))
        for name, t in tensors
    ]
    return [plan for plan in _native.plan_outputs(op.name, rows, settings) if plan[0] in op.results]


def _symbolic_extent(symbol: Any, tensors: list[tuple[str, Any]]) -> Any:
    """The torch.SymInt of a symbol; None if no tensor has a multiple of it as an extent."""
    for _, tensor in tensors:
        for extent in tensor.shape:
            if isinstance(extent, torch.SymInt) and symbol in extent.node.expr.free_symbols:
                factor = extent.node.expr / symbol
                if factor.is_Integer:
                    return extent if factor == 1 else extent // int(factor)
    return None


def _hint(size: Any) -> int:
    """The number that a symbolic extent had in the example; 64 if it has none."""
    return int(size.node.hint) if size.node.has_hint() else 64


def _flat(plans: list[_Plan]) -> list[int]:
    return [n for _, _, shape, strides in plans for n in (*shape, *(strides or ()))]


def _find_rules(
    op: _Op, tensors: list[tuple[str, Any]], settings: dict[str, Any], base: dict[Any, int]
) -> tuple[list[tuple[Any, extents.Rule]] | None, Any]:
    """For each extent of the plans the symbol and the rule that give it; or the symbol that must be a number. `base` has a
    valid number for each symbol."""
    steps = [value for value in settings.values() if isinstance(value, int)]
    known = _flat(_plans(op, tensors, settings, base))
    found: list[tuple[Any, extents.Rule]] = [(None, lambda _, n=n: n) for n in known]  # type: ignore[misc]
    for symbol in base:
        try:
            columns = [_flat(_plans(op, tensors, settings, {**base, symbol: n})) for n in extents.SAMPLES]
        except KerncastError:
            return None, symbol
        if any(len(column) != len(known) for column in columns):
            return None, symbol
        for i, values in enumerate(zip(*columns)):
            if len(set(values)) == 1:
                continue
            rule = extents.find_rule(values, steps, lambda a, b: min(a, b) if type(a) is int else torch.sym_min(a, b))
            if rule is None or found[i][0] is not None:
                return None, symbol
            found[i] = (symbol, rule)
    joint = {symbol: 4099 + 3 * i for i, symbol in enumerate(base)}
    told = _flat(_plans(op, tensors, settings, joint))
    agree = told == [rule(joint.get(symbol)) for symbol, rule in found]
    return (found, None) if agree else (None, next(iter(base)))


_rules: dict[Any, Any] = {}


def _symbolic_plans(op: _Op, tensors: list[tuple[str, Any]], settings: dict[str, Any]) -> list[_Plan]:
    """The plans of the results. Extents of the tensors stay symbols where the outputs follow them by a known rule."""
    while symbols := _symbols(tensors):
        sizes = {symbol: _symbolic_extent(symbol, tensors) for symbol in symbols}
        rules, number = None, next((symbol for symbol in symbols if sizes[symbol] is None), None)
        if number is None:
            shapes = tuple(
                (name, t.dtype, *(n.node.expr if isinstance(n, torch.SymInt) else n for n in (*t.shape, *t.stride())))
                for name, t in tensors
            )
            key = (op.name, shapes, tuple(sorted((name, str(value)) for name, value in settings.items())))
            base = {symbol: _hint(size) for symbol, size in sizes.items()}
            if key not in _rules:
                _rules[key] = _find_rules(op, tensors, settings, base)
            rules, number = _rules[key]
        if rules is not None:
            made = iter(rules)

            def extent() -> Any:
                symbol, rule = next(made)
                return rule(sizes.get(symbol))

            return [
                (name, dtype, tuple(extent() for _ in shape), strides and tuple(extent() for _ in strides))
                for name, dtype, shape, strides in _plans(op, tensors, settings, base)
            ]
        for _, tensor in tensors:
            for size in (*tensor.shape, *tensor.stride()):
                if isinstance(size, torch.SymInt) and number in size.node.expr.free_symbols:
                    int(size)
    return _plans(op, tensors, settings, {})


def _fake(op: _Op) -> Callable[..., Any]:
    """The function that makes the results of an op without memory."""

    def fake(*arguments: Any, **named: Any) -> Any:
        given = dict(zip((name for name, _, _ in op.inputs), arguments)) | named
        tensors = [(name, given[name]) for name, _, _ in op.inputs if given.get(name) is not None]
        settings = {
            name: given[name] for name, _, _ in op.settings if given.get(name) is not None and name not in op.scalars
        }
        planned = {plan[0]: plan for plan in _symbolic_plans(op, tensors, settings)}
        device = tensors[0][1].device
        made = []
        for name in op.results:
            if name not in planned:
                made.append(torch.empty((0,), dtype=torch.uint8, device=device))
                continue
            _, dtype, shape, strides = planned[name]
            if strides is None:
                made.append(torch.empty(shape, dtype=_DTYPES[dtype], device=device))
            else:
                made.append(torch.empty_strided(shape, strides, dtype=_DTYPES[dtype], device=device))
        return made[0] if len(made) == 1 else tuple(made)

    return fake


def _torch_libraries() -> list[ctypes.CDLL]:
    """The libraries of torch with its C interface that this process has loaded."""
    found = []
    for name in ("libtorch_cpu.so", "libtorch_cuda.so"):
        path = Path(torch.__file__).parent / "lib" / name
        try:
            found.append(ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD | os.RTLD_LAZY))
        except OSError:
            # A torch without CUDA, or one whose libraries have other names.
            pass
    return found


_libraries = [ctypes.CDLL(None), *_torch_libraries()]


def _torch_function(name: str) -> int:
    """The address of a function of torch's C interface; 0 if this torch lacks it."""
    for library in _libraries:
        if function := getattr(library, name, None):
            return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0


def _choose_implementation(lookup: Callable[[str], int]) -> str:
    """ "native" if torch has what native implementations need, else "python"."""
    guarded = hasattr(torch.ops.aten.add, "_op") and hasattr(torch.ops.aten.add.default, "_op")
    return "native" if guarded and not _native.bind_torch(lookup) else "python"


implementation = _choose_implementation(_torch_function)
"""The kind of the implementations: "native" or "python". An operator beyond the 256th has one of Python in any case."""


def _implement(op: _Op, name: str, with_outputs: bool, function: Callable[..., Any]) -> None:
    """Implements an operator for CUDA tensors."""
    if implementation != "native" or not _native.implement_torch(op.name, name, op.types(with_outputs), with_outputs):
        _library.impl(name, function, "CUDA")
        return
    packet = getattr(torch.ops.kerncast, name)
    for operator in (packet, packet.default):
        guarded = _native.guard_torch(operator._op, function)
        guarded.__module__ = operator._op.__module__
        operator._op = guarded
        # torch.jit.script knows the operations that torch made by their addresses.
        torch.jit._builtins._register_builtin(guarded, f"kerncast::{name}")


def operator_name(op: str) -> str:
    """The name in `torch.ops.kerncast` of an op such as "norm.rms_norm". It is "rms_norm", and "norm_rms_norm" if another
    family has an op of that name."""
    return _names[op]


def _choose_name(op: str) -> str:
    """The name of an op's operator. Ops of one's own never change the names of others, whenever they are registered."""
    known = ops()
    others = known[: known.index(op)] if op in _own_ops else [other for other in known if other not in _own_ops]
    name = op.split(".")[1]
    clash = any(other != op and other.split(".")[1] == name for other in others)
    return op.replace(".", "_") if clash else name


def register(op: str) -> str:
    """Registers the operators of an op and returns their name. The ops of the library and those of register_op are registered
    already."""
    if op in _names:
        return _names[op]
    described = _Op(op)
    name = _choose_name(op)
    functional, out = _native.torch_functions(op)
    tags = [torch.Tag.pt2_compliant_tag, torch.Tag.needs_exact_strides]
    forms = [(name, False, functional, _fake(described) if described.results else lambda *_, **__: None)]
    if described.results:
        forms.append((f"{name}_out", True, out, lambda *_, **__: None))
    for full, with_outputs, function, fake in forms:
        _library.define(full + described.schema(with_outputs), tags=tags)
        _implement(described, full, with_outputs, function)
        torch.library.register_fake(f"kerncast::{full}", fake, lib=_library)
    _names[op] = name
    return name


def _register_all() -> None:
    for op in ops():
        register(op)


_register_all()
