"""Copies between device memory and NumPy arrays. NumPy is imported by the functions that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from kerncast._native import Tensor

if TYPE_CHECKING:
    import numpy

# Names of ml_dtypes for the element types that NumPy does not have.
_ML_DTYPES = {
    "bf16": "bfloat16",
    "fp8_e4m3": "float8_e4m3fn",
    "fp8_e5m2": "float8_e5m2",
    "ue8m0": "float8_e8m0fnu",
}
_NUMPY = {
    "f32": "float32",
    "f16": "float16",
    "f64": "float64",
    "i8": "int8",
    "u8": "uint8",
    "i32": "int32",
    "i64": "int64",
}


def _numpy_dtype(name: str) -> Any:
    """NumPy's dtype for one of Kerncast; unsigned integers of the same size without ml_dtypes."""
    import numpy

    if name in _NUMPY:
        return numpy.dtype(_NUMPY[name])
    try:
        import ml_dtypes
    except ImportError:
        return numpy.dtype("uint16" if name == "bf16" else "uint8")
    return numpy.dtype(getattr(ml_dtypes, _ML_DTYPES[name]))


def empty(shape: Sequence[int], dtype: Any = "bf16", device: int = 0, strides: Sequence[int] | None = None) -> Tensor:
    """A tensor of device memory whose contents are undefined. Strides are in elements."""
    return Tensor(shape, dtype, device, strides)


def from_numpy(array: Any, dtype: Any = None, device: int = 0) -> Tensor:
    """A copy of a NumPy array in device memory. With `dtype`, elements of the same size are read as that type."""
    import numpy

    array = numpy.asarray(array, order="C")
    tensor = Tensor(array.shape, array.dtype.name if dtype is None else dtype, device)
    if tensor.span_bytes != array.nbytes:
        raise ValueError(
            f"elements of {array.dtype} have {array.itemsize} bytes and cannot be read as {tensor.dtype}; convert "
            f"the array first"
        )
    if array.nbytes:
        tensor._copy_from_address(array.ctypes.data)
    return tensor


def to_numpy(tensor: Tensor) -> "numpy.ndarray[Any, Any]":
    """A copy of a tensor as a NumPy array. It waits for the legacy default stream, so a fault of a kernel shows here.

    bf16, fp8 and ue8m0 have the types of ml_dtypes where that is installed, else unsigned integers.
    """
    import numpy

    dtype = _numpy_dtype(tensor.dtype)
    storage = numpy.empty(tensor.span_bytes // dtype.itemsize, dtype)
    if not storage.size:
        return numpy.empty(tensor.shape, dtype)
    tensor._copy_to_address(storage.ctypes.data)
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    return numpy.array(numpy.lib.stride_tricks.as_strided(storage, tensor.shape, strides))
