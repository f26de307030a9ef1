"""How long, and in how much memory, a model file is read as data and compiled, in a fresh process.

It must never load a PKL.

`python -m benchmarks.reading FILE.pkl CORE` does it once, on that core, and prints JSON.
"""

import gzip
import json
import lzma
import os
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]  # lz4 ships no types
import psutil  # type: ignore[import-untyped]  # ships no types

from benchmarks.contenders import Bench
from benchmarks.services import ROOT, clean_environment, server_cores
from propensia import contract as contracts
from propensia.admission import compiler, container, reader

Measured = tuple[list[float], str]

_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "xz": lambda raw: lzma.compress(raw, preset=1),
    "lz4": lz4.frame.compress,
}


@dataclass(frozen=True, slots=True)
class Once:
    """One file, read and compiled once: seconds, and bytes of memory.

    `before` is the memory of the process with all its libraries and no file, `reading` and
    `whole` the most that it had while it read, and until the end.
    """

    file_bytes: int
    unpacked_bytes: int
    read_s: float
    compile_s: float
    before: int
    reading: int
    whole: int
    trees: int
    depth: int

    @property
    def reader_ratio(self) -> float:
        """What reading took, the file itself included, over the unpacked file."""
        return (self.reading - self.before) / self.unpacked_bytes


def measure(file: Path) -> Once:
    """Read and compile a file once in this process, which should be a fresh one."""
    contract = contracts.load("cobranza")
    before = _memory()
    data = file.read_bytes()
    begun = time.perf_counter()
    root = reader.read(data)
    read = time.perf_counter()
    reading = _peak()
    compiled = compiler.compile_model(
        root, contract.column_names, contract.positive, contract.negative
    )
    done = time.perf_counter()
    whole = _peak()
    return Once(
        file_bytes=len(data),
        unpacked_bytes=len(container.unpack(data)),
        read_s=read - begun,
        compile_s=done - read,
        before=before,
        reading=reading,
        whole=whole,
        trees=_count(compiled.facts, "trees"),
        depth=_count(compiled.facts, "depth"),
    )


def _count(facts: dict[str, object], name: str) -> int:
    value = facts.get(name, 0)
    return value if isinstance(value, int) else 0


def _memory() -> int:
    return int(psutil.Process().memory_info().rss)


def _peak() -> int:
    """The most memory that this process had so far.

    Not `ru_maxrss`: a new process inherits that of the one that started it.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        info = psutil.Process().memory_info()
        return int(getattr(info, "peak_wset", info.rss))
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) << 10


def in_a_fresh_process(file: Path) -> Once:
    """What `measure` finds in a process of its own, on the first core, its libraries loaded."""
    core = (server_cores() or [-1])[0]
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.reading", str(file), str(core)],
        cwd=ROOT,
        # As the children of an admission have it.
        env=clean_environment() | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Once(**json.loads(finished.stdout))


# The figures


def seconds_to_read(bench: Bench) -> Measured:
    """Seconds to read a forest of some 30 MB."""
    return _of_forest(bench, "forest", lambda once: once.read_s)


def seconds_to_compile(bench: Bench) -> Measured:
    """Seconds to compile it."""
    return _of_forest(bench, "forest", lambda once: once.compile_s)


def memory_of_both(bench: Bench) -> Measured:
    """Megabytes of the whole process that reads and compiles it."""
    return _of_forest(bench, "forest", lambda once: once.whole / 1e6)


def seconds_of_a_thousand_trees(bench: Bench) -> Measured:
    """Seconds to read and compile a thousand trees of twelve levels."""
    return _of_forest(bench, "forest_thousand", lambda once: once.read_s + once.compile_s)


def _of_forest(bench: Bench, model: str, value: Callable[[Once], float]) -> Measured:
    rounds = [in_a_fresh_process(bench.model(model)) for _ in range(bench.rounds)]
    first = rounds[0]
    detail = f"{first.trees} trees of depth {first.depth}, {first.file_bytes / 1e6:.0f} MB"
    return [value(once) for once in rounds], detail


def memory_of_reading(bench: Bench) -> Measured:
    """Memory of reading over the unpacked file: the worst of a forest's files in each round."""
    files = {
        "joblib": bench.model("forest"),
        "pickle 2": bench.model("forest_protocol_2"),
        "pickle 5": bench.model("forest_protocol_5"),
    }
    for name, pack in _PACKERS.items():
        files[name] = bench.scratch(f"forest.{name}")
        files[name].write_bytes(pack(bench.model("forest").read_bytes()))
    found = {
        name: [in_a_fresh_process(file).reader_ratio for _ in range(bench.rounds)]
        for name, file in files.items()
    }
    worst = [max(ratios) for ratios in zip(*found.values(), strict=True)]
    detail = ", ".join(f"{name} {statistics.median(of):.2f}" for name, of in found.items())
    return worst, detail


def main(file: Path, core: int) -> None:
    """Measure a file on one core, and print what was found."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    once = measure(file)
    print(json.dumps({name: getattr(once, name) for name in Once.__slots__}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
