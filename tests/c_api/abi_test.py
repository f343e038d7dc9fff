"""Compares the binary interface of the C API with its list, abi.txt, and keeps private rooms out of the shared library.

The interface is what the program abi_print prints (constants, sizes and offsets) and the names that the library exports
to C. A change that adds to it is announced by a line in the list; no line of a released list changes.

Usage: abi_test.py LIBRARY PRINTER LIST [--update]
"""

import difflib
import pathlib
import re
import subprocess
import sys

# Rooms that a host never sees. Their namespaces stand behind the length of their names in a mangled name.
PRIVATE = ["cache", "driver", "compiler", "sim", "devices", "host", "c_api"]


def exported(library: str) -> list[tuple[str, str]]:
    """The names that the library exports, each with its symbol version."""
    command = ["nm", "--dynamic", "--defined-only", "--with-symbol-versions", library]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [match.groups() for line in lines if (match := re.search(r" [A-Z] (\S+?)@@?(\S+)$", line))]


def interface(library: str, printer: str) -> list[str]:
    """The lines of the interface as the list has them."""
    layout = subprocess.run([printer], check=True, capture_output=True, text=True).stdout.splitlines()
    # The versions themselves are names too, in capitals.
    c_names = [(name, version) for name, version in exported(library) if not name.startswith(("_Z", "KERNCAST_"))]
    return layout + sorted(f"symbol {version} {name}" for name, version in c_names)


def private(names: list[str]) -> list[str]:
    """The names that belong to a private room."""
    rooms = "|".join(f"{len(room)}{room}" for room in PRIVATE)
    return [name for name in names if re.match(rf"_Z(?:N|NK|TIN|TSN|TVN)8kerncast(?:{rooms})", name)]


def main() -> int:
    library, printer, path = sys.argv[1:4]
    found = interface(library, printer)
    listed = pathlib.Path(path)
    if "--update" in sys.argv:
        listed.write_text("\n".join(found) + "\n")
        return 0
    difference = list(
        difflib.unified_diff(listed.read_text().splitlines(), found, "abi.txt", "built", lineterm="", n=0)
    )
    if difference:
        print(
            "The binary interface of the C API has changed. If that is meant, tests/c_api/abi_test.py --update lists it:"
        )
        print("\n".join(difference))
    leaked = private([name for name, _ in exported(library)])
    if leaked:
        print("The shared library exports names of private rooms:\n" + "\n".join(leaked))
    return 1 if difference or leaked else 0


if __name__ == "__main__":
    sys.exit(main())
