"""Ops of one's own: a template with its parameters, tunables and arguments, which Kerncast specialises, caches and launches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Sequence

_DTYPES = ("f32", "f16", "bf16", "fp8_e4m3", "fp8_e5m2", "ue8m0", "i8", "u8", "i32", "i64", "f64")
_KINDS = ("int", "bool", "dtype", "choice")
_DIRECTIONS = ("in", "out", "inout")


@dataclass(frozen=True)
class Param:
    """A constant of the template, `Config::NAME`, and the constraint on it.

    An extent or a dtype of the tensors that has its name gives its value; else it is a setting of the call. `kind` is "int",
    "bool", "dtype" or "choice". `allowed` are the only valid integers or dtypes, or the names of the choices.
    """

    name: str
    kind: str = "int"
    minimum: int = 1
    maximum: int = 2**31 - 1
    multiple_of: int = 1
    allowed: Sequence[Any] = ()
    default: Any = None
    doc: str = ""


@dataclass(frozen=True)
class Tunable:
    """A constant of the template that changes speed and never a result. Its default is the first value if none is given."""

    name: str
    values: Sequence[int]
    default: int | None = None
    doc: str = ""


@dataclass(frozen=True)
class TensorArgument:
    """A contiguous tensor. Its extents are numbers or names; a name has one value in all tensors of a call.

    `dtype` is a dtype, or the name of a parameter that gets it. `direction` is "in", "out" or "inout".
    """

    name: str
    shape: Sequence[int | str]
    dtype: str
    direction: str = "in"
    doc: str = ""


@dataclass(frozen=True)
class Scalar:
    """A run-time number, a float in the kernel."""

    name: str
    default: float = 0.0
    doc: str = ""


@dataclass(frozen=True)
class OpDefinition:
    """An op of one's own.

    `source` is the text of the template, with `template <class Config> __global__ void KERNEL(ARGUMENTS_TYPE)`. `arguments`
    are the members of ARGUMENTS_TYPE in their order, by name: a tensor is a pointer, an extent a `long long`, a scalar a
    `float`. `rows` is the extent that tuning depends on. `geometry` gets `rows`, the parameters and the tunables by name, and
    returns grid and block, as tuples of up to three numbers, and optionally bytes of dynamic shared memory. `constraint`
    gets the parameters by name and returns the reason why they do not go together, or None. Both depend on nothing else.
    `waits_for_primary` says that the first statement of the kernel is `kerncast::begin_kernel()` of
    `device/programmatic_launch.cuh`, so that it may start before the kernel ahead of it in the stream ends.
    """

    name: str
    source: str
    kernel: str
    arguments_type: str
    tensors: Sequence[TensorArgument]
    arguments: Sequence[str]
    geometry: Callable[..., Any]
    params: Sequence[Param] = ()
    tunables: Sequence[Tunable] = ()
    scalars: Sequence[Scalar] = ()
    rows: str = "rows"
    constraint: Callable[..., str | None] | None = None
    summary: str = ""
    formula: str = ""
    waits_for_primary: bool = False


def _place(what: str, value: Any, values: Sequence[Any]) -> int:
    """The place of a value in a list. Raises ValueError, which names the valid ones."""
    if value not in values:
        raise ValueError(f"{what} is {value!r}; it must be one of {', '.join(map(str, values))}")
    return list(values).index(value)


def _number(param: Param, value: Any) -> int:
    """A value of a parameter as the library keeps it."""
    what = f"a value of parameter {param.name}"
    if param.kind == "dtype":
        return _place(what, value, _DTYPES)
    return _place(what, value, param.allowed) if param.kind == "choice" else int(value)


def _param_row(param: Param) -> tuple[Any, ...]:
    kind = _place(f"the kind of parameter {param.name}", param.kind, _KINDS)
    allowed = [_number(param, value) for value in param.allowed] if param.kind in ("int", "dtype") else []
    choices = [str(value) for value in param.allowed] if param.kind == "choice" else []
    default = None if param.default is None else _number(param, param.default)
    return (param.name, param.doc, kind, default, param.minimum, param.maximum, param.multiple_of, allowed, choices)


def describe(op: OpDefinition) -> tuple[Any, ...]:
    """The definition as the native module takes it: names are places in lists. Raises ValueError for a name that is none."""
    family, _, name = op.name.partition(".")
    if not (family.isidentifier() and name.isidentifier()):
        raise ValueError(f"the name of an op is {op.name!r}; it must be FAMILY.NAME, both of them identifiers")
    params = [param.name for param in op.params]
    extents = list(dict.fromkeys(n for tensor in op.tensors for n in tensor.shape if isinstance(n, str)))
    tensors = []
    for tensor in op.tensors:
        if any(isinstance(n, int) and n < 0 for n in tensor.shape):
            raise ValueError(f"the shape of tensor {tensor.name} is {tensor.shape}; extents are names or at least 0")
        shape = [n if isinstance(n, int) else -1 - extents.index(n) for n in tensor.shape]
        dtype = (
            -1 - params.index(tensor.dtype)
            if tensor.dtype in params
            else _place(f"the dtype of tensor {tensor.name}", tensor.dtype, _DTYPES)
        )
        direction = _place(f"the direction of tensor {tensor.name}", tensor.direction, _DIRECTIONS)
        doc = tensor.doc or f"[{', '.join(map(str, tensor.shape))}], {tensor.dtype}"
        tensors.append((tensor.name, doc, direction, shape, dtype))
    members = [*(t.name for t in op.tensors), *extents, *(s.name for s in op.scalars)]
    told = {*extents, *(tensor.dtype for tensor in op.tensors if tensor.direction != "out")}
    include = op.name.replace(".", "/") + ".cuh"
    return (
        (op.name, op.summary or op.name, op.formula or op.name, include, op.kernel, op.arguments_type, op.source),
        [_param_row(param) for param in op.params],
        [(t.name, t.doc, list(t.values), t.values[0] if t.default is None else t.default) for t in op.tunables],
        tensors,
        [(s.name, float(s.default), s.doc) for s in op.scalars],
        [(name, params.index(name) if name in params else -1) for name in extents],
        _place("rows", op.rows, extents),
        [_place("a member of arguments", name, members) for name in op.arguments],
        [name for name in params if name not in told],
        op.geometry,
        op.constraint,
        bool(op.waits_for_primary),
    )
