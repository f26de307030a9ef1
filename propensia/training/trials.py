"""The trials of a search on disk, a file each, so that an interrupted search can go on.

A file is whole or it is not read: nothing of a trial that was cut in the middle counts.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import time
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    distribution_to_json,
    json_to_distribution,
)

from propensia import files, locks
from propensia.training.rows import Chances

# What numpy, zipfile, json and Optuna raise for a file that a power cut or a bad disk left.
DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    MemoryError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


LOCK = "lock"
"""The file in the folder of a search that whoever goes on with it holds locked."""

KEPT_S = 30 * 24 * 3600.0


def place(base: Path, search: str) -> Path:
    """The folder of a search below ``base``, made if need be.

    Those of others that nobody went on with for thirty days are removed: what they tried is of
    a table that nobody will train on again.
    """
    folder = base / search
    folder.mkdir(parents=True, exist_ok=True)
    for other in base.iterdir():
        with contextlib.suppress(OSError):  # its own training may remove it at this moment
            newest = max(file.stat().st_mtime for file in (other, *other.iterdir()))
            if other != folder and time.time() - newest > KEPT_S and locks.is_free(other / LOCK):
                files.remove_tree(other)
    return folder


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial that came to an end.

    ``params`` and ``distributions`` as Optuna drew them, ``settings`` as the family uses them.
    ``chances`` ``(n,)`` in [0, 1]; ``None`` where it was given up after the first fold, or
    failed for ``reason``. ``first_fold``: its log loss there, NaN where it failed before.
    """

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    settings: Mapping[str, Any]
    chances: Chances | None
    first_fold: float
    seconds: float
    reason: str


def write(folder: Path, family: str, number: int, ended: Ended) -> None:
    """Keep a trial as the ``number``-th of its family. Raises ``OSError``."""
    told = {
        "params": ended.params,
        "distributions": {n: distribution_to_json(d) for n, d in ended.distributions.items()},
        "settings": ended.settings,
        "seconds": ended.seconds,
        "reason": ended.reason,
    }
    stream = io.BytesIO()
    np.savez(
        stream,
        told=np.array(json.dumps(told)),
        first_fold=np.array(ended.first_fold),
        chances=np.empty(0) if ended.chances is None else ended.chances,
    )
    files.write(folder / f"{family}-{number:05}.npz", stream.getvalue(), durable=False)


def following(folder: Path, family: str) -> int:
    """The number after those of all trials of a family, damaged ones too; 0 is the first."""
    numbers = (path.stem.rpartition("-")[2] for path in folder.glob(f"{family}-*.npz"))
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)


def read(folder: Path, family: str, count: int) -> Iterator[Ended]:
    """The trials of a family that can be read, in their order; damaged files are passed over,
    and those whose chances are not ``count`` numbers in [0, 1]."""
    for path in sorted(folder.glob(f"{family}-*.npz")):
        try:
            yield _read(path, count)
        except DAMAGED:
            continue  # the trial is done again


def _read(path: Path, count: int) -> Ended:
    with np.load(io.BytesIO(files.read(path)), allow_pickle=False) as kept:
        told = json.loads(str(kept["told"]))
        chances, seconds = kept["chances"], float(told["seconds"])
        # NaN is in no interval.
        fits = chances.shape == (count,) and bool(((chances >= 0) & (chances <= 1)).all())
        if (chances.size and not fits) or not math.isfinite(seconds):
            raise ValueError("not a trial of these rows")
        return Ended(
            told["params"],
            {name: json_to_distribution(text) for name, text in told["distributions"].items()},
            told["settings"],
            chances if chances.size else None,
            float(kept["first_fold"]),
            seconds,
            told["reason"],
        )
