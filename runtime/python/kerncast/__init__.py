"""Kernels for inference engines, compiled when they are first needed.

Each family of ops is a module: `kerncast.norm.rms_norm(x, weight)`. Tensors are those of any library with DLPack whose
memory is on the device, or kerncast.Tensor.
"""

from __future__ import annotations

import sys as _sys
import types as _types
from importlib.util import find_spec as _find_module
from typing import Any as _Any

from kerncast import _native
from kerncast._native import Prepared, Tensor, __version__, cache_metrics, last_fault, prepare
from kerncast.arrays import empty, from_numpy, to_numpy
from kerncast.errors import (
    CacheMissError,
    CaptureMissError,
    CompileError,
    DriverError,
    InternalError,
    InvalidArgumentError,
    IoError,
    KerncastError,
    NotFoundError,
    OutOfMemoryError,
    UnsupportedError,
)
from kerncast.own_op import OpDefinition, Param, Scalar, TensorArgument, Tunable, describe as _describe

__all__ = [
    "CacheMissError",
    "CaptureMissError",
    "CompileError",
    "DriverError",
    "InternalError",
    "InvalidArgumentError",
    "IoError",
    "KerncastError",
    "NotFoundError",
    "OpDefinition",
    "OutOfMemoryError",
    "Param",
    "Prepared",
    "Scalar",
    "Tensor",
    "TensorArgument",
    "Tunable",
    "UnsupportedError",
    "__version__",
    "cache_metrics",
    "call",
    "empty",
    "from_numpy",
    "last_fault",
    "ops",
    "prepare",
    "register_op",
    "synchronize",
    "to_numpy",
]

_functions: dict[str, _Any] = {}
_own_ops: set[str] = set()


def _add_function(family: str, name: str, function: _Any) -> None:
    """Adds an op to the module of its family, which is made if it is missing."""
    full = f"{__name__}.{family}"
    module = _sys.modules.get(full)
    if module is None:
        module = _types.ModuleType(full, f"The ops of the family {family}.")
        _sys.modules[full] = module
        globals()[family] = module
    setattr(module, name, function)
    _functions[f"{family}.{name}"] = function


for _function in _native.functions():
    _add_function(*_function)
setattr(Tensor, "numpy", to_numpy)


def ops() -> list[str]:
    """The names of all ops, such as "norm.rms_norm"."""
    return list(_functions)


def call(op: str, /, *args: _Any, **kwargs: _Any) -> _Any:
    """Calls the op by its name, with the arguments of its function."""
    function = _functions.get(op)
    if function is None:
        function = _functions[_native.require(op)]
    return function(*args, **kwargs)


def register_op(definition: OpDefinition) -> _Any:
    """Registers an op of one's own and returns its function, which is in the module of its family too.

    The op lives as long as the process. Its name must be free; at most 64 ops are possible.
    """
    description = _describe(definition)
    family = definition.name.split(".")[0]
    known = any(op.startswith(f"{family}.") for op in _functions)
    if not known and (family in globals() or _find_module(f"{__name__}.{family}") is not None):
        raise InvalidArgumentError(f"{definition.name}: 'kerncast.{family}' is no family of ops; name another one")
    family, name, function = _native.register_op(description)
    _own_ops.add(definition.name)
    _add_function(family, name, function)
    if torch_operators := _sys.modules.get(f"{__name__}.torch"):
        torch_operators.register(definition.name)
    return function


def synchronize(device: int = 0) -> None:
    """Waits for all work on a device. A fault of a kernel raises DriverError with what the driver tells of it."""
    _native.synchronize(device)
