"""One side of `python -m benchmarks batch`, in a process of its own, and how long it took.

It must never do more than what its figure is compared with.
"""

import json
import multiprocessing
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import joblib  # type: ignore[import-untyped]  # ships no types
import numpy as np
import numpy.typing as npt
import pandas as pd  # type: ignore[import-untyped]  # ships no types
import pyarrow as pa
import pyarrow.csv

from benchmarks.rows import COLUMNS
from propensia import contract as contracts
from propensia.batch import opening
from propensia.batch.blocks import Block, Reader, Results, Writer
from propensia.batch.worker import model
from propensia.batch.worker.chances import Chances
from propensia.batch.worker.model import Model
from propensia.batch.worker.reading import Reading
from propensia.registry import Registry
from propensia.scorer import Scorer

WORKERS = 2
BLOCK = 100_000
"""Rows that ONNX Runtime's own threads share at a time."""

Matrix = npt.NDArray[np.float64]


def matrix(portfolio: str, target: str) -> None:
    """Write the model columns of every row of a portfolio, ``(n, 16) float64``."""
    contract = contracts.load("cobranza")
    features = [parameter.feature for parameter in contract.parameters]
    reader = pyarrow.csv.open_csv(
        portfolio,
        parse_options=pyarrow.csv.ParseOptions(delimiter=";"),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=features,
            column_types={name: pa.string() for name in features},
            strings_can_be_null=False,
        ),
    )
    reading, parts = Reading(contract), []
    for batch in reader:
        texts = {p.name: batch.column(p.feature) for p in contract.parameters}
        read = reading.read(texts, {}, batch.num_rows)
        parts.append(read.matrix[~read.faults.of()])
    np.save(target, np.vstack(parts))


def engine(state: str, rows: str) -> dict[str, float]:
    """Seconds to score a ready matrix: by the engine of the command in two ``processes``, a half
    each, and how long they kept the ``processor``; and by ONNX Runtime's own two ``threads``."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context) as pool:
        together = context.Manager().Barrier(WORKERS)
        halves = [pool.submit(_half, state, rows, part, together) for part in range(WORKERS)]
        seconds, processor = zip(*(half.result() for half in halves), strict=True)
    ready = np.load(rows)
    taken = _taken(state)
    scorer = Scorer(taken.onnx, taken.digest, threads=WORKERS)
    scorer.many(ready[:BLOCK])
    began = time.perf_counter()
    for at in range(0, len(ready), BLOCK):
        scorer.many(ready[at : at + BLOCK])
    threads = time.perf_counter() - began
    return {"processes": max(seconds), "processor": sum(processor), "threads": threads}


def _half(state: str, rows: str, part: int, together: threading.Barrier) -> tuple[float, float]:
    ready = np.array_split(np.load(rows), WORKERS)[part]
    chances = Chances(_taken(state))
    chances.known(ready[:BLOCK])
    together.wait()
    began, busy = time.perf_counter(), time.process_time()
    chances.known(ready)
    return time.perf_counter() - began, time.process_time() - busy


def _taken(state: str) -> Model:
    return model.take(Registry(Path(state)), contracts.load("cobranza"))


def carry(state: str, portfolio: str, target: str) -> None:
    """Read and write a portfolio as the command does, in as many processes, and score nothing."""
    ends = opening.ends(opening.Wish(portfolio, target), _taken(state), {})
    ends.sink.start(None)
    context = multiprocessing.get_context("spawn")
    given = (ends.reader, ends.sink.writer)
    waiting: deque[Future[bytes]] = deque()
    with ProcessPoolExecutor(WORKERS, context, initializer=_begin, initargs=given) as pool:
        for block in ends.source.blocks():
            waiting.append(pool.submit(_carried, block))
            if len(waiting) >= 2 * WORKERS:
                ends.sink.keep(waiting.popleft().result())
        for carried in waiting:
            ends.sink.keep(carried.result())
    ends.sink.finish()


_ends: tuple[Reader, Writer]


def _begin(reader: Reader, writer: Writer) -> None:
    global _ends
    _ends = reader, writer


def _carried(block: Block) -> bytes:
    reader, writer = _ends
    rows = reader.read(block)
    count = len(rows)
    nothing = pa.repeat(pa.scalar("", pa.string()), count)
    found = Results(
        probability=np.full(count, np.nan),
        positive=np.zeros(count, dtype=bool),
        decile=np.zeros(count, dtype=np.int8),
        band=nothing,
        notes=nothing,
        faults=nothing,
        reasons=nothing,
    )
    return writer.render(rows, found)


def sklearn(pickle: str, portfolio: str, target: str) -> None:
    """The usual program: pandas reads and writes, whole columns between, scikit-learn scores."""
    table = pd.read_csv(portfolio, sep=";", encoding="utf-8-sig", low_memory=False)
    forest = joblib.load(pickle).set_params(n_jobs=WORKERS)
    table["probabilidad"] = forest.predict_proba(_columns(table))[:, 1]
    table["clasificacion"] = np.where(table["probabilidad"] >= 0.5, "pagador", "no pagador")
    table.to_csv(target, sep=";", index=False)


def _columns(table: pd.DataFrame) -> pd.DataFrame:
    age = table["EDAD"].fillna("51-65").str.strip()
    made = pd.DataFrame(
        {
            "CANTIDAD_FACTURAS": table["CANTIDAD_FACTURAS"].fillna(2).clip(1, 3.5) / 3.5,
            "IMPORTE_FACTURA": table["IMPORTE_FACTURA"].fillna(71.99).clip(0, 314.24) / 314.24,
            "ESCENARIO_RECOBRO": table["ESCENARIO_RECOBRO"].isin(["PER", "FU"]),
            "DEUDA_TOTAL": table["DEUDA_TOTAL"].fillna(125.61).clip(0, 628.83) / 628.83,
            "PORTADO": table["PORTADO"].str.strip() == "SI",
            "VPT": table["VPT"].str.strip() != "N",
            "CODIGO_POSTAL": table["CODIGO_POSTAL"].fillna(28000) // 1000 / 52,
            "NUM_LINEAS_ACTIVAS": table["NUM_LINEAS_ACTIVAS"].fillna(1).clip(0, 2.5) / 2.5,
            "ESTADO_CLIENTE": table["ESTADO_CLIENTE"] == "A",
            "VAP_SCF": table["VAP_SCF"] != "N",
            "VAP_OB": table["VAP_OB"] != "N",
            "BAJA": table["FECHA_BPI"].notna(),
            "0_30": age == "0-30",
            "31_50": age == "31-50",
            "51_65": age == "51-65",
            "MAYOR_65": age == "MAYOR 65",
        }
    )
    return made[list(COLUMNS)].astype(np.float64)


def arrow(portfolio: str, target: str) -> None:
    """Read and write a portfolio by Arrow, whole, with its threads."""
    every = pyarrow.csv.read_csv(portfolio, parse_options=pyarrow.csv.ParseOptions(delimiter=";"))
    pyarrow.csv.write_csv(every, target, pyarrow.csv.WriteOptions(delimiter=";"))


SIDES = {"matrix": matrix, "engine": engine, "carry": carry, "sklearn": sklearn, "arrow": arrow}

if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]](*sys.argv[2:])))  # type: ignore[operator]
