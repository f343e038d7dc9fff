"""Ends processes while threads of them compile, and demands that each ends by itself, at once and without a crash.

Usage: exit_test.py PROGRAM [COMMAND]

PROGRAM is exit_program. COMMAND is the kerncast command, for the mode in which worker processes compile.
"""

import subprocess
import sys
import tempfile

TURNS = 3


def failure(program: str, mode: str, rest: list[str]) -> str:
    """Runs the program with an empty cache; what was wrong, or nothing."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        try:
            ended = subprocess.run([program, mode, cache, *rest], capture_output=True, text=True, timeout=100)
        except subprocess.TimeoutExpired:
            return "it hangs"
    return "" if ended.returncode == 0 else f"exit code {ended.returncode}: {ended.stderr}"


def main() -> int:
    program, *command = sys.argv[1:]
    modes = [("instance", []), ("static", [])] + ([("workers", command)] if command else [])
    failures = [(mode, text) for mode, rest in modes for _ in range(TURNS) if (text := failure(program, mode, rest))]
    for mode, text in failures:
        print(f"{mode}: {text}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
