"""What must hold after a run of the command. Each check yields the ways in which it does not."""

import json
import re

from place import read_tensors

DOCUMENTED = (0, 1, 2, 130)
RAW = re.compile(
    r"std::|terminate called|what\(\)|json\.exception|basic_string|vector::_|bad_alloc|bad_function|bad_optional|\bsto[ild]+\b|"
    r"filesystem error|regex_error|[Aa]ssertion|Sanitizer|runtime error:|CLI::|unknown failure|SQLITE_|Traceback"
)
# A command that only reads leaves every entry as it is.
READING = ("ops", "inspect", "profile", "cache stat", "cache ls", "cache path", "cache tuned", "cache explain")
READING += ("cache show", "cache export", "cache log", "cache verify", "cache metrics", "key generate", "key show")
READING += (
    "tune report",
    "tune show",
    "tune export",
    "tune import",
    "tune prune",
    "tune check",
    "record merge",
    "trace view",
    "help",
    "completion",
)
OP = {"op", "summary", "formula", "tensors", "params", "scalars", "tunables"}
ROW = {"op", "spec", "arch", "rows", "cached", "max_error", "checked", "ok", "device", "key"}
KEYS = {
    "run": ROW,
    "ops": OP,
    "inspect": {"op", "spec", "arch", "key", "lowered_name", "cubin_bytes", "key_fields", "source", "ptx"},
    "profile": {"profiles"},
    "bench": {"op", "device", "arch", "estimate", "policy", "data", "seed", "width", "peak_gb_per_s", "results"},
    "cache stat": {
        "directory",
        "exists",
        "writable",
        "entries",
        "bytes",
        "tuned",
        "counters",
        "budget",
        "remote",
        "read_only",
    },
    "cache ls": {"key", "op", "spec", "arch", "bytes", "modified"},
    "cache metrics": {"directory", "file", "text"},
    "cache path": {"directory"},
    "cache show": {
        "key",
        "op",
        "spec",
        "arch",
        "cubin_bytes",
        "ptx_bytes",
        "signatures",
        "provenance",
        "layer",
        "file",
    },
    "cache clear": {"directory", "removed", "left"},
    "cache tuned": {"op", "spec", "arch", "tunables", "state", "layer"},
    "cache explain": {"op", "spec", "arch", "rows", "tunables", "key", "hit", "candidates", "nearest"},
    "cache export": {"file", "entries", "tuned", "damaged", "bytes"},
    "cache import": {"file", "directory", "imported", "already", "failed"},
    "cache log": {"directory", "events", "skipped"},
    "cache verify": {"repair", "ok", "entries", "sound", "tuned", "bytes", "left", "places"},
    "tune": {"device", "strategy", "points"},
    "tune report": {"points", "mean_gain", "default_won", "bucket_regret", "flips", "strategies"},
    "tune show": {"op", "spec", "arch", "tunables", "low_us", "high_us", "default_us", "gain", "state", "layer"},
    "tune export": {"file", "records", "left_out"},
    "tune import": {"file", "dry_run", "imported", "already", "failed", "skipped"},
    "tune prune": {"directory", "dry_run", "removed", "left", "searches", "kernels", "bytes"},
    "tune check": {"digest", "records", "expected", "ok", "layers"},
    "key generate": {"file", "public_key"},
    "key show": {"file", "public_key"},
    "record merge": {"file", "kernels"},
    "trace view": {"file", "seconds", "events", "bad_lines", "kernels"},
    "doctor": {"ok", "verdict", "problems", "driver", "nvrtc", "cache"},
}
EVENTS = ("plan", "kernel", "point", "progress", "end")


def value_of(line, name):
    """The value of the option `name` in a command line, or None."""
    for i, word in enumerate(line.words):
        if word == name and i + 1 < len(line.words):
            return line.words[i + 1]
        if word.startswith(name + "="):
            return word[len(name) + 1 :]
    return None


def writes_a_cubin(line):
    """True if that may be all that a command line asks for."""
    option = {"inspect": "--extract", "cache show": "--cubin"}.get(line.command)
    return option is not None and value_of(line, option) is not None


def parsed(line, text):
    """The JSON of standard output: the events of a warm-up or of tuning as a list, else one value. Throws ValueError."""
    if line.command in ("warm", "tune") and not {"--plan", "--check"} & set(line.words):
        return [json.loads(row) for row in text.splitlines()]
    return json.loads(text)


def exit_code(line, place, outcome, **_):
    if outcome.code is None:
        yield f"it did not end within {place.time_limit} s"
    elif outcome.code < 0:
        yield f"signal {-outcome.code} ended it"
    elif outcome.code not in DOCUMENTED or outcome.code == 130:
        yield f"exit code {outcome.code}"


