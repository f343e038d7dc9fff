"""Holds comments to the rule that they begin by naming their subject, not with a fragment such as "What it takes".

Usage: comment_test.py ROOT
"""

import pathlib
import re
import sys

FOLDERS = ["cache", "examples", "runtime", "templates", "tests", "tools"]
SUFFIXES = {".c", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".inc"}
FRAGMENT = re.compile(r"//+<? (What|Where|Whether|Why|How|Which|Who|Of|As|The same)\b")
# A later line of a comment that opens a list of a case's facts has no subject either.
CASE = re.compile(r"//+<? Of [^.,]{1,30}: ")


def fragments(path: pathlib.Path) -> list[tuple[int, str]]:
    """The lines at which a comment begins with a fragment. The later lines of a comment may go on with any word but "Of ...:"."""
    found = []
    before = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if CASE.match(text) or (FRAGMENT.match(text) and not before.startswith("//")):
            found.append((number, text))
        before = text
    return found


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    files = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.suffix in SUFFIXES]
    assert len(files) > 500, f"only {len(files)} sources in {root}"
    found = [(path, number, text) for path in files for number, text in fragments(path)]
    for path, number, text in found:
        print(f"{path.relative_to(root)}:{number}: say what the thing is: {text}")
    print(f"{len(files)} sources, {len(found)} comments that begin with a fragment")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
