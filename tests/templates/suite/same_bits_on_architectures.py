"""Runs every op on virtual devices of several architectures and checks that the results have the same bits.

Usage: same_bits_on_architectures.py OP_SUITE_TEST
"""

import os
import subprocess
import sys

ARCHITECTURES = ["sm_80", "sm_75", "sm_89", "sm_90a", "sm_100a", "sm_120a"]


def digests(program, arch):
    environment = dict(os.environ, KERNCAST_DRIVER="sim", KERNCAST_SIM_ARCH=arch)
    run = subprocess.run([program, "[.digests]"], env=environment, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"the ops failed on {arch}:\n{run.stdout[-3000:]}{run.stderr[-1000:]}")
    lines = [line.rsplit(" ", 1) for line in run.stdout.splitlines() if line.startswith("digest ")]
    return {what: digest for what, digest in lines}


def main():
    program = sys.argv[1]
    first = digests(program, ARCHITECTURES[0])
    ops = {what.split()[1] for what in first}
    assert len(ops) >= 35, f"only {len(ops)} ops have digests"
    different = []
    for arch in ARCHITECTURES[1:]:
        other = digests(program, arch)
        assert other.keys() == first.keys(), f"other results on {arch}: {other.keys() ^ first.keys()}"
        different += [f"{arch}: {what}" for what in first if other[what] != first[what]]
    if different:
        sys.exit("these differ from " + ARCHITECTURES[0] + ":\n" + "\n".join(different))
    print(f"{len(first)} results of {len(ops)} ops have the same bits on {', '.join(ARCHITECTURES)}")


if __name__ == "__main__":
    main()
