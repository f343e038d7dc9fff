"""Checks the defaults of tools/model/families against the configuration classes of transformers and diffusers.

Usage: class_defaults.py FAMILIES_FOLDER LIBRARIES_FOLDER [--write]
Installs the two libraries into LIBRARIES_FOLDER unless they are there. Exits with 77, which CTest counts as skipped,
where they cannot be fetched. With --write it puts the defaults of the classes into the families' files.

A default is checked as the class declares it. Where a class declares None and derives a value from other fields, the
family's own rule derives it, so it has no default here.
"""

import ast
import glob
import json
import os
import re
import subprocess
import sys

LIBRARIES = ["transformers", "diffusers"]


def install(folder):
    """Makes the libraries importable from `folder`, or explains why it cannot and exits with 77."""
    if all(os.path.isdir(os.path.join(folder, name)) for name in LIBRARIES):
        return
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-warn-conflicts",
        "--target",
        folder,
        *LIBRARIES,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(
            "skipped: pip cannot fetch",
            " and ".join(LIBRARIES) + ":",
            done.stdout.strip()[-500:],
        )
        sys.exit(77)


def diffusers_classes(folder):
    """The defaults of the arguments of each transformer of diffusers, read from its source, which needs torch to
    run."""
    classes = {}
    for path in glob.glob(os.path.join(folder, "diffusers/models/transformers/*.py")):
        with open(path, encoding="utf-8") as source:
            tree = ast.parse(source.read())
        for node in tree.body:
            for method in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    names = [a.arg for a in method.args.args]
                    values = method.args.defaults
                    found = {}
                    for name, value in zip(names[len(names) - len(values) :], values):
                        try:
                            found[name] = ast.literal_eval(value)
                        except ValueError:
                            pass
                    classes[node.name] = found
    return classes


def resolve(entries, entry):
    """The facts of an entry over those of the entry that it is like, as tools/model/family.cpp does."""
    made = dict(resolve(entries, entries[entry["like"]])) if "like" in entry else {}
    for name, value in entry.items():
        if (name == "not_offered" or name.startswith("more_")) and name in made:
            value = made[name] + value
        made[name] = value
    return made


def keys_of(expression):
    """The keys of a config.json that an expression reads."""
    if isinstance(expression, str):
        fields = [token.removeprefix("sum").removeprefix("first") for token in expression.split()]
        return [key for token in fields if token.startswith("@") for key in token[1:].split(",")]
    if isinstance(expression, dict):
        return [
            key
            for name, value in expression.items()
            if name not in ("defaults", "place", "step")
            for key in keys_of(value)
        ]
    return [key for value in expression for key in keys_of(value)] if isinstance(expression, list) else []


def summed(expression):
    """The keys of lists whose items an expression adds up, so that equal items count."""
    return set(re.findall(r"\bsum@(\w+)", json.dumps(expression)))


def declared(kind, values, key):
    """The default of `key` as the class declares it; None if there is none."""
    fields = getattr(kind, "__dataclass_fields__", {})
    if "." not in key and key in fields:
        value = fields[key].default
        if isinstance(value, (bool, int, float, str, list, tuple)):
            return value
        return None
    for step in key.split("."):
        values = values.get(step) if isinstance(values, dict) else None
    return None if isinstance(values, dict) else values


def expected(kind, values, keys, sums):
    made = {}
    for key in keys:
        value = None if key.startswith("/") else declared(kind, values, key)
        if value is None or value == []:
            continue
        if isinstance(value, (list, tuple)):
            value = list(value) if key in sums else [item for i, item in enumerate(value) if item not in value[:i]]
        *path, last = key.split(".")
        at = made
        for step in path:
            at = at.setdefault(step, {})
        at[last] = value
    return made


def inner_defaults(entries, entry, whole, classes):
    """What the class `whole` of a composite gives its language model, where that is not the default of the inner
    class."""
    text = entry["text"]
    while "like" not in entries[text]:
        text = entries[text]["text"]
    inner = whole.get("thinker_config") or whole
    inner = inner.get("text_config") or {}
    if inner.get("model_type") != text or text not in classes:
        return {}
    facts = resolve(entries, entries[text])
    keys = [key for key in keys_of(facts) if "." not in key and not key.startswith("/")]
    alone = classes[text]().to_dict()
    if all(inner.get(key) == alone.get(key) for key in keys):
        return {}
    return {key: inner[key] for key in keys if isinstance(inner.get(key), (bool, int, float, str))}


def write(path, entries):
    def lines(name, value, indent):
        one = f"{indent}{json.dumps(name)}: {json.dumps(value)}"
        if len(one) <= 118 or not isinstance(value, (dict, list)):
            return one
        inner = indent + "  "
        if isinstance(value, list):
            return (
                f"{indent}{json.dumps(name)}: [\n" + ",\n".join(inner + json.dumps(v) for v in value) + f"\n{indent}]"
            )
        return (
            f"{indent}{json.dumps(name)}: {{\n"
            + ",\n".join(lines(k, v, inner) for k, v in value.items())
            + f"\n{indent}}}"
        )

    with open(path, "w", encoding="utf-8") as out:
        out.write("{\n" + ",\n".join(lines(name, entry, "  ") for name, entry in entries.items()) + "\n}\n")


def main():
    families, folder = sys.argv[1:3]
    install(folder)
    sys.path.insert(0, folder)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import CONFIG_MAPPING

    diffusers = diffusers_classes(folder)
    files = {path: json.load(open(path, encoding="utf-8")) for path in sorted(glob.glob(families + "/*.json"))}
    entries = {name: entry for file in files.values() for name, entry in file.items()}
    checked = 0
    wrong = []
    for path, file in files.items():
        for name, entry in file.items():
            if "like" not in entry and name in CONFIG_MAPPING:
                should = inner_defaults(entries, entry, CONFIG_MAPPING[name]().to_dict(), CONFIG_MAPPING)
                if "--write" in sys.argv:
                    entry.pop("defaults", None)
                    if should:
                        entry["defaults"] = should
                elif entry.get("defaults", {}) != should:
                    wrong.append(f"{name}: defaults of its language model are {should}, but {entry.get('defaults')}")
                continue
            whole = resolve(entries, entry)
            inherited = whole.get("class") if whole.get("class") in ("checkpoint", "vllm") else name
            kind_name = entry.get("class", inherited)
            if name.startswith("_") or "like" not in entry or kind_name in ("checkpoint", "vllm"):
                continue
            if kind_name in diffusers:
                kind, values = None, diffusers[kind_name]
            elif kind_name in CONFIG_MAPPING:
                kind = CONFIG_MAPPING[kind_name]
                values = kind().to_dict()
            else:
                wrong.append(f"{name}: neither transformers nor diffusers has a configuration class {kind_name}")
                continue
            checked += 1
            should = expected(kind, values, keys_of(whole), summed(whole))
            if "--write" in sys.argv:
                entry.pop("defaults", None)
                if should:
                    entry["defaults"] = should
            elif entry.get("defaults", {}) != should:
                has = entry.get("defaults", {})
                for key in sorted(set(has) | set(should)):
                    if has.get(key) != should.get(key):
                        wrong.append(
                            f"{name}: default of {key} is {should.get(key)} in {kind_name}, "
                            f"but {has.get(key)} in {os.path.basename(path)}"
                        )
        if "--write" in sys.argv:
            write(path, file)
    print("\n".join(wrong))
    print(f"{checked} families checked, {len(wrong)} differences")
    sys.exit(1 if wrong or checked < 60 else 0)


main()