def messages(line, place, outcome, **_):
    raw = RAW.search(outcome.err) or RAW.search(outcome.err + outcome.out if outcome.code else "")
    if raw:
        yield f"it says '{raw[0]}'"
    errors = re.findall(r"^kerncast: error: (.{8,})", outcome.err, re.MULTILINE)
    if outcome.code and outcome.code > 0 and not errors:
        yield "it failed without an error on standard error"
    if outcome.code == 0 and errors:
        yield "it reports an error with exit code 0"
    if '"code": "internal"' in outcome.out and "wrong result" not in outcome.err:
        yield "its error is internal"


def faults(line, place, outcome, **_):
    if line.faults and outcome.code == 0:
        yield f"it accepted {line.faults[0][0]!r}"
    names = [name for fault in line.faults for name in fault]
    if names and outcome.code and not line.doubts and not any(name in outcome.err for name in names):
        yield f"its error names none of {names}"
    sound = not (line.faults or line.doubts or place.damaged or place.state or place.environment)
    if sound and outcome.code:
        yield "it refuses a valid command line"


def json_output(line, place, outcome, **_):
    if "--json" not in line.words or "--" in line.words or "--help" in line.words or outcome.code is None:
        return
    try:
        value = parsed(line, outcome.out)
    except ValueError as error:
        yield f"standard output is not JSON: {error}"
        return
    if outcome.code == 0:
        yield from shape(line, value)
    elif isinstance(value, dict) and "error" in value and set(value["error"] or "") != {"code", "message"}:
        yield "its JSON error has another form"


def shape(line, value):
    if line.command in ("warm", "tune"):
        events = value if isinstance(value, list) else []
        if any(event.get("event") not in EVENTS for event in events) or (events and events[-1]["event"] != "end"):
            yield "its events have another form"
        plan = {"kernels", "missing", "left_out"} if line.command == "warm" else KEYS["tune"]
        if isinstance(value, dict) and not plan <= set(value):
            yield "its plan lacks a member"
        return
    if writes_a_cubin(line):
        return
    if line.command == "cache import" and "--dry-run" in line.words:
        if not {"file", "directory", "dry_run"} <= set(value):
            yield "its dry run has another form"
        return
    items = value if isinstance(value, list) else [value]
    lacking = [KEYS[line.command] - set(item) for item in items if not KEYS[line.command] <= set(item)]
    if lacking:
        yield f"its JSON lacks {sorted(lacking[0])}"
    if line.command == "run" and not (items and all(item["ok"] for item in items)):
        yield "it has exit code 0 and a run that failed or none"
    if line.command == "bench" and not (value["results"] and all(item["ok"] for item in value["results"])):
        yield "it has exit code 0 and a shape that was not measured"


def outputs(line):
    """The files that a command line may write. A merge may write one that it reads."""
    named = [value_of(line, name) for name in ("--out", "--extract", "--cubin", "--html", "--write-record")]
    if line.command in ("cache export", "key generate", "record merge", "tune export"):
        named += [word for word in line.words if not word.startswith("--")]
    return [name for name in named if name]


def untouched(line, place, outcome, before, after, **_):
    """Only the cache, the record and, after a success, the outputs may differ."""
    allowed = ["cache", "elsewhere", "home/.cache", "relative"]
    if place.environment.get("KERNCAST_CACHE_DIR", "").startswith("nowhere"):
        allowed.append("nowhere")
    for name in ("KERNCAST_RECORD", "KERNCAST_METRICS_FILE", "KERNCAST_TRACE"):
        if place.environment.get(name):
            allowed.append(place.environment[name])
    if outcome.code == 0:
        allowed += outputs(line)
    for path in sorted(set(before) | set(after)):
        if before.get(path) != after.get(path) and not any(
            path == name or path.startswith(name + "/") for name in allowed
        ):
            yield f"{path} was {'changed' if path in before and path in after else 'removed' if path in before else 'made'}"
    reads = line.command in READING or "--plan" in line.words or "--check" in line.words or "--dry-run" in line.words
    entries = [{path: seen[path] for path in seen if path.endswith(".kce")} for seen in (before, after)]
    reads = reads and "--repair" not in line.words
    if reads and entries[0] != entries[1] and not place.state.startswith("entry"):
        yield "a command that only reads changed the entries"


def warm_effect(line, place, outcome, **_):
    if "--plan" in line.words or "--check" in line.words:
        return
    words = [word for word in line.words if not re.match("--(out|from-pack|write-record)=", word)]
    for name in ("--out", "--from-pack", "--write-record"):
        if name in words:
            at = words.index(name)
            del words[at : at + 2]
    check = place.run(["warm", "--check", *words], KERNCAST_NVRTC="none")
    if check.code:
        yield f"afterwards `warm --check` fails: {check.out[-300:]} {check.err[-300:]}"
    # A part of a plan may be empty.
    yield from pack_effect(place, value_of(line, "--out"), 0 if value_of(line, "--shard") else 1)


