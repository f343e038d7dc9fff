"""Damage to a place: to one of the inputs that a command line names, to its cache, or to the environment."""

import json
import os

# These files have checksums, so every change of a byte is found.
CHECKED = (".kcp", ".kce")
NUMBERS = [-1, 0, 1e308, 10**30, 2**31, 2**63, 0.5, -0.0]
VALUES = NUMBERS + [
    "",
    "64",
    "x" * 3000,
    None,
    True,
    [],
    {},
    [[]],
    {"a": 1},
    [None],
    [64, 64],
    float("nan"),
    float("inf"),
]

ENVIRONMENT = {
    "KERNCAST_DRIVER": ["cuda", "nonsense", "/dev/null", "in/x.safetensors", ""],
    "KERNCAST_NVRTC": ["none", "nonsense", "/dev/null", "in", "in/x.safetensors"],
    "KERNCAST_CACHE_DIR": ["", "in/x.safetensors", "/dev/null", "relative", "nowhere/deep/er", "x" * 5000],
    "KERNCAST_CACHE_READONLY": ["", "in/pack.kcp", "in/x.safetensors", "nowhere", ":", "in:in/pack.kcp::", "/dev/null"],
    "KERNCAST_CACHE_REMOTE": ["", "x", "http://", "ftp://x", "http://127.0.0.1:1/x", "redis://127.0.0.1:1", "s3://"],
    "KERNCAST_CACHE_REMOTE_LEASES": ["", "0", "1", "x"],
    "KERNCAST_CACHE_REMOTE_TIMEOUT_MS": ["", "x", "-1", "0"],
    "KERNCAST_CACHE_MAX_BYTES": ["", "0", "1", "-1", "x", "1e3", "10K", "99999999999999999999"],
    "KERNCAST_CACHE_MAX_ENTRIES": ["", "0", "1", "-1", "x", "99999999999999999999"],
    "KERNCAST_CACHE_TRUST": ["", "0", "1", "x"],
    "KERNCAST_STRICT": ["", "0", "1", "x"],
    "KERNCAST_PDL": ["", "0", "1", "x"],
    "KERNCAST_RECORD": ["out/record", "in", "nowhere/x", "/dev/full", "/dev/null"],
    "KERNCAST_TRACE": ["out/trace", "in", "nowhere/x", "/dev/full", "/dev/null"],
    "KERNCAST_NVTX": ["", "0", "1", "launches", "x"],
    "KERNCAST_METRICS_FILE": ["out/metrics", "in", "nowhere/x", "/dev/full", "/dev/null"],
    "KERNCAST_TEMPLATE_DIR": ["in", "nowhere", "in/x.safetensors"],
    "KERNCAST_SIM_ARCH": ["sm_80", "x", "sm_", "sm_100"],
    "KERNCAST_SIM_DEVICES": ["0", "2", "-1", "x", "99999999999"],
    "KERNCAST_SIM_CHECKS": ["off", "report", "x"],
    "KERNCAST_SIM_CLOCK": ["h100", "a100", "x"],
    "KERNCAST_SIM_NOISE": ["seed=1,jitter=0.1", "jitter", "x=1"],
    "KERNCAST_SIM_FAULTS": ["fault=1", "hang=1", "lost=1", "x=1", "fault"],
    "KERNCAST_SIM_THREADS": ["0", "1", "-1", "x", "99999999999"],
    "KERNCAST_SIM_ISA": ["v2", "v4", "x"],
    "KERNCAST_SIM_TIMEOUT": ["0", "-1", "x", "nan"],
    "KERNCAST_SIM_REPORT": ["off", "x"],
    "KERNCAST_NONSENSE": ["1"],
    "HOME": ["", "relative", None],
    "COLUMNS": ["0", "1", "-5", "x", "10", "99999999999999999999"],
    "TMPDIR": ["nowhere", "/dev/null"],
}


def set_variable(random, place):
    name = random.choice(sorted(ENVIRONMENT))
    place.environment[name] = random.choice(ENVIRONMENT[name])


def replaced(path, content=None):
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def flipped(random, data):
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def change_json(random, path):
    """Gives one member of a JSON file another value, twice, or as a deep nest."""
    document = json.loads(path.read_text().splitlines()[0])
    name = random.choice(sorted(document))
    how = random.choice(["value", "value", "value", "value", "remove", "twice", "deep", "array"])
    if how == "remove":
        del document[name]
    else:
        document[name] = random.choice(VALUES)
    text = json.dumps(document)
    if how == "twice":
        text = text[:-1] + f', "{name}": 1}}'
    elif how == "deep":
        text = text[:-1] + ', "deep": ' + "[" * 100000 + "]" * 100000 + "}"
    elif how == "array":
        text = f"[{text}]"
    path.write_text(text)
    return how in ("twice", "deep", "array") and path.suffix == ".json"


