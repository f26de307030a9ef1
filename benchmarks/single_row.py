"""One row at a time through our graph of a forest, and through that of the usual converter.

It must never read a PKL that this folder did not make: the usual converter loads it.

`python -m benchmarks.single_row FILE.pkl ROUNDS CORE` prints the ratios, a JSON list.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import joblib  # type: ignore[import-untyped]  # ships no types
import numpy as np
import onnxruntime

from benchmarks import rows
from benchmarks.contenders import PATHS, Bench
from benchmarks.services import ROOT, clean_environment, server_cores
from propensia import contract as contracts
from propensia.admission import compiler, reader

Measured = tuple[list[float], str]


def seconds(session: Any, output: str, encoded: list[np.ndarray]) -> float:
    """Seconds for all rows, each (1, 16), one at a time."""
    name = session.get_inputs()[0].name
    begun = time.perf_counter()
    for row in encoded:
        session.run([output], {name: row})
    return time.perf_counter() - begun


def session(graph: bytes) -> Any:
    """ONNX Runtime's session of a graph, on one thread: both sides get the same options."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def ours(file: Path) -> bytes:
    """Our graph of a forest, made from the file as data."""
    contract = contracts.load("cobranza")
    return compiler.compile_model(
        reader.read(file.read_bytes()),
        contract.column_names,
        contract.positive,
        contract.negative,
    ).onnx


def theirs(file: Path) -> bytes:
    """The usual converter's graph of a forest, as its own documentation makes it."""
    # Not before it is asked for: the converter is not part of every installation.
    from skl2onnx import to_onnx  # type: ignore[import-untyped]  # ships no types

    forest = joblib.load(file)
    example = np.zeros((1, len(rows.COLUMNS)), np.float32)
    versions = {"": 21, "ai.onnx.ml": 3}
    graph = to_onnx(forest, example, options={"zipmap": False}, target_opset=versions)
    return bytes(graph.SerializeToString())


def compare(file: Path, rounds: int) -> list[float]:
    """Our time over theirs for the same 2,000 different rows, in rounds in turn."""
    encoded = [np.array([rows.encode(dict(parse_qsl(path.partition("?")[2])))]) for path in PATHS]
    narrow = [row.astype(np.float32) for row in encoded]
    own, other = session(ours(file)), session(theirs(file))
    apart = max(
        abs(
            own.run(["p"], {"x": wide})[0][0, 0]
            - other.run(["probabilities"], {"X": row})[0][0, 1]
        )
        for wide, row in zip(encoded, narrow, strict=True)
    )
    if apart > 1e-5:  # theirs adds in float32
        raise RuntimeError(f"the two graphs differ by {apart}")
    ratios = []
    # The round before the first one warms both and is dropped.
    for _ in range(rounds + 1):
        taken = seconds(other, "probabilities", narrow)
        ratios.append(seconds(own, "p", encoded) / taken)
    return ratios[1:]


def against_the_usual_converter(bench: Bench) -> Measured:
    """One row through our graph of a forest ÷ through skl2onnx's, same session options."""
    core = (server_cores() or [-1])[0]
    line = [sys.executable, "-m", "benchmarks.single_row", str(bench.model("forest"))]
    finished = subprocess.run(
        [*line, str(bench.rounds), str(core)],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(finished.stdout), f"{len(PATHS)} different rows, one thread"


def main(file: Path, rounds: int, core: int) -> None:
    """Compare on one core, and print the ratios."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    print(json.dumps(compare(file, rounds)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
