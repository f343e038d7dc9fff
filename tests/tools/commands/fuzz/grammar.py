"""Command lines of kerncast, made from what `--help` of each command lists and from the values of each kind of argument."""

import re
from dataclasses import dataclass, field

COMMANDS = [
    "run",
    "ops",
    "inspect",
    "profile",
    "bench",
    "cache stat",
    "cache ls",
    "cache path",
    "cache show",
    "cache clear",
    "cache tuned",
    "cache explain",
    "cache metrics",
    "cache export",
    "cache import",
    "cache log",
    "cache verify",
    "key generate",
    "key show",
    "tune",
    "tune report",
    "tune show",
    "tune export",
    "tune import",
    "tune prune",
    "tune check",
    "warm",
    "record merge",
    "trace view",
    "doctor",
    "help",
    "completion",
]

LONG = "x" * 5000
ARCHS = ["sm_90a", "sm_80", "sm_100a"]
BAD_ARCHS = ["", "90", "sm_", "sm_9x", "sm_90b", "SM_90a", "sm_90a ", "sm_-90", "sm_99999", LONG]
BAD_NUMBERS = ["", "abc", "1.5", "-1", "0", "99999999999999999999", "1e3", "nan", "1x", "--", LONG]
BAD_NAMES = ["", "norm.rms_nrm", "norm.", "NORM.RMS_NORM", "norm.rms_norm ", "é", "../../etc", "norm.rms_norm\n", LONG]
# Directories, missing folders, names that are too long.
BAD_FILES = ["", "in", "nowhere/x", "x/" * 3000, "in/x.safetensors/y", "y" * 300, "in/missing"]
BAD_SETTINGS = [
    "",
    "hidden",
    "=64",
    "hidden=",
    "hidden=abc",
    "hidden=-64",
    "hidden=0",
    "hiden=64",
    "hidden=64.5",
    "hidden=1e99",
]
BAD_SETTINGS += ["hidden=99999999999999999999", "x_dtype=f7", "eps=nan", "eps=", "eps=1,5", LONG, "hidden=" + LONG]

