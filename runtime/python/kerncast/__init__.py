"""Kernels for inference engines, compiled when they are first needed.

Each family of ops is a module: `kerncast.norm.rms_norm(x, weight)`. Tensors are those of any library with DLPack whose
memory is on the device, or kerncast.Tensor.
"""

from __future__ import annotations

import sys as _sys
import types as _types
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
    "OutOfMemoryError",
    "Prepared",
    "Tensor",
    "UnsupportedError",
    "__version__",
    "cache_metrics",
    "call",
    "empty",
    "from_numpy",
    "last_fault",
    "ops",
    "prepare",
    "synchronize",
    "to_numpy",
]

_functions: dict[str, _Any] = {}


def _add_families() -> None:
    """Makes a module of each family from the definitions of its ops."""
    for family, name, function in _native.functions():
        full = f"{__name__}.{family}"
        module = _sys.modules.get(full)
        if module is None:
            module = _types.ModuleType(full, f"The ops of the family {family}.")
            _sys.modules[full] = module
            globals()[family] = module
        setattr(module, name, function)
        _functions[f"{family}.{name}"] = function


_add_families()
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


def synchronize(device: int = 0) -> None:
    """Waits for all work on a device. A fault of a kernel raises DriverError with what the driver tells of it."""
    _native.synchronize(device)
