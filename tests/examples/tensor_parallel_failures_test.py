"""Runs examples/tensor_parallel where it must fail: each failure ends every process, with its reason and a code of failure.

Usage: tensor_parallel_failures_test.py PROGRAM
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 90


def run(program: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code of the program and all that it prints."""
    done = subprocess.run(
        [program, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def children_of(process: int, count: int) -> list[int]:
    """The first `count` children of a process, in the order in which it started them."""
    listing = Path(f"/proc/{process}/task/{process}/children")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        children = [int(child) for child in listing.read_text(encoding="ascii").split()]
        if len(children) >= count:
            return children
        time.sleep(0.001)
    raise TimeoutError(f"process {process} has started fewer than {count} ranks")


def expect(what: str, result: tuple[int, str], code: int, *texts: str) -> None:
    missing = [text for text in texts if text not in result[1]]
    if result[0] != code or missing:
        sys.exit(f"{what}: ended with {result[0]} and not {code}, or without {missing}:\n{result[1]}")


def kill_rank_1(program: str) -> tuple[int, str]:
    """Kills rank 1 of 3 as soon as there are three."""
    with subprocess.Popen(
        [program, "--ranks", "3"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        os.kill(children_of(process.pid, 3)[1], signal.SIGKILL)
        output, _ = process.communicate(timeout=SECONDS)
        return process.returncode, output


def main() -> int:
    program = sys.argv[1]
    for arguments in (["--ranks", "1"], ["--ranks", "9"], ["--ranks", "2x"], ["--ranks"], ["--tanks", "2"]):
        expect(f"the arguments {arguments}", run(program, *arguments), 2, "usage: tensor_parallel [--ranks N]")
    expect("no device", run(program, KERNCAST_SIM_DEVICES="0"), 1, "rank 0: ", "device", "2 of 2 ranks failed")
    faults = run(program, KERNCAST_SIM_DEVICES="2", KERNCAST_SIM_FAULTS="fault=8")
    expect("a kernel with a fault", faults, 1, "CUDA_ERROR_ILLEGAL_ADDRESS", "2 of 2 ranks failed")
    expect(
        "a killed rank",
        kill_rank_1(program),
        1,
        "rank 0: rank 1 ended before the others",
        "rank 2: rank 0 ended before the others",
        "rank 1 was ended by signal 9",
        "3 of 3 ranks failed",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
