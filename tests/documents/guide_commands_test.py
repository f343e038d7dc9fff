"""Runs the shell blocks of the guide for hosts in an empty folder, then the test of the image that they make.

Usage: guide_commands_test.py SCRIPT COMMAND TEST_PROGRAM
"""

import os
import pathlib
import subprocess
import sys
import tempfile


def main() -> int:
    """Returns the exit code of the first step that fails."""
    script, command, program = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(
            os.environ,
            PATH=f"{command.parent}:{os.environ['PATH']}",
            TMPDIR=folder,
            KERNCAST_CACHE_DIR=f"{folder}/cache",
        )
        for step in (["bash", "-euo", "pipefail", str(script)], [str(program), "[.image]"]):
            result = subprocess.run(step, cwd=folder, env=environment, check=False)
            if result.returncode != 0:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
