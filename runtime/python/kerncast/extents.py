"""Extents of outputs as functions of an extent that is not known yet.

The definition of an op plans its outputs for numbers alone. So it is asked for many numbers, and the rule of each extent is
found in the answers. The rules are all those that ops have: an affine one, one that is rounded up, and the least of two.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Callable, Iterable, Sequence

# Small numbers show where the least of two changes, the run shows each place where a rounded extent steps, and the last
# two show its slope: they are multiples of every step.
SAMPLES = (
    *range(2, 80),
    127,
    128,
    129,
    255,
    257,
    1000,
    *range(4096, 4096 + 520),
    2**15 + 1,
    2**12 * 105,
    2**13 * 105,
)
_STEPS = (2, 4, 8, 16, 32, 64, 128, 256, 512)

Rule = Callable[[Any], Any]
"""A rule takes an int, or a torch.SymInt, and gives the extent in the same kind."""


def _stepped(factor: int, addend: int, step: int, height: int, base: int) -> Rule:
    return lambda n: (factor * n + addend) // step * height + base


def _single_rule(points: Sequence[tuple[int, int]], steps: Iterable[int]) -> Rule | None:
    """The affine or rounded rule that all points keep."""
    (n0, f0), (n1, f1) = points[-2:]
    slope = Fraction(f1 - f0, n1 - n0)
    if slope.denominator == 1:
        factor, addend = int(slope), f1 - int(slope) * n1
        if all(factor * n + addend == f for n, f in points):
            return (lambda n: n) if (factor, addend) == (1, 0) else (lambda n: factor * n + addend)
    for step in steps:
        for height, scaled in ((step, slope), (1, slope * step)):
            if scaled.denominator != 1 or scaled == 0:
                continue
            factor = int(scaled)
            for addend in range(step):
                base = f1 - (factor * n1 + addend) // step * height
                rule = _stepped(factor, addend, step, height, base)
                if all(rule(n) == f for n, f in points):
                    return rule
    return None


def find_rule(values: Sequence[int], steps: Iterable[int], least: Callable[[Any, Any], Any]) -> Rule | None:
    """The rule by which an op gave `values` for SAMPLES, or None if it is of no known form.

    `steps` are numbers, such as settings, to which the op may round, up to 512. `least` is the minimum of two extents.
    """
    points = list(zip(SAMPLES, values))
    known = (*_STEPS, *(step for step in steps if 1 < step <= 512 and step not in _STEPS))
    rule = _single_rule(points, known)
    if rule is not None:
        return rule
    below = _single_rule(points[:2], ())
    above = _single_rule([point for point in points if point[0] >= 4096], known)
    if below is None or above is None or any(f != min(below(n), above(n)) for n, f in points):
        return None
    return lambda n: least(below(n), above(n))