# The good values of each kind, those that are certainly refused, and those that may be.
KINDS = {
    "op": (["norm.rms_norm", "rms_norm"], BAD_NAMES + ["norm"], ["norm.l2_norm", "quant.dequant"]),
    "op or family": (["norm.rms_norm", "rms_norm", "norm"], BAD_NAMES, ["quant", "moe"]),
    "op or entry": (
        ["norm.rms_norm", "in/entry.kce"],
        BAD_NAMES + ["in"],
        ["in/x.safetensors", "in/missing.kce", ".kce"],
    ),
    "entry": (
        ["in/entry.kce"],
        BAD_FILES + ["12345", "xyzxyz", "in/x.safetensors", "in/missing.kce", ".kce"],
        ["abcdef", "ABCDEF0", "00000000000000000000000000000000"],
    ),
    "op filter": (["norm.rms_norm"], ["", "norm.rms_nrm", "moe.none", LONG], ["norm.*", "rms_norm", "norm.rms_norm,"]),
    "record op": (["norm.rms_norm"], ["", "norm.rms_nrm", "moe.none", LONG], ["norm", "rms_norm", "norm.l2_norm"]),
    "trial op": ([], ["", "norm.rms_nrm", "moe.none", LONG], ["norm.rms_norm", "rms_norm"]),
    "trial arch": ([], BAD_ARCHS, ["sm_90a", "sm_75", "sm_80,sm_90a", ","]),
    "setting": (["hidden=64"], BAD_SETTINGS, ["eps=1e-6", "hidden=0x40", "hidden=+64"]),
    "tunable": ([], ["", "threads", "threads=", "threads=7", "thread=32", LONG], ["threads=32", "rows_per_block=1"]),
    "arch": (ARCHS[:1], BAD_ARCHS, ["sm_80", "sm_100a", "sm_120f", "sm_90f", "sm_999"]),
    "arch list": (["sm_90a"], BAD_ARCHS + ["sm_90a,x"], ["sm_80,sm_90a", "sm_90a,", ",sm_90a", ",", "sm_90a,sm_90a"]),
    "arch filter": (["sm_90a"], BAD_ARCHS + ["sm_75"], ["sm_90a,", "sm_80", ","]),
    "rows": (["1", "16"], BAD_NUMBERS, ["0x10", "+1", " 1", "9223372036854775807"]),
    "rows list": (
        ["1", "1,4"],
        [text for text in BAD_NUMBERS if text != "0"] + ["1,x"],
        ["0", "1,", ",", "4,4", "9223372036854775807"],
    ),
    "few rows": (["1", "4"], BAD_NUMBERS, ["0x4", "+1"]),
    "device number": (["0"], ["", "x", "-1", "1", "99", "99999999999", LONG], ["+0", "00"]),
    "device name": (["h100", "a100", "b200"], ["", "h1000", "H100 ", LONG], ["H100"]),
    "tuned device": (
        ["estimate:h100"],
        [
            "",
            "h100",
            "estimate:",
            "estimate:h1000",
            "cuda:",
            "cuda:x",
            "cuda:-1",
            "tpu:0",
            "estimate:h100,cuda:0",
            LONG,
        ],
        ["estimate:h100,estimate:h200", "estimate:H100"],
    ),
    "strategy": (
        ["random:share=0.2", "guided:least=4,share=0"],
        ["", "guidd", "guided:first", "guided:frist=1", "random:share=2", "random:share=x", LONG],
        ["exhaustive", "random:", "model"],
    ),
    "stop": (
        ["trials=3", "trials=3,patience=2"],
        ["", "trials=0", "trial=3", "trials=", "trials=x", "bound=-1", "trials=3,x", LONG],
        ["bound", "trials=3,", "time=5"],
    ),
    "budget": (["10m", "1h"], ["", "0s", "x", "-1d", "d", "1.5m", LONG], ["20s"]),
    "percent": (["3", "2.5"], ["", "x", "-1", "101", "nan", LONG], ["0", "100", "1e1"]),
    "tuning seed": (["1", "7"], ["", "x", "-1", "1.5", "99999999999999999999", LONG], ["0"]),
    "tuned shard": (
        ["1/1"],
        ["", "0/1", "2/1", "1", "/", "1/", "-1/2", "a/b", "1/99999999999999999999999", "AUTO", "auto", LONG],
        ["1/2", "2/2"],
    ),
    "tuned rows": (["1", "1,2"], BAD_NUMBERS + ["1,x", "0,1"], ["1,", ",", "2,2", "+1"]),
    "quant": (["fp8-block", "none", "all"], ["", "fp9", "fp8-blok", LONG], ["int8", "mxfp4", "fp8-block,int8"]),
    "model": (
        ["in/tiny.json", "in/dense.json"],
        BAD_FILES + ["deepseek-v33", "in/pack.kcp"],
        ["llama-3-8b", "in/entry.kce"],
    ),
    "model list": (
        ["in/dense.json"],
        BAD_FILES + ["in/dense.json,in/missing"],
        ["in/dense.json,", ",", "in/dense.json,in/dense.json"],
    ),
    "tensors": (["in/x.safetensors"], BAD_FILES + ["in/tiny.json", "in/pack.kcp"], []),
    "pack": (["in/pack.kcp"], BAD_FILES + ["in/x.safetensors", "in/entry.kce"], []),
    "place": (
        ["in/pack.kcp", "cache"],
        BAD_FILES + ["in/x.safetensors", "in/entry.kce", "ftp://", "http://", "redis://127.0.0.1:1"],
        ["remote", "./cache"],
    ),
    "event": (["import", "repair"], ["", "hit", "IMPORT", "import ", LONG], []),
    "key prefix": (["0", "ab12"], ["", "xyz", "AB", "0" * 33, LONG], []),
    "moment": (
        ["1s", "30d", "2026-01-31", "2026-01-31T13:05:09"],
        ["", "x", "-1d", "1y2", "2026-13-01", "2026-02-30", "2026", LONG],
        ["0s", "2026-01-31T13:05:09Z", "2026-01-31 13:05"],
    ),
    "records": (
        ["in/record.jsonl"],
        BAD_FILES + ["in/pack.kcp", "in/x.safetensors"],
        ["in/record.jsonl,", "in/tiny.json"],
    ),
    "trace": (["in/trace.jsonl"], BAD_FILES + ["in/pack.kcp", "in/x.safetensors", "in/tiny.json"], ["in/record.jsonl"]),
    "tuned lines": (
        ["in/tuned.jsonl"],
        BAD_FILES + ["in/pack.kcp", "in/x.safetensors", "in/tiny.json"],
        ["in/record.jsonl"],
    ),
    "digest": ([], ["", "x", "0" * 31, "0" * 33, "A" * 32, LONG], ["0" * 32]),
    "output": (
        ["out/new", "out/old"],
        ["", "in", "nowhere/x", "out/" + "y" * 300, "ro/new", "in/x.safetensors/y"],
        ["/dev/null", "-", "/dev/stdout", "/dev/full"],
    ),
    "signing key": (["in/signing.key"], BAD_FILES + ["in/pack.kcp", "in/x.safetensors", "/dev/null"], []),
    # A key is never written over anything.
    "new file": (
        ["out/new"],
        [
            "",
            "in",
            "nowhere/x",
            "out/" + "y" * 300,
            "ro/new",
            "in/x.safetensors/y",
            "out/old",
            "/dev/null",
            "/dev/stdout",
            "-",
        ],
        [],
    ),
    "tokens": (
        ["1", "1:16", "1,16"],
        ["", "0", "16:1", "1:", ":", "a", "-1", "1:99999999999999999999", LONG],
        ["1,", "1:9223372036854775807"],
    ),
    "patterns": (["rms_norm", "norm.*"], ["", "nothing.*", "rms_nrm", "[", LONG], ["*", "rms_norm,", "*_norm"]),
    "shard": (
        ["1/1"],
        ["", "0/1", "2/1", "1", "/", "1/", "-1/2", "a/b", "1/99999999999999999999999", "AUTO", LONG],
        ["1/2", "2/2", "auto"],
    ),
    "sms": (["132"], ["", "0", "-1", "4097", "x", "132,0", LONG], ["132,", ",", "78,132"]),
    "ranks": (["1", "2"], ["", "0", "-1", "x", "1025,1", "1.5", "99999999999", LONG], ["4", "1,2", "3"]),
    "experts": (["1", "2"], ["", "0", "-1", "x", "4097", "1,2", LONG], ["3", "16"]),
    "jobs": (["1", "2"], ["", "0", "-1", "1025", "x", LONG], []),
    "memory": (["4GiB"], ["", "-1", "x", "1", "4QiB", "99999999999999999999GiB", LONG], ["4gb", "0", "1e9"]),
    "timeout": (["60"], ["", "0", "-1", "86401", "x", LONG], ["1"]),
    "age": (["1s", "30d"], ["", "x", "-1d", "1y2", "d", "1.5d", "99999999999999999999d", LONG], ["0s", "1h"]),
    "version": (["13.0"], ["", "0.0", "x", LONG], ["13"]),
    "command": (["run", "cache"], ["", "rnu", "cache rnu", LONG], ["worker"]),
    "shell": (["bash", "zsh", "fish"], ["", "bsh", "tcsh", LONG], []),
    "bench device": (
        ["sim:h100", "sim:a100"],
        ["", "h100", "sim", "sim:", "sim:h1000", "cuda", "cuda:", "cuda:x", "cuda:-1", "SIM:h100", "sim:h100 ", LONG],
        ["cuda:0", "cuda:99"],
    ),
    "bench rows": (["1", "4", "1,4"], BAD_NUMBERS + ["1,x", "0,1"], ["1,", ",", "4,4"]),
    "base": (["default"], ["", "defaut", "threads=", "threads=7", "thread=32", "Default", LONG], ["threads=32"]),
    "l2": (["cold", "warm"], ["", "cool", "WARM", "hot", LONG], []),
    "launch": (["graph", "stream"], ["", "graphs", "Stream", LONG], []),
    "data": (
        ["uniform"],
        [
            "",
            "unifrm",
            "zipf",
            "zipf:",
            "zipf:0",
            "zipf:-1",
            "zipf:x",
            "zipf:99",
            "zipf:nan",
            "recorded",
            "recorded:",
            LONG,
        ],
        ["zipf:1.1", "recorded:in/x.safetensors", "recorded:in/missing", "recorded:in"],
    ),
    "duration": (["1ms", "2ms"], ["", "0s", "-1s", "1", "s", "1.5s", "1y", "99999999999s", LONG], ["5ms"]),
    "width": (["2%", "50%"], ["", "0%", "2", "-2%", "x%", "200%", "%", "nan%", "1e9%", LONG], ["0.5%", "100%"]),
    "seed": (["0", "7"], ["", "x", "-1", "1.5", "99999999999999999999", LONG], ["18446744073709551615"]),
    "when": (["auto", "always", "never"], ["", "sometimes"], []),
    "flag": ([], [], []),
}

