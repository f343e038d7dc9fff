"""Checks tests/tools/model/served.json against the model registries of the newest vLLM, SGLang and Cache-DIT.

Usage: served_models.py FOLDER [--write]
Fetches the three wheels into FOLDER unless they are there, about 400 MB, and reads their sources without running them.
Every architecture that both vLLM and SGLang serve has to stand in the list with the model types that its config.json may
have; family_test then demands that each of them is known. The same goes for the transformers that SGLang Diffusion or
Cache-DIT serve. Names under not_described have no entry, for the reason that stands there. With --write it puts new
names into the list, with the types that transformers knows, and takes out those that are served no more.
"""

import ast
import glob
import json
import os
import re
import subprocess
import sys
import zipfile

WHEELS = ["vllm", "sglang", "cache-dit", "transformers", "diffusers"]
LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "served.json")
# Draft models of speculative decoding take the kernels of another architecture, and these backends any model's.
OTHER_KINDS = ("_TRANSFORMERS_BACKEND_MODELS", "_SPECULATIVE_DECODING_MODELS")


def fetch(folder):
    """The sources of the wheels, unpacked below `folder`."""
    sources = os.path.join(folder, "sources")
    os.makedirs(sources, exist_ok=True)
    for wheel in WHEELS:
        if os.path.isdir(os.path.join(sources, wheel.replace("-", "_"))):
            continue
        platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in (28, 31, 34, 35)]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--python-version=3.12", *platforms, "--dest", folder, wheel]
        subprocess.run(command, check=True)
        for path in glob.glob(os.path.join(folder, wheel.replace("-", "_") + "-*.whl")):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(sources, [name for name in archive.namelist() if name.endswith(".py")])
    return sources


def parse(path):
    with open(path, encoding="utf-8") as source:
        return ast.parse(source.read())


def names_in(nodes):
    return [node for node in nodes if isinstance(node, ast.Name)]


def names_of(node):
    return [item.id for item in names_in(getattr(node, "elts", [node]))]


def vllm_architectures(sources):
    found = set()
    for node in parse(os.path.join(sources, "vllm/model_executor/models/registry.py")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        name = getattr(target, "id", "")
        if name.endswith("_MODELS") and name not in OTHER_KINDS and isinstance(node.value, ast.Dict):
            found |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    return found


def entry_classes(pattern):
    """The classes that modules of SGLang register as EntryClass."""
    found = set()
    for path in glob.glob(pattern, recursive=True):
        for node in ast.walk(parse(path)):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(target, ast.Name) and target.id == "EntryClass" for target in targets):
                found |= set(names_of(node.value))
    return found


def architectures(sources):
    return vllm_architectures(sources) & entry_classes(os.path.join(sources, "sglang/srt/models/**/*.py"))


def model_classes(path):
    """The classes of a module of diffusers that a model's config.json may name."""
    for node in parse(path).body:
        if isinstance(node, ast.ClassDef) and any(base.id == "ModelMixin" for base in names_in(node.bases)):
            yield node.name


def diffusion_transformers(sources):
    """What SGLang Diffusion serves, and the transformers of diffusers that Cache-DIT names."""
    classes = set()
    for path in glob.glob(os.path.join(sources, "diffusers/models/transformers/*.py")):
        classes |= set(model_classes(path))
    named = set()
    for path in glob.glob(os.path.join(sources, "cache_dit/**/*.py"), recursive=True):
        with open(path, encoding="utf-8") as source:
            named |= set(re.findall(r"\w+", source.read()))
    return (classes & named) | entry_classes(os.path.join(sources, "sglang/multimodal_gen/runtime/models/dits/**/*.py"))


def transformers_types(sources):
    """The model types of each architecture that transformers maps."""
    types = {}
    for node in ast.walk(parse(os.path.join(sources, "transformers/models/auto/modeling_auto.py"))):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[0], ast.Constant):
            for item in getattr(node.elts[1], "elts", [node.elts[1]]):
                if isinstance(item, ast.Constant):
                    types.setdefault(item.value, set()).add(node.elts[0].value)
    return types


def text_of(listed):
    """The list as JSON with a line for each name."""
    parts = []
    for part, names in listed.items():
        lines = [f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in names.items()]
        parts.append(f"  {json.dumps(part)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    sources = fetch(sys.argv[1])
    with open(LIST, encoding="utf-8") as file:
        listed = json.load(file)
    types = transformers_types(sources)
    wrong = []
    for part, served in (
        ("architectures", architectures(sources)),
        ("diffusion", diffusion_transformers(sources)),
    ):
        known = {**listed[part], **listed["not_described"]}
        wrong += [f"{name} is served, but not in the list" for name in sorted(served - set(known))]
        wrong += [f"{name} is in the list of {part}, but not served" for name in sorted(set(listed[part]) - served)]
        if "--write" in sys.argv:
            new = {name: sorted(types.get(name, [])) for name in served - set(known)}
            kept = {name: value for name, value in listed[part].items() if name in served}
            listed[part] = dict(sorted({**kept, **new}.items()))
    if "--write" in sys.argv:
        with open(LIST, "w", encoding="utf-8") as file:
            file.write(text_of(listed))
    print("\n".join(wrong))
    print(f"{sum(len(listed[part]) for part in ('architectures', 'diffusion'))} names, {len(wrong)} differences")
    sys.exit(1 if wrong and "--write" not in sys.argv else 0)


main()
