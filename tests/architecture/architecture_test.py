"""Checks every #include of the product against the rules in runtime/README.md.

Also checks that the environment is read through one header, which ignores it in a process with raised privileges.

Usage: architecture_test.py ROOT

The section "Which room may include which" of runtime/README.md holds two tables. The first has a row for each room and
names the rooms that it may include; the second lists single headers that are exceptions, with the reason. A room is a
folder, or some files of a folder (`cache/cache.*`). A placeholder such as <family> stands for one folder name; within a
row it has one value.
"""

import functools
import re
import sys
import tempfile
from pathlib import Path

DOCUMENT = "runtime/README.md"
HEADING = "## Which room may include which"
FOLDERS = ["runtime", "cache", "templates", "tools"]
SOURCES = {".cpp", ".hpp", ".h", ".cuh", ".inc", ".ipp"}
ENVIRONMENT = "runtime/util/environment.hpp"
GETENV = re.compile(r"\bgetenv\s*\(")
INCLUDE = re.compile(r'\s*#\s*include\s+(?:"([^"]+)"|<(kerncast/[^>]+)>)')


def pattern_of(name, bound, star):
    """A regular expression for `name`. Placeholders whose values are not in `bound` match any folder name."""
    out = ""
    for part in re.split(r"(<\w+>|\*)", name):
        if part == "*":
            out += star
        elif part.startswith("<"):
            placeholder = part[1:-1]
            out += re.escape(bound[placeholder]) if placeholder in bound else f"(?P<{placeholder}>[^/]+)"
        else:
            out += re.escape(part)
    return out


@functools.cache
def files_of(room):
    """A regular expression for the files of `room`: those that its pattern names, or those right in its folder."""
    pattern = pattern_of(room, {}, "[^/]*")
    return re.compile(pattern if "*" in room else pattern + "/[^/]+")


class Rules:
    def __init__(self, text):
        if HEADING not in text:
            raise ValueError(f"{DOCUMENT} has no section '{HEADING}'")
        section = text.split(HEADING, 1)[1].split("\n## ", 1)[0]
        self.rooms = []  # (room, rooms that it may include)
        self.exceptions = []  # (room, header)
        self.known = {}  # path -> result of room_of
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            names = [re.findall(r"`([^`]+)`", cell) for cell in cells]
            if not line.startswith("|") or not names[0]:
                continue
            if len(cells) == 2:
                self.rooms += [(room, names[1]) for room in names[0]]
            elif len(cells) == 3:
                self.exceptions += [(room, header) for room in names[0] for header in names[1]]
                if not cells[2]:
                    raise ValueError(f"the exception '{line}' has no reason")
        if not self.rooms:
            raise ValueError(f"the section '{HEADING}' of {DOCUMENT} has no table")

    def room_of(self, path):
        """The most specific room that holds `path`, as its name in the table and the values of its placeholders. None if
        no room holds it."""
        if path not in self.known:
            self.known[path] = self.find_room(path)
        return self.known[path]

    def find_room(self, path):
        found = []
        for room, _ in self.rooms:
            match = files_of(room).fullmatch(path)
            if match:
                found.append(("*" in room, -room.count("<"), len(room), room, match.groupdict()))
        if not found:
            return None
        return max(found, key=lambda entry: entry[:3])[3:]

    def allows(self, source, target):
        room, bound = self.room_of(source)
        other, other_bound = self.room_of(target)
        target_room = re.sub(r"<(\w+)>", lambda match: other_bound[match.group(1)], other)
        names = [target for candidate, targets in self.rooms if candidate == room for target in targets] + [room]
        if any(re.fullmatch(pattern_of(name, bound, r"\*"), target_room) for name in names):
            return True
        return any(
            candidate == room and re.fullmatch(pattern_of(header, bound, "[^/]*"), target)
            for candidate, header in self.exceptions
        )

    def allowed_text(self, room):
        targets = [target for candidate, rooms in self.rooms if candidate == room for target in rooms]
        return ", ".join(targets) if targets else "no other room"


def resolve(root, source, name):
    """The repository path of the header that `source` includes as `name`; None if there is no such file."""
    if name == "kerncast/version.hpp":  # generated from runtime/version.hpp.in
        return "runtime/include/" + name
    candidates = [Path(source).parent / name, Path(name), Path("runtime/include") / name, Path("templates") / name]
    op_header = re.fullmatch(r"kerncast/ops/(?:([^/]+)/)?([^/]+)(\.\w+)", name)
    if op_header:
        family, op, suffix = op_header.groups()
        public = f"templates/{family}/*/public" if family else "templates/*/public"
        candidates += [path.relative_to(root) for path in sorted(root.glob(f"{public}/{op}{suffix}"))]
        candidates += [Path(f"templates/{family}/{op}/{op}{suffix}")] if family else []
    for candidate in candidates:
        if (root / candidate).is_file():
            return str((root / candidate).resolve().relative_to(root.resolve()))
    return None


