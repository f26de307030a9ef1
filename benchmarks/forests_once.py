"""One engine that scores many rows, measured once in a fresh process.

It must never import what its engine does not need: its memory is measured, too.

`python -m benchmarks.forests_once ENGINE MODEL PROCESSES ROWS.npy` prints JSON.
"""

import hashlib
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]  # ships no types

from propensia import files
from propensia.batch.forests.engine import Engine, fastest
from propensia.scorer import Matrix, Scorer

_BLOCK = 10_000


def measure(engine: str, model: Path, workers: int, matrix: Path) -> dict[str, Any]:
    """Rows a second in blocks of 10,000, after one block that does not count; the digest of all
    answers; seconds until the first block could be scored; and the most memory of a process."""
    rows = np.load(matrix)
    blocks = [rows[at : at + _BLOCK] for at in range(0, len(rows), _BLOCK)]
    if engine == "scikit-learn" or workers == 1:
        begun = time.perf_counter()
        many = _many(engine, model, workers)
        ready = time.perf_counter()
        many(blocks[0])
        started = time.perf_counter()
        answers = [many(block) for block in blocks]
        seconds = time.perf_counter() - started
        most = peak()
    else:
        begun = time.perf_counter()
        with ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _begin, (engine, model)
        ) as pool:
            list(pool.map(_score, blocks[:8]))
            ready = started = time.perf_counter()
            answers = list(pool.map(_score, blocks))
            seconds = time.perf_counter() - started
            most = max(pool.map(_worker_peak, range(8)))
    bits = hashlib.sha256(np.concatenate(answers).tobytes()).hexdigest()
    return {
        "rate": len(rows) / seconds,
        "bits": bits,
        "start_s": ready - begun,
        "mib": most / (1 << 20),
    }


def _many(engine: str, model: Path, workers: int) -> Callable[[Matrix], Matrix]:
    if engine == "scikit-learn":
        # Only this contender wants them, and the memory of the others is measured.
        import joblib  # type: ignore[import-untyped]  # ships no types
        import pandas as pd  # type: ignore[import-untyped]  # ships no types

        forest = joblib.load(model).set_params(n_jobs=workers)
        return lambda rows: np.asarray(
            forest.predict_proba(pd.DataFrame(rows, columns=forest.feature_names_in_))[:, 1]
        )
    onnx = model.read_bytes()
    if engine == "onnxruntime":
        return Scorer(onnx, files.sha256(onnx)).many
    made = fastest(onnx, files.sha256(onnx))
    if not isinstance(made, Engine):
        raise SystemExit("the engine is not used for this model; is llvmlite installed?")
    return made.many


_worker: dict[str, Callable[[Matrix], Matrix]] = {}


def _begin(engine: str, model: Path) -> None:
    _worker["many"] = _many(engine, model, 1)


def _score(rows: Matrix) -> Matrix:
    return _worker["many"](rows)


def _worker_peak(_: int) -> int:
    return peak()


def peak() -> int:
    """The most memory that this process had so far, in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        info = psutil.Process().memory_info()
        return int(getattr(info, "peak_wset", info.rss))
    return int(dict(line.split(":", 1) for line in status.splitlines())["VmHWM"].split()[0]) << 10


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