# The kind of each argument; a command's own entry goes before that of all commands.
ARGUMENTS = {
    "op": "op",
    "--set": "setting",
    "--arch": "arch",
    "--rows": "rows",
    "--tunables": "tunable",
    "--extract": "output",
    "--out": "output",
    "--sign": "signing key",
    "--write-record": "output",
    "--html": "output",
    "--cubin": "output",
    "--model": "model",
    "--quant": "quant",
    "--in": "tensors",
    "run --rows": "rows list",
    "run --device": "device number",
    "ops op": "op or family",
    "inspect what": "op or entry",
    "profile --device": "device name",
    "bench --device": "bench device",
    "bench --rows": "bench rows",
    "bench --against": "base",
    "bench --l2": "l2",
    "bench --launch": "launch",
    "bench --data": "data",
    "bench --time": "duration",
    "bench --width": "width",
    "bench --seed": "seed",
    "profile --rows": "few rows",
    "warm --rows": "rows list",
    "warm --arch": "arch list",
    "warm --model": "model list",
    "warm --from-record": "records",
    "warm --from-pack": "pack",
    "warm --sms": "sms",
    "warm --tp": "ranks",
    "warm --ep": "experts",
    "warm --tokens": "tokens",
    "warm --ops": "patterns",
    "warm --shard": "shard",
    "warm --jobs": "jobs",
    "warm --memory": "memory",
    "warm --timeout": "timeout",
    "cache export file": "output",
    "cache import file": "pack",
    "tune --rows": "tuned rows",
    "tune --arch": "arch list",
    "tune --model": "model list",
    "tune --from-record": "records",
    "tune --device": "tuned device",
    "tune --tp": "ranks",
    "tune --ep": "experts",
    "tune --ops": "patterns",
    "tune --strategy": "strategy",
    "tune --stop": "stop",
    "tune --budget": "budget",
    "tune --least-gain": "percent",
    "tune report --least-gain": "percent",
    "tune report op": "trial op",
    "tune report --arch": "trial arch",
    "tune show op": "record op",
    "tune show --arch": "arch filter",
    "tune --seed": "tuning seed",
    "tune --shard": "tuned shard",
    "tune --jobs": "jobs",
    "tune --timeout": "timeout",
    "tune --data": "data",
    "tune export file": "output",
    "tune export --op": "op filter",
    "tune export --arch": "arch filter",
    "tune import file": "tuned lines",
    "tune check --expect": "digest",
    "key generate file": "new file",
    "key show file": "signing key",
    "cache verify place": "place",
    "cache show key": "entry",
    "cache log --event": "event",
    "cache log --key": "key prefix",
    "cache log --since": "moment",
    "cache log --last": "rows",
    "cache export --op": "op filter",
    "cache export --arch": "arch filter",
    "cache clear --op": "op filter",
    "cache clear --arch": "arch filter",
    "cache clear --older-than": "age",
    "cache clear --compiler": "version",
    "record merge out": "output",
    "record merge files": "records",
    "trace view file": "trace",
    "help command": "command",
    "completion shell": "shell",
}

