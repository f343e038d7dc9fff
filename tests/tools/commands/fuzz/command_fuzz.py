#!/usr/bin/env python3
"""Runs kerncast with valid and broken arguments, files, caches and environments, and checks what it says and does.

usage: command_fuzz.py KERNCAST [--seconds N] [--seed S] [--case I] [--jobs J] [--time-limit T]

A case is made from the seed and its number alone: --case runs one again. Exit code 1 means that something was found, 77 that
nothing can be run.
"""

import argparse
import multiprocessing
import os
import random
import re
import shlex
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import damage
import oracles
from grammar import Grammar
from place import bound_privileges, prepare


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("kerncast")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int)
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--time-limit", type=float, default=60)
    return parser.parse_args()


class Fuzzer:
    def __init__(self, options, root, template, grammar):
        self.options, self.root, self.template, self.grammar = options, root, template, grammar

    def case(self, number):
        """Runs one case. Returns its line, its outcome and what is wrong, as text."""
        chance = random.Random(f"{self.options.seed}:{number}")
        place = self.template.copy(self.root / f"case{number}")
        line = self.grammar.line(chance)
        if chance.random() < 0.4:
            damage.damage_input(chance, place, line)
        if chance.random() < 0.3:
            damage.damage_cache(chance, place)
            line.doubts += 1
        while chance.random() < 0.3:
            damage.set_variable(chance, place)
            line.doubts += 1
        hidden = place.held is not None and place.cache() == place.root / "cache"
        held = place.held if hidden else len(place.entries())
        before = place.snapshot()
        outcome = place.run(line.argv)
        after = place.snapshot()
        found = oracles.problems(
            line=line, place=place, outcome=outcome, before=before, after=after, before_entries=held
        )
        told = self.describe(number, line, place, outcome)
        place.remove()
        return line.command, outcome.code, found, told

    @staticmethod
    def describe(number, line, place, outcome):
        words = [word if len(word) < 100 else word[:20] + f"...({len(word)})" for word in line.argv]
        settings = " ".join(f"{name}={str(value)[:60]!r}" for name, value in place.environment.items())
        states = ", ".join(
            state
            for state in (place.damaged, place.state and f"cache: {place.state} {place.file_limit or ''}")
            if state
        )
        text = f"case {number}: {settings} kerncast {shlex.join(words)}   [{states}] exit {outcome.code}\n"
        return text + "".join(f"    {row[:300]}\n" for row in (outcome.err + outcome.out).splitlines()[:6])

    def work(self, first, step, until, results):
        number = first
        try:
            while time.monotonic() < until:
                results.put(self.case(number))
                number += step
        except Exception as error:
            traceback.print_exc()
            results.put(("fuzzer", None, [f"case {number}: {error!r}"], ""))
        results.put(None)


def collect(fuzzer, jobs, seconds):
    """Runs cases in `jobs` processes and yields their results."""
    results = multiprocessing.Queue()
    until = time.monotonic() + seconds
    workers = [
        multiprocessing.Process(target=fuzzer.work, args=(i, jobs, until, results), daemon=True) for i in range(jobs)
    ]
    for worker in workers:
        worker.start()
    running = jobs
    while running:
        result = results.get()
        if result is None:
            running -= 1
        else:
            yield result
    for worker in workers:
        worker.join()


def kind_of(command, problem):
    """Problems that differ only in numbers and quoted texts are one kind."""
    return command + " " + re.sub(r"'[^']*'|\d+|x{9,}", "_", problem)[:120]


def report(results):
    """Prints one case of each kind of problem, and the counts. Returns the number of kinds."""
    kinds, codes = Counter(), Counter()
    for command, code, found, told in results:
        codes[command, code] += 1
        new = [problem for problem in found if not kinds[kind_of(command, problem)]]
        kinds.update(kind_of(command, problem) for problem in found)
        if new:
            print("\n".join(new) + "\n  " + told, flush=True)
    for (command, code), count in sorted(codes.items(), key=str):
        print(f"{count:6} {command}, exit {code}")
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")
    fine = sum(count for (_, code), count in codes.items() if code == 0)
    print(f"{sum(codes.values())} cases, {fine} with exit code 0, {len(kinds)} kinds of problems")
    return len(kinds) if fine else 1


def main():
    options = arguments()
    bound_privileges()
    with tempfile.TemporaryDirectory(prefix="kerncast-fuzz-") as folder:
        root = Path(folder)
        binary = str(Path(options.kerncast).resolve())
        template, compiles = prepare(root / "template", binary, options.time_limit)
        if not compiles:
            print("no NVRTC on this machine: nothing that compiles is tried")
        grammar = Grammar(lambda command: template.run([*command.split(), "--help"]).out, compiles)
        fuzzer = Fuzzer(options, root, template, grammar)
        if options.case is not None:
            return 1 if report([fuzzer.case(options.case)]) else 0
        return 1 if report(collect(fuzzer, options.jobs, options.seconds)) else 0


if __name__ == "__main__":
    sys.exit(main())
