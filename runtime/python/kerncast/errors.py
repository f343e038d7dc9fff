"""The exceptions of Kerncast: one for each code of the C++ library, with the same text."""


class KerncastError(Exception):
    """An error of Kerncast. `driver_result` is the CUresult of the driver, or 0."""

    code = "internal"

    def __init__(self, message: str, driver_result: int = 0) -> None:
        super().__init__(message)
        self.driver_result = driver_result


class InvalidArgumentError(KerncastError, ValueError):
    """A tensor, a parameter or an option breaks a constraint; the message names the remedy."""

    code = "invalid_argument"


class UnsupportedError(KerncastError):
    """The call is valid, but this device, driver or compiler does not offer it."""

    code = "unsupported"


class NotFoundError(KerncastError, LookupError):
    """An op, a file, a library, a device or a compiler does not exist."""

    code = "not_found"


class CompileError(KerncastError):
    """NVRTC refused the generated source; the message holds source, options and log."""

    code = "compile_failed"


class DriverError(KerncastError):
    """A call of the driver failed, or a kernel had a fault."""

    code = "driver_error"


class OutOfMemoryError(KerncastError, MemoryError):
    """There is no more memory of the host or of the device."""

    code = "out_of_memory"


class IoError(KerncastError, OSError):
    """A file could not be read or written."""

    code = "io_error"

    def __init__(self, message: str, driver_result: int = 0) -> None:
        OSError.__init__(self, message)
        self.driver_result = driver_result


class CaptureMissError(KerncastError):
    """A kernel is not cached while a CUDA graph is captured, so nothing is compiled."""

    code = "capture_miss"


class CacheMissError(KerncastError):
    """A kernel is not cached, and strict mode forbids compiling it."""

    code = "cache_miss"


class InternalError(KerncastError):
    """A defect of Kerncast."""

    code = "internal"


_BY_CODE: "dict[str, type[KerncastError]]" = {
    kind.code: kind
    for kind in (
        InvalidArgumentError,
        UnsupportedError,
        NotFoundError,
        CompileError,
        DriverError,
        OutOfMemoryError,
        IoError,
        CaptureMissError,
        CacheMissError,
        InternalError,
    )
}


def from_code(code: str, message: str, driver_result: int = 0) -> KerncastError:
    """The exception for an error code of the library."""
    return _BY_CODE.get(code, InternalError)(message, driver_result)