# Command lines that succeed in an undamaged place. Those of the second list need a compiler.
PLAIN = [
    "ops",
    "ops norm",
    "ops norm.rms_norm",
    "cache stat",
    "cache ls",
    "cache path",
    "cache metrics",
    "cache metrics --out out/new",
    "cache metrics --out out/old",
    "cache clear",
    "cache tuned",
    "cache log",
    "cache log --event import --last 3",
    "cache log --since 30d --key 0",
    "cache verify",
    "cache verify --repair",
    "cache explain norm.rms_norm --set hidden=64 --arch sm_90a",
    "cache explain norm.rms_norm --set hidden=64",
    "record merge out/new in/record.jsonl",
    "trace view in/trace.jsonl",
    "tune report",
    "tune report --replay",
    "tune report --html out/new",
    "tune norm.rms_norm --set hidden=64 --device estimate:h100 --rows 1 --plan",
    "tune show",
    "tune show norm.rms_norm",
    "tune show --arch sm_90a",
    "tune export out/new",
    "tune export out/old --op norm.rms_norm --arch sm_90a",
    "tune import in/tuned.jsonl",
    "tune import in/tuned.jsonl --dry-run",
    "tune prune",
    "tune prune --dry-run",
    "tune check",
    "key generate out/new",
    "key show in/signing.key",
    "help",
    "help cache",
    "completion bash",
]
COMPILED = [
    "tune norm.rms_norm --set hidden=64 --device estimate:h100 --rows 1 --strategy random:share=0.1 --stop trials=2",
    "doctor",
    "run norm.rms_norm --in in/x.safetensors --out out/new",
    "run norm.rms_norm --in in/x.safetensors --out out/old --set eps=1e-6 --no-check",
    "run --model in/dense.json --rows 1",
    "inspect norm.rms_norm --set hidden=64 --arch sm_90a",
    "inspect norm.rms_norm --set hidden=64 --arch sm_90a --extract out/new",
    "inspect in/entry.kce",
    "inspect in/entry.kce --extract out/old",
    "profile norm.rms_norm --set hidden=64 --rows 1",
    "profile norm.rms_norm --set hidden=64 --rows 1 --html out/new",
    "bench norm.rms_norm --set hidden=64 --rows 1 --time 1ms",
    "bench norm.rms_norm --set hidden=64 --rows 1,2 --time 1ms --against default --l2 warm --device sim:a100",
    "cache show in/entry.kce",
    "cache show in/entry.kce --ptx",
    "cache show in/entry.kce --cubin out/new",
    "cache export out/new",
    "cache export out/old --op norm.rms_norm --arch sm_90a",
    "cache export out/new --sign in/signing.key",
    "cache import in/pack.kcp",
    "cache clear --op rms_norm --arch sm_90a --older-than 0s",
    "cache clear --op norm.rms_norm --dry-run",
    "cache clear --dry-run",
    "cache verify in/pack.kcp",
    "cache verify --load in/pack.kcp",
    "cache verify --no-load in/pack.kcp cache",
    "warm norm.rms_norm --set hidden=64 --arch sm_90a --rows 1",
    "warm norm.l2_norm --set hidden=64 --arch sm_90a --rows 1",
    "warm --from-record in/record.jsonl",
    "warm --model in/dense.json --arch sm_90a --ops rms_norm --rows 1",
    "warm --model in/dense.json --arch sm_90a --ops rms_norm --rows 1 --plan",
    "warm --model in/tiny.json --arch sm_90a --rows 1 --plan",
    "warm norm.rms_norm --set hidden=64 --arch sm_90a --rows 1 --check",
    "warm norm.rms_norm --set hidden=64 --arch sm_90a --rows 1 --plan --write-record out/new",
    "warm norm.rms_norm --set hidden=64 --arch sm_90a --rows 1 --from-pack in/pack.kcp --out out/new",
]


