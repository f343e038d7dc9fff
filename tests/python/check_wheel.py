"""Checks what a wheel holds: everything that the package needs, nothing that only a build needs, and not too much.

Usage: check_wheel.py FOLDER

FOLDER holds the wheel and no other.
"""

import re
import sys
import zipfile
from pathlib import Path

BOUND = 12 << 20  # bytes
PACKAGE = [
    r"__init__\.py",
    r"__init__\.pyi",
    r"_native\.abi3\.so",
    r"_native\.pyi",
    r"command\.py",
    r"cudart/libcudart\.so\.13",
    r"kerncast",
    r"libkerncast\.so\.\d[.\d]*",
    r"libkerncast-sim\.so",
    r"norm\.pyi",
    r"py\.typed",
]
STRANGERS = re.compile(r"\.(a|o|h|hpp|cuh|cmake|pc|cpp|pyc)$")


def faults(wheel):
    """What is wrong with a wheel, as a list of sentences."""
    found = []
    if "-cp310-abi3-" not in wheel.name:
        found.append(f"{wheel.name} is not for every CPython from 3.10 on")
    if wheel.stat().st_size > BOUND:
        found.append(f"{wheel.name} has {wheel.stat().st_size} bytes; the bound is {BOUND}")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    found += [f"{name} does not belong in a wheel" for name in names if STRANGERS.search(name)]
    for pattern in PACKAGE:
        count = sum(re.fullmatch("kerncast/" + pattern, name) is not None for name in names)
        if count != 1:
            found.append(f"{count} files of the wheel match kerncast/{pattern}; one has to")
    return found


def main():
    """Prints the size and every fault of the wheel."""
    wheels = list(Path(sys.argv[1]).glob("*.whl"))
    if len(wheels) != 1:
        sys.exit(f"{sys.argv[1]} holds {len(wheels)} wheels; one is expected")
    found = faults(wheels[0])
    print("\n".join([f"{wheels[0].name}: {wheels[0].stat().st_size / (1 << 20):.1f} MiB", *found]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