def check(root):
    """Complaints about the tree at `root`, in order of file and line; and the number of includes checked."""
    rules = Rules((root / DOCUMENT).read_text())
    complaints = []
    checked = 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SOURCES or not path.is_file():
                continue
            source = str(path.relative_to(root))
            here = rules.room_of(source)
            if here is None:
                complaints.append(f"{source}:1: is in no room of the table in {DOCUMENT}")
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if GETENV.search(line) and source != ENVIRONMENT:
                    complaints.append(f"{source}:{number}: calls getenv; {ENVIRONMENT} reads the environment")
                match = INCLUDE.match(line)
                if not match:
                    continue
                name = match.group(1) or match.group(2)
                target = resolve(root, source, name)
                checked += 1
                if target is None:
                    complaints.append(f'{source}:{number}: "{name}" is no file of the repository')
                elif rules.room_of(target) is None:
                    complaints.append(f'{source}:{number}: "{name}" is in no room of the table in {DOCUMENT}')
                elif not rules.allows(source, target):
                    complaints.append(
                        f'{source}:{number}: includes "{name}", but {here[0]} may include only: '
                        f"{rules.allowed_text(here[0])}"
                    )
    return complaints, checked


MADE_UP_RULES = f"""# Rules
{HEADING}

| room | may include |
|---|---|
| `runtime/include/kerncast` | |
| `runtime/low` | `runtime/include/kerncast` |
| `runtime/high` | `runtime/low`, `cache` |
| `cache/facade.*` | `cache`, `cache/sub` |
| `cache` | |
| `cache/sub` | `cache` |
| `templates/<family>/<op>` | `templates/<family>/shared` |
| `templates/<family>/shared` | |

| room | header | why |
|---|---|---|
| `runtime/low` | `runtime/high/shared_abi.hpp` | Both sides use one binary interface. |

## Another section
"""


def test_made_up_tree():
    """The check finds each kind of fault in a tree that has it, and none in a good tree."""
    good = {
        DOCUMENT: MADE_UP_RULES,
        "runtime/include/kerncast/api.hpp": "#pragma once\n",
        "runtime/low/low.hpp": '#pragma once\n#include <vector>\n#include "kerncast/api.hpp"\n',
        "runtime/low/abi.cpp": '#include "runtime/high/shared_abi.hpp"\n',
        "runtime/high/shared_abi.hpp": "#pragma once\n",
        "runtime/high/high.cpp": '#include "runtime/low/low.hpp"\n#include "cache/key.hpp"\n',
        "cache/key.hpp": "#pragma once\n",
        "cache/sub/sub.hpp": '#include "cache/key.hpp"\n',
        "cache/facade.hpp": '#include "cache/key.hpp"\n#include "cache/sub/sub.hpp"\n',
        "templates/norm/shared/row.cuh": "#pragma once\n",
        "templates/norm/one/kernel.cuh": '#include "norm/shared/row.cuh"\n',
        "templates/quant/shared/group.cuh": "#pragma once\n",
    }
    bad = [
        (
            {
                "runtime/low/low.hpp": '#pragma once\n\n#include "runtime/high/shared_abi.hpp"\n#include '
                '"runtime/high/other.hpp"\n',
                "runtime/high/other.hpp": "",
            },
            'runtime/low/low.hpp:4: includes "runtime/high/other.hpp", but runtime/low may include only: '
            "runtime/include/kerncast",
        ),
        ({"runtime/include/kerncast/api.hpp": '#include "runtime/low/low.hpp"\n'}, "may include only: no other room"),
        ({"cache/key.hpp": '#include "cache/facade.hpp"\n'}, "cache/key.hpp:1: includes"),
        ({"runtime/high/high.cpp": '#include "cache/facade.hpp"\n'}, "runtime/high/high.cpp:1: includes"),
        ({"cache/sub/sub.hpp": "#include <kerncast/api.hpp>\n"}, "cache/sub/sub.hpp:1: includes"),
        ({"templates/norm/one/kernel.cuh": '#include "quant/shared/group.cuh"\n'}, "kernel.cuh:1: includes"),
        ({"cache/sub/sub.hpp": 'auto home = std::getenv("HOME");\n'}, "cache/sub/sub.hpp:1: calls getenv"),
        ({"runtime/new/new.hpp": ""}, "runtime/new/new.hpp:1: is in no room"),
        ({"runtime/low/low.hpp": '#include "runtime/low/gone.hpp"\n'}, "is no file of the repository"),
    ]
    for change, expected in [({}, None)] + bad:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in {**good, **change}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            for name in FOLDERS:
                (root / name).mkdir(exist_ok=True)
            complaints, _ = check(root)
            if expected is None:
                assert not complaints, complaints
            else:
                assert len(complaints) == 1 and expected in complaints[0], (expected, complaints)


def main():
    test_made_up_tree()
    complaints, checked = check(Path(sys.argv[1]))
    for complaint in complaints:
        print(complaint)
    if checked < 1000:
        print(f"only {checked} includes were found: the check does not see the tree")
        return 1
    print(f"{checked} includes checked, {len(complaints)} against the rules")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