@dataclass
class Option:
    name: str
    kind: str
    positional: bool


@dataclass
class Line:
    """A command line, and what is wrong with it."""

    command: str
    words: list
    faults: list = field(default_factory=list)  # texts of which standard error has to name one, for each certain fault
    doubts: int = 0  # changes that may or may not be refused

    @property
    def argv(self):
        return self.command.split() + self.words

    def refuse(self, *names):
        self.faults.append([name for name in names if name])


def options_of(command, help_text):
    """The arguments that the help of `command` lists. Throws KeyError for one that this file has no values for."""
    options = []
    for line in help_text.splitlines():
        match = re.match(r"  (?:-\w,)?(--[\w-]+|[a-z]+)(?: (\S+))?", line)
        if not match or match[1] in ("--help", "--json", "--version", "--color"):
            continue
        name = match[1]
        has_value = (
            match[2] is not None
            and re.match(r"[A-Z]+[:=\[]?", match[2]) is not None
            and match[2] != match[2].capitalize()
        )
        if name.startswith("--") and not has_value:
            options.append(Option(name, "flag", False))
        elif name.startswith("--") or has_value:
            kind = ARGUMENTS.get(f"{command} {name}") or ARGUMENTS[name]
            options.append(Option(name, kind, not name.startswith("--")))
    return options


