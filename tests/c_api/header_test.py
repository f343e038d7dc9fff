"""Compiles kerncast/kerncast.h alone, as C99 and C++20, in every compiler of the machine, and beside a host's dlpack.h.

Usage: header_test.py INCLUDE_DIR
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

OPTIONS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]

# The types of DLPack 1.0 that meet those of Kerncast, with the guard and the names of its own header.
DLPACK = """#ifndef DLPACK_DLPACK_H_
#define DLPACK_DLPACK_H_
#define DLPACK_MAJOR_VERSION 1
#include <stdint.h>
typedef struct { uint32_t major; uint32_t minor; } DLPackVersion;
typedef enum { kDLCPU = 1, kDLCUDA = 2 } DLDeviceType;
typedef struct { DLDeviceType device_type; int32_t device_id; } DLDevice;
typedef struct { uint8_t code; uint8_t bits; uint16_t lanes; } DLDataType;
typedef struct {
  void* data; DLDevice device; int32_t ndim; DLDataType dtype; int64_t* shape; int64_t* strides; uint64_t byte_offset;
} DLTensor;
typedef struct DLManagedTensor {
  DLTensor dl_tensor; void* manager_ctx; void (*deleter)(struct DLManagedTensor* self);
} DLManagedTensor;
typedef struct DLManagedTensorVersioned {
  DLPackVersion version; void* manager_ctx; void (*deleter)(struct DLManagedTensorVersioned* self); uint64_t flags;
  DLTensor dl_tensor;
} DLManagedTensorVersioned;
#endif
"""
HEADER = "#include <kerncast/kerncast.h>\n"
SIZES = """typedef char same_size[sizeof(DLTensor) == sizeof(kerncast_dl_tensor) ? 1 : -1];
typedef char same_managed[sizeof(DLManagedTensorVersioned) == sizeof(kerncast_dl_managed_tensor_versioned) ? 1 : -1];
"""
USE = """kerncast_status set(kerncast_arguments* arguments, DLTensor* tensor) {
  return kerncast_arguments_set_tensor(arguments, "x", %s, NULL);
}
"""
DECLARATION = "kerncast_status set(kerncast_arguments* arguments, DLTensor* tensor);\n"
CASES = {
    "alone": HEADER + HEADER,
    "after dlpack.h": '#include "dlpack.h"\n' + HEADER + SIZES + DECLARATION + USE % "tensor",
    "before dlpack.h": HEADER + '#include "dlpack.h"\n' + SIZES + DECLARATION + USE % "(kerncast_dl_tensor*)tensor",
}


def main() -> int:
    failed = 0
    compiled = 0
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "dlpack.h").write_text(DLPACK)
        for compiler in ["gcc", "g++", "clang-19", "clang++-19", "clang", "clang++"]:
            if shutil.which(compiler) is None:
                continue
            standard, suffix = ("c++20", ".cpp") if compiler.startswith(("g++", "clang++")) else ("c99", ".c")
            for name, text in CASES.items():
                source = pathlib.Path(folder) / ("case" + suffix)
                source.write_text(text)
                command = [compiler, f"-std={standard}", *OPTIONS, f"-I{sys.argv[1]}", f"-I{folder}", str(source)]
                result = subprocess.run(command, capture_output=True, text=True)
                compiled += 1
                if result.returncode != 0:
                    failed += 1
                    print(f"{compiler} -std={standard}, the header {name}:\n{result.stderr}")
    print(f"{compiled} cases compiled, {failed} failed")
    return 1 if failed or compiled == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
