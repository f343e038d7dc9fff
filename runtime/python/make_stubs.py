"""Writes the stub file of each family of ops into the package.

Usage: make_stubs.py FOLDER, where FOLDER holds the package kerncast
"""

import sys
from pathlib import Path

TYPES = {
    "tensor": "Any",
    "tensor?": "Any | None",
    "float": "float",
    "int": "int",
    "bool": "bool",
    "choice": "str",
    "dtype": "Any | None",
    "output": "Any | None",
    "outputs": "tuple[Any, ...] | None",
    "stream": "Any | None",
}


def stub(name, function, arguments):
    """The stub of one function."""
    parts = []
    for line in arguments.splitlines():
        argument, kind, default = line.split("\t")
        if not kind.startswith("tensor") and "*" not in parts:
            parts.append("*")
        annotation = TYPES[kind]
        if default == "None" and "None" not in annotation:
            annotation += " | None"
        parts.append(f"{argument}: {annotation}" + (f" = {default}" if default else ""))
    text = function.__doc__.replace("\\", "\\\\").replace('"""', "'''")
    indented = "\n".join(f"    {line}" if line else "" for line in text.splitlines())
    return f"def {name}(\n    {', '.join(parts)}\n) -> Any:\n    \"\"\"{indented.strip()}\n    \"\"\"\n"


def main():
    """Imports the package and writes the stubs beside it."""
    folder = Path(sys.argv[1])
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    from kerncast import _native

    families = {}
    for family, name, function in _native.functions():
        families.setdefault(family, []).append(stub(name, function, _native.arguments(f"{family}.{name}")))
    for family, stubs in families.items():
        text = "from typing import Any\n\n" + "\n".join(stubs)
        (folder / "kerncast" / f"{family}.pyi").write_text(text)
    package = (folder / "kerncast" / "__init__.py").read_text()
    imports = f"from kerncast import {', '.join(sorted(families))}\n"
    marker = "from kerncast import _native\n"
    (folder / "kerncast" / "__init__.pyi").write_text(package.replace(marker, marker + imports, 1))


if __name__ == "__main__":
    main()