class Grammar:
    def __init__(self, help_of, compiles):
        self.options = {command: options_of(command, help_of(command)) for command in COMMANDS}
        self.bases = [self.split(text) for text in PLAIN + (COMPILED if compiles else [])]

    @staticmethod
    def split(text):
        words = text.split()
        count = 2 if " ".join(words[:2]) in COMMANDS else 1
        return " ".join(words[:count]), words[count:]

    def line(self, random):
        """A valid line, or one with one or two changes."""
        command, words = random.choice(self.bases)
        line = Line(command, list(words))
        changes = [
            self.change_value,
            self.change_value,
            self.add_option,
            self.add_option,
            self.misspell,
            self.drop,
            self.stray,
        ]
        for _ in range(random.choice([0, 1, 1, 1, 1, 2])):
            # A later change could undo a certain fault.
            if not line.faults:
                random.choice(changes)(random, line)
        if random.random() < 0.4 and command not in ("help", "completion"):
            line.words.append("--json")
        return line

    def kind_at(self, line, index):
        """The option that the word at `index` belongs to, or None."""
        known = self.options[line.command]
        if line.words[index].startswith("-"):
            return None
        before = line.words[index - 1] if index else ""
        named = [option for option in known if option.name == before and option.kind != "flag"]
        positional = [option for option in known if option.positional]
        earlier = sum(not word.startswith("-") for word in line.words[:index])
        return (named or positional[min(earlier, 1) : min(earlier, 1) + 1] or positional[:1] or [None])[0]

    def value(self, random, option, line):
        """A value for `option`; notes in `line` if it is a bad one."""
        good, bad, unsure = KINDS[option.kind]
        pool = random.choice([name for name, values in (("good", good), ("bad", bad), ("unsure", unsure)) if values])
        if pool == "bad":
            text = random.choice(bad)
            line.refuse(text[:30].strip(), *(part[:30] for part in re.split("[=,]", text)), option.name)
            return text
        line.doubts += 1
        return random.choice(good if pool == "good" else unsure)

    def change_value(self, random, line):
        places = [i for i in range(len(line.words)) if self.kind_at(line, i)]
        if places:
            index = random.choice(places)
            line.words[index] = self.value(random, self.kind_at(line, index), line)

    def add_option(self, random, line):
        options = [option for option in self.options[line.command] if not option.positional]
        if not options:
            return
        option = random.choice(options)
        line.doubts += 1
        if option.kind == "flag":
            line.words.append(option.name)
        elif random.random() < 0.5:
            line.words += [option.name, self.value(random, option, line)]
        else:
            line.words.append(f"{option.name}={self.value(random, option, line)}")

    def misspell(self, random, line):
        names = [i for i, word in enumerate(line.words) if word.startswith("--")]
        if names and random.random() < 0.7:
            index = random.choice(names)
            name, *value = line.words[index].split("=", 1)
            line.words[index] = "=".join([name[:-1] + "qq", *value])
            line.refuse(name[:-1] + "qq")
        else:
            unknown = random.choice(["--nonsense", "-q", "--jsn", "--nonsense=1"])
            line.words.insert(random.randint(0, len(line.words)), unknown)
            # Before an option's value it is taken for that value.
            line.doubts += 1

    @staticmethod
    def drop(random, line):
        if line.words:
            del line.words[random.randrange(len(line.words))]
            line.doubts += 1

    @staticmethod
    def stray(random, line):
        line.words.append(random.choice(["stray", "", "--", "norm.rms_norm", "\t", "--json=7", "-"]))
        line.doubts += 1
