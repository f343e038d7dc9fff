"""Measures calls from Python with a driver whose launches return at once.

Usage: python_dispatch.py PACKAGE_FOLDER DRIVER

Prints the time of an import, of a typed call with three tensors and of a prepared call, and with torch those of its tensors
and of its operators. Fails if one misses its bound. tests/torch/run.sh BUILD ENVIRONMENT python_dispatch.py ... has torch.
"""

import os
import statistics
import subprocess
import sys
import time

IMPORT_MS, TYPED_NS, PREPARED_NS, OVER_EMPTY_NS = 100, 800, 300, 800
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


def torch_rows():
    """The rows of torch's tensors and operators; none if torch or its device is missing."""
    try:
        import torch
    except ImportError:
        return []
    if not torch.cuda.is_available():
        return []
    import kerncast.torch

    x, w, y = (torch.empty(shape, dtype=torch.bfloat16, device="cuda") for shape in ((16, 7168), (7168,), (16, 7168)))
    rms_norm = kerncast.norm.rms_norm
    prepared = kerncast.prepare("norm.rms_norm", x, w, out=y, eps=1e-5)
    functional, out = torch.ops.kerncast.rms_norm.default, torch.ops.kerncast.rms_norm_out.default
    library = torch.library.Library("kerncast_empty", "DEF")
    for operator, function in ((functional, lambda x, weight, eps: y), (out, lambda x, weight, y, eps: None)):
        schema = str(operator._schema).replace("kerncast::", "")
        library.define(schema)
        library.impl(schema.split("(")[0], function, "CUDA")
    empty = torch.ops.kerncast_empty
    over_out = median_ns(lambda: empty.rms_norm_out.default(x, w, y=y, eps=1e-5))
    over_functional = median_ns(lambda: empty.rms_norm.default(x, w, eps=1e-5))
    allocation = median_ns(lambda: torch.empty((16, 7168), dtype=torch.bfloat16, device="cuda"))
    return [
        ("typed call, torch", median_ns(lambda: rms_norm(x, w, out=y, eps=1e-5)), TYPED_NS, "ns"),
        ("prepared call, torch", median_ns(prepared), PREPARED_NS, "ns"),
        ("an empty out operator", over_out, None, "ns"),
        ("rms_norm_out over it", median_ns(lambda: out(x, w, y=y, eps=1e-5)) - over_out, OVER_EMPTY_NS, "ns"),
        ("an empty operator", over_functional, None, "ns"),
        ("torch.empty", allocation, None, "ns"),
        (
            "rms_norm over both",
            median_ns(lambda: functional(x, w, eps=1e-5)) - over_functional - allocation,
            None,
            "ns",
        ),
    ]


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
    rows += torch_rows()
    for name, time_taken, bound, unit in rows:
        verdict = "" if bound is None else f"  bound {bound} {unit}  {'pass' if time_taken <= bound else 'FAIL'}"
        print(f"{name:<22}{time_taken:8.1f} {unit}{verdict}")
    return any(bound is not None and time_taken > bound for _, time_taken, bound, _ in rows)


if __name__ == "__main__":
    sys.exit(main())
