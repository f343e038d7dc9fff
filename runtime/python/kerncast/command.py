"""The `kerncast` command of the package."""

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Becomes the program that lies in the package, which finds the virtual GPU beside it."""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kerncast")
    os.execv(program, [program, *sys.argv[1:]])
