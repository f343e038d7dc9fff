"""Holds the shared library to the libraries that it may need: a host takes them along, and each brings its own.

Usage: library_needs_test.py LIBRARY
"""

import re
import subprocess
import sys

# The C library and the C++ library of either tool chain, and what the cache is made of.
ALLOWED = [
    "libc.so.",
    "libm.so.",
    "libdl.so.",
    "libpthread.so.",
    "ld-linux",
    "libgcc_s.so.",
    "libstdc++.so.",
    "libc++.so.",
    "libc++abi.so.",
    "libunwind.so.",
    "libatomic.so.",
    "libsqlite3.so.",
    "libxxhash.so.",
    "libzstd.so.",
    "libsodium.so.",
]


def main() -> int:
    library = sys.argv[1]
    text = subprocess.run(
        ["readelf", "--dynamic", "--wide", library], check=True, capture_output=True, text=True
    ).stdout
    needed = re.findall(r"\(NEEDED\).*\[([^\]]+)\]", text)
    foreign = [name for name in needed if not name.startswith(tuple(ALLOWED))]
    if not needed or foreign:
        print(
            f"{library} needs {', '.join(foreign) or 'nothing, so it was not read'}. A library that only some hosts need "
            "belongs into a module, as libcurl does; one that all need is added to this test."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
