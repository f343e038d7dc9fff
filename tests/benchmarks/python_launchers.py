"""Measures the cost of a launch from Python by several libraries, with a driver whose launches return at once.

Usage: python_launchers.py PACKAGE_FOLDER DRIVER [--ready]

It is run by a Python that has what is to be compared; nothing is installed:

    python3 -m venv launchers
    launchers/bin/pip install numpy cuda-core cuda-bindings triton cupy-cuda13x
    launchers/bin/python tests/benchmarks/python_launchers.py build/python build/libidle_driver.so

Each launch has the arguments of an RMSNorm: three tensors and eps. Libraries take turns, batch by batch, so that load of the
machine hits all alike. What cannot be had is named with the reason. A C compiler and the headers of Python are needed for Triton.
"""

import ctypes
import os
import pathlib
import statistics
import sys
import tempfile
import time

# Batches are so short that most of them run without an interruption.
ROUNDS, BATCH = 1001, 50
ROWS, HIDDEN = 16, 7168

TEXT = r"""
extern "C" __global__ void rms_norm(const void* x, const void* weight, void* y, float eps) {}
"""


class DlTensor(ctypes.Structure):
    """kerncast_dl_tensor of kerncast/dlpack.h."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("dtype", ctypes.c_uint8 * 4),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]


def bf16_tensor(address, *shape):
    """A DLPack tensor in device memory."""
    bfloat_16_bits_one_lane = (4, 16, 1, 0)
    cuda_device_0 = (2, 0)
    return DlTensor(
        address,
        (ctypes.c_int32 * 2)(*cuda_device_0),
        len(shape),
        (ctypes.c_uint8 * 4)(*bfloat_16_bits_one_lane),
        (ctypes.c_int64 * len(shape))(*shape),
        None,
        0,
    )


def kerncast_launchers():
    """The package's typed call and handle, and the handle of the C API by ctypes."""
    import kerncast

    x, w, y = (kerncast.empty(shape, "bf16") for shape in ((ROWS, HIDDEN), (HIDDEN,), (ROWS, HIDDEN)))
    rms_norm = kerncast.norm.rms_norm
    prepared = kerncast.prepare("norm.rms_norm", x, w, out=y, eps=1e-5)
    yield "kerncast, typed call", lambda: rms_norm(x, w, out=y, eps=1e-5)
    yield "kerncast, handle", lambda: prepared()
    yield "kerncast, handle with new tensors", lambda: prepared(x, w, out=y)

    loaded = pathlib.Path("/proc/self/maps").read_text().split()
    library = ctypes.CDLL(next(word for word in loaded if "/libkerncast.so" in word))

    def call(name, *arguments):
        error = ctypes.c_void_p()
        if getattr(library, name)(*arguments, ctypes.byref(error)) != 0:
            library.kerncast_error_message.restype = ctypes.c_char_p
            raise RuntimeError(library.kerncast_error_message(error).decode())

    runtime, op, arguments, handle = (ctypes.c_void_p() for _ in range(4))
    call("kerncast_runtime_instance", ctypes.byref(runtime))
    call("kerncast_make_current", runtime, 0)
    call("kerncast_op_find", b"norm.rms_norm", ctypes.byref(op))
    call("kerncast_arguments_create", op, ctypes.byref(arguments))
    for name, tensor, shape in (("x", x, (ROWS, HIDDEN)), ("weight", w, (HIDDEN,)), ("y", y, (ROWS, HIDDEN))):
        call(
            "kerncast_arguments_set_tensor",
            arguments,
            name.encode(),
            ctypes.byref(bf16_tensor(tensor.data_ptr, *shape)),
        )
    call("kerncast_prepare", runtime, arguments, None, ctypes.byref(handle))
    launch, null = library.kerncast_prepared_launch, ctypes.c_void_p()
    launch.argtypes = [ctypes.c_void_p] * 3
    yield "kerncast, handle of the C API by ctypes", lambda: launch(handle, null, null)


