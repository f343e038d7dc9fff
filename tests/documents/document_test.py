"""Checks every document of the tree.

Relative links lead to files and headings, paths in code exist, and a code block that begins with the comment
`// path/of/a/file` holds that file word for word. With --update such blocks are rewritten from their files.

Usage: document_test.py ROOT [--update]
"""

import pathlib
import re
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)")
CODE = re.compile(r"`([^`\n]+)`")
# A path of the tree: a known first folder, and nothing that only a pattern or a placeholder has.
PATH = re.compile(r"(?:\.github|cache|examples|runtime|templates|tests|tools)(?:/[\w.+-]+)+/?$")

# A code block that quotes a whole file of the tree.
QUOTED = re.compile(r"```cpp\n// ([\w./]+)\n(.*?)```\n", re.DOTALL)


def anchors(document: pathlib.Path) -> set[str]:
    """The anchors that the headings of a document get."""
    found = set()
    for line in document.read_text().splitlines():
        if line.startswith("#"):
            title = re.sub(r"[^\w\s-]", "", line.lstrip("#").strip().lower())
            found.add("#" + title.replace(" ", "-"))
    return found


def problems(root: pathlib.Path, document: pathlib.Path) -> list[str]:
    """What is wrong with one document, as lines for the user."""
    wrong = []
    text = document.read_text()
    name = document.relative_to(root)
    for target, anchor in LINK.findall(text):
        if "://" in target:
            continue
        file = (document.parent / target).resolve() if target else document
        if not file.exists():
            wrong.append(f"{name}: the link to {target} leads nowhere")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            wrong.append(f"{name}: {target}{anchor} names no heading")
    for code in CODE.findall(text):
        # FAMILY and OP stand for any name, and `example` is the op that the reader is about to write.
        if not PATH.match(code) or re.search(r"\b(FAMILY|OP|OP_test)\b|/example\b", code):
            continue
        if not any((base / code).exists() for base in (root, document.parent)):
            wrong.append(f"{name}: `{code}` does not exist")
    for path, quoted in QUOTED.findall(text):
        if not (root / path).exists():
            wrong.append(f"{name}: it quotes {path}, which does not exist")
        elif (root / path).read_text() != quoted:
            wrong.append(f"{name}: {path} has changed; tests/documents/document_test.py . --update quotes it")
    return wrong


def update(root: pathlib.Path, document: pathlib.Path) -> None:
    """Quotes the files of a document anew."""

    def quote(match: re.Match) -> str:
        path = match.group(1)
        return f"```cpp\n// {path}\n{(root / path).read_text()}```\n"

    text = document.read_text()
    quoted = QUOTED.sub(quote, text)
    if quoted != text:
        document.write_text(quoted)


def main() -> int:
    root = pathlib.Path(sys.argv[1]).resolve()
    documents = [
        path
        for pattern in ("*.md", ".github/*.md", "[a-z]*/**/*.md")
        for path in root.glob(pattern)
        if not path.relative_to(root).parts[0].startswith("build")
    ]
    if len(documents) < 5:
        print(f"only {len(documents)} documents found below {root}")
        return 1
    if "--update" in sys.argv[2:]:
        for document in documents:
            update(root, document)
    wrong = [line for document in sorted(documents) for line in problems(root, document)]
    print("\n".join(wrong) or f"{len(documents)} documents are in order")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