def pack_effect(place, path, least=1):
    if path is None or path.startswith("/dev/") or path == "-":
        return
    check = place.run(["cache", "verify", path, "--json"])
    if check.code:
        yield f"{path} is not a sound pack: {check.err}"
        return
    held = json.loads(check.out)
    if held["entries"] + held["tuned"] < least:
        yield f"{path} is an empty pack"


def positional(line, index):
    """The positional of a line that has one at `index` of its words, which no option comes before."""
    return line.words[index] if len(line.words) > index and not line.words[index].startswith("-") else None


def export_effect(line, place, outcome, **_):
    yield from pack_effect(place, positional(line, 0))


def import_effect(line, place, outcome, **_):
    if "--dry-run" not in line.words and not place.entries():
        yield "nothing was imported"


def clear_effect(line, place, outcome, before_entries, **_):
    match = re.search(r'"removed": \{\s*"entries": (\d+)', outcome.out) or re.search(r"removed (\d+) entr", outcome.out)
    filtered = any(
        word.startswith(("--op", "--arch", "--older-than", "--compiler", "--stale", "--dry-run")) for word in line.words
    )
    gone = before_entries - len(place.entries())
    if "--dry-run" in line.words:
        if gone:
            yield "a dry run removed entries"
    elif not match or int(match[1]) != gone:
        yield f"it says that it removed {match and match[1]} entries, and {gone} are gone"
    if not filtered and place.entries():
        yield "entries are left"


def list_effect(line, place, outcome, before_entries, **_):
    if place.state in ("entry flipped", "entry cut", "entry unreadable") and line.command == "cache ls":
        if "kerncast: warning: " not in outcome.err:
            yield "it passes an unsound entry over in silence"
    if "--json" in line.words and not place.state.startswith("entry"):
        value = json.loads(outcome.out)
        count = len(value) if isinstance(value, list) else value["entries"]
        if count != before_entries:
            yield f"it says that there are {count} entries of {before_entries}"


def path_effect(line, place, outcome, **_):
    if not outcome.out.strip():
        yield "it printed no path"


def run_effect(line, place, outcome, **_):
    path = value_of(line, "--out")
    if path and path.startswith("out/") and "y" not in read_tensors(place.root / path):
        yield f"{path} holds no y"


def output_effect(line, place, outcome, **_):
    for path in outputs(line):
        if path.startswith("out/") and (
            not (place.root / path).is_file() or (place.root / path).read_bytes() == b"old"
        ):
            yield f"{path} was not written"


def begins_with(name, magic):
    def effect(line, place, outcome, **_):
        path = value_of(line, name)
        if path and path.startswith("out/") and not (place.root / path).read_bytes().startswith(magic):
            yield f"{path} does not begin with {magic}"

    return effect


def merge_effect(line, place, outcome, **_):
    path = positional(line, 0)
    if (
        path
        and path.startswith("out/")
        and not all(json.loads(row)["op"] for row in (place.root / path).read_text().splitlines())
    ):
        yield f"{path} holds no records"


def doctor_effect(line, place, outcome, **_):
    if "not ready" in outcome.out:
        yield "it has exit code 0 and is not ready"


def tuned_effect(line, place, outcome, **_):
    path = positional(line, 0)
    if (
        path
        and path.startswith("out/")
        and not all(json.loads(row)["templates"] for row in (place.root / path).read_text().splitlines())
    ):
        yield f"{path} holds no tuned records"


EFFECTS = {
    "warm": warm_effect,
    "cache export": export_effect,
    "cache import": import_effect,
    "cache clear": clear_effect,
    "cache ls": list_effect,
    "cache stat": list_effect,
    "cache metrics": begins_with("--out", b"# HELP "),
    "cache path": path_effect,
    "run": run_effect,
    "inspect": begins_with("--extract", b"\x7fELF"),
    "cache show": begins_with("--cubin", b"\x7fELF"),
    "profile": begins_with("--html", b"<!"),
    "record merge": merge_effect,
    "tune export": tuned_effect,
    "doctor": doctor_effect,
}


def effects(line, place, outcome, **more):
    if outcome.code != 0 or "--help" in line.words or "-h" in line.words:
        return
    # Beside a file, a "-" may be a name that is left out.
    report = outcome.err + outcome.out if {"-", "/dev/stdout"} & set(outputs(line)) else outcome.out
    if not report.strip() and not writes_a_cubin(line):
        yield "it printed nothing"
        return
    for effect in (output_effect, EFFECTS.get(line.command, output_effect)):
        try:
            yield from effect(line, place, outcome, **more)
        except (OSError, ValueError, KeyError, AssertionError) as error:
            yield f"what it says is done is not there: {error!r}"


ALL = (exit_code, messages, faults, json_output, untouched, effects)


def problems(**case):
    return [f"{oracle.__name__}: {problem}" for oracle in ALL for problem in oracle(**case)]
