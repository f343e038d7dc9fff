"""Writes the code blocks of a document as one file, for a test to build or run.

The blocks of one language are taken in their order. In C++ the #include lines come first, and the rest goes into an unnamed
namespace, so that the compiler names a function that no test calls. A block with a main function stays as it is. Compilers
name the lines of the document.

Usage: extract_snippets.py LANGUAGE DOCUMENT OUTPUT
"""

import pathlib
import sys


def blocks(document: pathlib.Path, language: str) -> list[tuple[int, list[str]]]:
    """The blocks of a language, the text behind the fence: the number of the first line of each, and its lines."""
    found = []
    fence = None
    for number, line in enumerate(document.read_text().splitlines(), start=1):
        if not line.startswith("```"):
            if fence == language:
                found[-1][1].append(line)
        elif fence is None:
            fence = line[3:]
            if fence == language:
                found.append((number + 1, []))
        else:
            fence = None
    return found


def joined(found: list[tuple[int, list[str]]], language: str, document: pathlib.Path) -> str:
    """The blocks as one file."""
    if language not in ("c", "cpp"):
        return "\n".join(line for _, lines in found for line in lines) + "\n"
    own_program = any("int main(" in line for _, lines in found for line in lines)
    hoist = language == "cpp" and not own_program
    includes, body = [], []
    for start, lines in found:
        body.append(f'#line {start} "{document}"')
        for line in lines:
            is_include = hoist and line.startswith("#include ")
            if is_include and line not in includes:
                includes.append(line)
            # An empty line stands for the include, so that the numbers of the lines stay right.
            body.append("" if is_include else line)
    if hoist:
        body = [*includes, "namespace {", *body, "}"]
    return "\n".join(body) + "\n"


def main() -> int:
    """Writes the output, or says that the document has no such block."""
    language, document, output = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    found = blocks(document, language)
    if not found:
        print(f"{document} has no block of {language}", file=sys.stderr)
        return 1
    output.write_text(joined(found, language, document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
