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


def medians_ns(*works):
    """Medians of works that take turns batch by batch, so that the load of the machine is the same for all."""
    times = [[] for _ in works]
    for _ in range(101):
        for work, found in zip(works, times):
            start = time.perf_counter_ns()
            for _ in range(BATCH):
                work()
            found.append((time.perf_counter_ns() - start) / BATCH)
    return [statistics.median(found) for found in times]


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
    in_python = torch.library.Library("kerncast_python", "DEF")
    functions = kerncast._native.torch_functions("norm.rms_norm")
    nothing = (lambda x, weight, eps: y, lambda x, weight, y, eps: None)
    for operator, empty, whole in zip((functional, out), nothing, functions):
        schema = str(operator._schema).replace("kerncast::", "")
        for each, function in ((library, empty), (in_python, whole)):
            each.define(schema)
            each.impl(schema.split("(")[0], function, "CUDA")
    empty, python = torch.ops.kerncast_empty, torch.ops.kerncast_python
    empty_out, python_out, native_out, empty_functional, python_functional, native_functional = medians_ns(
        lambda: empty.rms_norm_out.default(x, w, y=y, eps=1e-5),
        lambda: python.rms_norm_out.default(x, w, y=y, eps=1e-5),
        lambda: out(x, w, y=y, eps=1e-5),
        lambda: empty.rms_norm.default(x, w, eps=1e-5),
        lambda: python.rms_norm.default(x, w, eps=1e-5),
        lambda: functional(x, w, eps=1e-5),
    )
    return [
        ("typed call, torch", median_ns(lambda: rms_norm(x, w, out=y, eps=1e-5)), TYPED_NS, "ns"),
        ("prepared call, torch", median_ns(prepared), PREPARED_NS, "ns"),
        ("an empty out operator", empty_out, None, "ns"),
        ("rms_norm_out, Python", python_out, None, "ns"),
        ("rms_norm_out", native_out, None, "ns"),
        ("rms_norm_out over empty", native_out - empty_out, OVER_EMPTY_NS, "ns"),
        ("native / Python", native_out / python_out, 1, ""),
        ("an empty operator", empty_functional, None, "ns"),
        ("rms_norm, Python", python_functional, None, "ns"),
        ("rms_norm", native_functional, None, "ns"),
        ("native / Python", native_functional / python_functional, 1, ""),
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
        print(f"{name:<24}{time_taken:8.{1 if unit else 2}f} {unit}{verdict}")
    return any(bound is not None and time_taken > bound for _, time_taken, bound, _ in rows)


if __name__ == "__main__":
    sys.exit(main())