def damage_input(random, place, line):
    """Damages an input that `line` names. A certain fault is noted in it."""
    named = [word.split("=")[-1] for word in line.words]
    inputs = sorted({word for word in named if word.startswith("in/") and (place.root / word).is_file()})
    if not inputs:
        return
    path = place.root / random.choice(inputs)
    data = path.read_bytes()
    how = random.choice(
        [
            "missing",
            "empty",
            "cut",
            "flip",
            "flip",
            "directory",
            "unreadable",
            "pipe",
            "loop",
            "junk",
            "json",
            "json",
            "json",
            "longer",
        ]
    )
    sure = True
    if how == "missing":
        replaced(path)
    elif how == "empty":
        replaced(path, b"")
        # A record of no launches adds nothing to the plan of a model.
        sure = path.suffix != ".jsonl" or not any(word.startswith("--model") for word in line.words)
    elif how == "cut":
        replaced(path, data[: random.randrange(len(data) - 1)])
        sure = path.suffix != ".jsonl"
    elif how == "flip":
        replaced(path, flipped(random, data))
        # A warm-up reads of a pack what the cache lacks.
        sure = path.suffix in CHECKED and line.command != "warm"
    elif how == "directory":
        replaced(path)
        path.mkdir()
    elif how == "unreadable":
        path.chmod(0)
    elif how == "pipe":
        replaced(path)
        os.mkfifo(path)
    elif how == "loop":
        replaced(path)
        path.symlink_to(path.name)
    elif how == "junk":
        replaced(path, random.randbytes(random.choice([1, 8, 9, 64, 5000])))
    elif how == "longer":
        replaced(path, data + random.randbytes(7))
        sure = path.suffix != ".jsonl"
    elif path.suffix in (".json", ".jsonl"):
        sure = change_json(random, path)
    else:
        return
    place.damaged = f"{path.name}: {how}"
    if sure:
        line.refuse(path.name)
    else:
        line.doubts += 1


def damage_cache(random, place):
    """Brings the cache into one of the states in which a disk may be."""
    cache = place.root / "cache"
    entries = place.entries()
    states = [
        "missing",
        "empty",
        "read-only",
        "unreadable",
        "file",
        "open",
        "budget",
        "limit",
        "index",
        "index folder",
        "tuned",
        "link",
        "dangling",
    ]
    states += (
        ["entry flipped", "entry cut", "entry unreadable", "entry folder", "v1 file", "v1 read-only", "v1 unreadable"]
        if entries
        else []
    )
    state = place.state = random.choice(states)
    if state in ("missing", "file", "dangling", "empty"):
        place.remove_cache()
    if state == "file":
        cache.write_text("no directory")
    elif state == "dangling":
        cache.symlink_to("nowhere-at-all")
    elif state == "empty":
        cache.mkdir(mode=0o700)
    elif state == "link":
        cache.rename(place.root / "elsewhere")
        cache.symlink_to("elsewhere")
    elif state in ("read-only", "unreadable", "open"):
        place.held = len(entries)
        cache.chmod({"read-only": 0o555, "unreadable": 0, "open": 0o777}[state])
    elif state == "budget":
        place.environment["KERNCAST_CACHE_MAX_BYTES"] = "1"
    elif state == "limit":
        place.file_limit = random.choice([1, 100, 4096, 20000])
    elif state == "index":
        (cache / "index.sqlite").write_bytes(random.randbytes(5000))
    elif state == "index folder":
        (cache / "index.sqlite").mkdir()
    elif state == "tuned":
        (cache / "tuning.sqlite").write_bytes(random.randbytes(5000))
    elif state == "v1 file":
        place.remove_cache()
        cache.mkdir(mode=0o700)
        (cache / "v1").write_text("no directory")
    elif state in ("v1 read-only", "v1 unreadable"):
        place.held = len(entries)
        (cache / "v1").chmod(0o555 if state == "v1 read-only" else 0)
    elif state == "entry flipped":
        replaced(entries[0], flipped(random, entries[0].read_bytes()))
    elif state == "entry cut":
        replaced(entries[0], entries[0].read_bytes()[:100])
    elif state == "entry unreadable":
        entries[0].chmod(0)
    elif state == "entry folder":
        replaced(entries[0])
        entries[0].mkdir()
