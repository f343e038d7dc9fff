"""Measures calls from Python with a driver whose launches return at once.

Usage: python_dispatch.py PACKAGE_FOLDER DRIVER

Prints the time of an import, of a typed call with three tensors and of a prepared call. Fails if one misses its bound.
"""

import os
import statistics
import subprocess
import sys
import time

IMPORT_MS, TYPED_NS, PREPARED_NS = 100, 800, 300
BATCH = 2000


def median_ns(work):
    """Median over 101 batches, without the time of the loop."""
    times = []
    for _ in range(101):
        start = time.perf_counter_ns()
        for _ in range(BATCH):
            pass
        middle = time.perf_counter_ns()
        for _ in range(BATCH):
            work()
        times.append((time.perf_counter_ns() - middle - (middle - start)) / BATCH)
    return statistics.median(times)


def import_ms():
    """Median time of an import in new processes, without the start of Python."""
    program = "import time; t = time.perf_counter(); import kerncast; print((time.perf_counter() - t) * 1e3)"
    runs = [subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout for _ in range(9)]
    return statistics.median(float(run) for run in runs)


def main():
    """Prints the figures, and returns 1 if one misses its bound."""
    os.environ["PYTHONPATH"] = sys.argv[1]
    os.environ["KERNCAST_DRIVER"] = sys.argv[2]
    sys.path.insert(0, sys.argv[1])
    import kerncast

    x, w, y = (kerncast.empty(shape, "bf16") for shape in ((16, 7168), (7168,), (16, 7168)))
    rms_norm = kerncast.norm.rms_norm
    prepared = kerncast.prepare("norm.rms_norm", x, w, out=y, eps=1e-5)
    rows = [
        ("import", import_ms(), IMPORT_MS, "ms"),
        ("typed call", median_ns(lambda: rms_norm(x, w, out=y, eps=1e-5)), TYPED_NS, "ns"),
        ("prepared call", median_ns(prepared), PREPARED_NS, "ns"),
    ]
    for name, time_taken, bound, unit in rows:
        verdict = "pass" if time_taken <= bound else "FAIL"
        print(f"{name:<14}{time_taken:8.1f} {unit}  bound {bound} {unit}  {verdict}")
    return any(time_taken > bound for _, time_taken, bound, _ in rows)


if __name__ == "__main__":
    sys.exit(main())