def cuda_core_launchers():
    """launch() of cuda.core, NVIDIA's own."""
    import cuda.core as core

    device = core.Device()
    device.set_current()
    stream = device.create_stream()
    options = core.ProgramOptions(std="c++17", arch=f"sm_{device.arch}")
    kernel = core.Program(TEXT, code_type="c++", options=options).compile("ptx").get_kernel("rms_norm")
    x, w, y = (device.allocate(ROWS * HIDDEN * 2, stream=stream) for _ in range(3))
    config = core.LaunchConfig(grid=ROWS, block=256)
    eps = ctypes.c_float(1e-5)
    launch = core.launch
    yield "cuda.core, launch()", lambda: launch(stream, config, kernel, x, w, y, eps)


class Pointer:
    """A tensor for Triton, whose data_ptr() is as cheap as a method in C."""

    __slots__ = ("data_ptr", "dtype", "owner")

    def __init__(self, owner):
        self.data_ptr = owner.data_ptr.__int__
        self.dtype = "bfloat16"
        self.owner = owner


def triton_launchers():
    """A jitted function of Triton, and the kernel that it compiled."""
    import kerncast
    import triton

    @triton.jit
    def rms_norm(x, weight, y, eps):
        pass

    x, w, y = (Pointer(kerncast.empty((ROWS, HIDDEN), "bf16")) for _ in range(3))
    grid = (ROWS, 1, 1)
    function = rms_norm[grid]
    kernel = function(x, w, y, 1e-5)
    compiled = kernel[grid]
    yield "triton, jitted function", lambda: function(x, w, y, 1e-5)
    yield "triton, compiled kernel", lambda: compiled(x, w, y, 1e-5)


def cupy_launchers():
    """RawKernel of CuPy."""
    import cupy

    kernel = cupy.RawKernel(TEXT, "rms_norm")
    x, w, y = (cupy.empty((ROWS, HIDDEN), dtype="uint16") for _ in range(3))
    eps = cupy.float32(1e-5)
    grid, block = (ROWS,), (256,)
    yield "cupy, RawKernel", lambda: kernel(grid, block, (x, w, y, eps))


def batch_ns(work):
    """Time of one launch over one batch, with the loop."""
    start = time.perf_counter_ns()
    for _ in range(BATCH):
        work()
    return (time.perf_counter_ns() - start) / BATCH


def compare():
    """Prints the median of each launch, without the time of the loop and of an empty function."""
    launchers, missing = [("nothing", lambda: None, [])], []
    for find in (kerncast_launchers, cuda_core_launchers, triton_launchers, cupy_launchers):
        try:
            for name, work in find():
                work()
                launchers.append((name, work, []))
        except Exception as error:
            missing.append(f"{find.__doc__} Not measured: {type(error).__name__}: {str(error).splitlines()[0]}")
    for _ in range(ROUNDS):
        for _, work, times in launchers:
            times.append(batch_ns(work))
    loop = statistics.median(launchers[0][2])
    for name, _, times in launchers[1:]:
        print(f"{name:<42}{statistics.median(times) - loop:9.0f} ns")
    print("\n".join(missing))


def main():
    """Starts itself anew with the driver in the place of libcuda.so.1, and compares there."""
    package, driver = (os.path.abspath(argument) for argument in sys.argv[1:3])
    if sys.argv[3:] == ["--ready"]:
        sys.path.insert(0, package)
        compare()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(driver, os.path.join(folder, "libcuda.so.1"))
        environment = dict(os.environ, KERNCAST_DRIVER=driver, KERNCAST_SIM_REPORT="off")
        environment["LD_LIBRARY_PATH"] = ":".join(filter(None, [folder, os.environ.get("LD_LIBRARY_PATH")]))
        environment["TRITON_CACHE_DIR"] = os.path.join(folder, "triton")
        command = [sys.executable, __file__, package, driver, "--ready"]
        return os.spawnve(os.P_WAIT, sys.executable, command, environment)


if __name__ == "__main__":
    sys.exit(main())
