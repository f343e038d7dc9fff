"""The files that a case works on: an undamaged place, its copies, the damage done to them, and what changed in them."""

import ctypes
import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

TINY = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "hidden_size": 64,
    "intermediate_size": 128,
    "moe_intermediate_size": 128,
    "n_routed_experts": 16,
    "num_experts_per_tok": 4,
    "n_group": 4,
    "topk_group": 2,
    "num_attention_heads": 4,
    "rms_norm_eps": 1e-6,
    "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}
DENSE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "rms_norm_eps": 1e-6,
    "torch_dtype": "bfloat16",
}
RECORD = {"op": "norm.rms_norm", "set": "hidden=64", "arch": "sm_90a", "sms": 132, "rows": 1}
TRACED = {
    "name": "norm.rms_norm",
    "cat": "launch",
    "ph": "X",
    "dur": 2.5,
    "ts": 1.25,
    "pid": 1,
    "tid": 1,
    "args": {"spec": "hidden=64", "arch": "sm_90a", "device": 0, "rows": 3, "stream": "0x0"},
}
# The command lines run another shape, so it changes nothing there.
TUNED = {
    "op": "norm.rms_norm",
    "spec": "x_dtype=bf16 hidden=192",
    "arch": "sm_90a",
    "rows_low": 1,
    "rows_high": 1,
    "source": "measured",
    "device": "NVIDIA H100",
    "tunables": "threads=64 rows_per_block=2",
    "time_us": 2.5,
    "templates": "0" * 32,
    "recorded_us": 1764000000000000,
}
WARM = "warm norm.rms_norm --set hidden=64 --arch sm_90a --rows 1".split()


def write_tensors(path, tensors):
    """Writes {name: (shape, bytes)} of dtype BF16 as safetensors."""
    header, data = {}, b""
    for name, (shape, raw) in tensors.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_tensors(path):
    """The header of a safetensors file, whose data must have the size that it states."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    assert max(entry["data_offsets"][1] for entry in header.values()) == len(raw) - 8 - size
    return header


def bound_privileges():
    """Takes from root what lets it ignore permissions, in the children of this process."""
    prctl_drop_bounding, override, search = 24, 1, 2
    libc = ctypes.CDLL(None)
    libc.prctl(prctl_drop_bounding, override, 0, 0, 0)
    libc.prctl(prctl_drop_bounding, search, 0, 0, 0)


@dataclass
class Outcome:
    code: int  # negative: the number of a signal; None: out of time
    out: str
    err: str


@dataclass
class Place:
    """A directory with inputs, outputs, a cache and a home. `kerncast` runs in it and is told of nothing else."""

    root: Path
    binary: str
    time_limit: float
    environment: dict = field(default_factory=dict)
    file_limit: int = 0
    state: str = ""  # what was done to the cache
    damaged: str = ""  # the input that was damaged
    held: int | None = None  # the number of entries, if permissions may hide them

    def variables(self):
        base = {
            name: os.environ[name]
            for name in ("PATH", "LD_LIBRARY_PATH", "KERNCAST_NVRTC", "ASAN_OPTIONS", "UBSAN_OPTIONS")
            if name in os.environ
        }
        base |= {"HOME": str(self.root / "home"), "TMPDIR": str(self.root / "tmp"), "KERNCAST_DRIVER": "sim"}
        base |= {"KERNCAST_CACHE_DIR": str(self.root / "cache"), "LC_ALL": "C.UTF-8"}
        return {name: value for name, value in (base | self.environment).items() if value is not None}

    def run(self, argv, **more):
        def limit():
            if self.file_limit:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_limit, self.file_limit))

        process = subprocess.Popen(
            [self.binary, *argv],
            cwd=self.root,
            env={**self.variables(), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=limit,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=self.time_limit)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            code = None
        return Outcome(code, out.decode(errors="replace"), err.decode(errors="replace"))

    def copy(self, to):
        shutil.copytree(self.root, to, symlinks=True)
        return Place(to, self.binary, self.time_limit)

    def cache(self):
        """The directory that the command uses, or None."""
        directory = self.variables().get("KERNCAST_CACHE_DIR")
        if directory:
            return self.root / directory
        home = self.variables().get("HOME", "")
        return Path(home, ".cache/kerncast") if home.startswith("/") else None

    def entries(self):
        """The paths of the cached kernels."""
        cache = self.cache()
        try:
            return sorted(path for path in cache.glob("v1/??/*.kce") if path.is_file()) if cache else []
        except OSError:  # a path that no system call takes
            return []

    def snapshot(self):
        return {str(path.relative_to(self.root)): describe(path) for path in walk(self.root)}

    def remove_cache(self):
        shutil.rmtree(self.root / "cache")

    def remove(self):
        for folder, _, _ in os.walk(self.root):
            os.chmod(folder, 0o700)
        shutil.rmtree(self.root)


def walk(root):
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            yield Path(folder, name)


def describe(path):
    """What must stay the same about a file: its kind, mode and content."""
    info = path.lstat()
    content = ""
    if stat.S_ISREG(info.st_mode):
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except PermissionError:
            content = f"{info.st_size} {info.st_mtime_ns}"
    return stat.filemode(info.st_mode), content


def prepare(root, binary, time_limit):
    """The undamaged place, and whether there is a compiler."""
    for name in ("in", "out", "ro", "home", "tmp"):
        (root / name).mkdir(parents=True)
    place = Place(root, binary, time_limit)
    inputs = root / "in"
    # Seven mantissa bits of 1.0 and more: small finite numbers.
    row = b"".join(struct.pack("<H", 0x3F80 + i % 64) for i in range(64))
    write_tensors(inputs / "x.safetensors", {"x": ([4, 64], row * 4), "weight": ([64], row)})
    (inputs / "tiny.json").write_text(json.dumps(TINY))
    (inputs / "dense.json").write_text(json.dumps(DENSE))
    (inputs / "record.jsonl").write_text(json.dumps(RECORD) + "\n" + json.dumps(RECORD | {"rows": 64}) + "\n")
    (inputs / "tuned.jsonl").write_text(json.dumps(TUNED) + "\n" + json.dumps(TUNED | {"rows_high": None}) + "\n")
    (inputs / "trace.jsonl").write_text(json.dumps(TRACED) + "\n" + json.dumps(TRACED | {"ts": 9.5}) + "\n")
    (root / "out/old").write_text("old")
    assert place.run(["tune", "import", "in/tuned.jsonl"]).code == 0
    assert place.run(["key", "generate", "in/signing.key"]).code == 0
    compiles = place.run(WARM).code == 0
    if compiles:
        assert place.run(["cache", "export", "in/pack.kcp"]).code == 0
        shutil.copy(place.entries()[0], inputs / "entry.kce")
    (root / "cache").mkdir(exist_ok=True, mode=0o700)
    (root / "ro").chmod(0o555)
    return place, compiles
