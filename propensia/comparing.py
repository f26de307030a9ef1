"""``propensia compare``: who changes class between two versions, or between two contracts.

It reads rows and scores them twice; it publishes nothing.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from propensia import contract as contracts
from propensia import files, sampling
from propensia.commands import Parts, table
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.features import Features
from propensia.registry import RegistryError, decision
from propensia.scorer import Scorer

LIMIT_BYTES = 1 << 30
SYNTHETIC_ROWS = 10_000
MOST_SEGMENTS = 20
Texts = dict[str, list[str]]


class CompareError(Exception):
    """The comparison cannot be made; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: the rules that read a row and the model that scores it."""

    name: str
    contract: Contract
    scorer: Scorer
    decision: Decision

    def classes(self, texts: Texts) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Whether each of n rows is positive, and whether it could be read at all."""
        features = Features(self.contract)
        values, faults = features.read_many(texts)
        count = len(next(iter(texts.values())))
        readable = np.ones(count, dtype=bool)
        readable[[row for row, _ in faults]] = False
        positive = np.zeros(count, dtype=bool)
        kept = {name: array[readable] for name, array in values.items()}
        if readable.any():
            chances = self.decision.probabilities(self.scorer.many(features.matrix(kept)))
            positive[readable] = chances >= self.decision.threshold
        return positive, readable


def compare(
    parts: Parts, first: str, second: str, file: Path | None, by: str | None, amount: str | None
) -> int:
    """Print who changes class, by segment and euros; 0 always. Raises ``CompareError``."""
    one, other = _side(parts, first), _side(parts, second)
    texts = _from_file(parts.contract, file) if file else _synthetic(parts.contract)
    was, could = one.classes(texts)
    now, can = other.classes(texts)
    both = could & can
    up, down = both & ~was & now, both & was & ~now
    names = parts.contract
    click.echo(
        f"{one.name}  →  {other.name}   {int(both.sum())} filas" + ("" if file else " típicas")
    )
    if not both.all():
        click.echo(
            f"No se leen {int((~could).sum())} filas con el primero "
            f"y {int((~can).sum())} con el segundo."
        )
    click.echo(
        f"Pasan a {names.positive_name['es']}: {int(up.sum())}; "
        f"a {names.negative_name['es']}: {int(down.sum())}; "
        f"cambian el {_share(int((up | down).sum()), int(both.sum()))}."
    )
    by = by or next((p.name for p in names.parameters if p.is_category), None)
    amount = amount or contracts_amount(names)
    for name in (by, amount):
        if name is not None and name not in texts:
            raise CompareError(f"no hay parámetro {name!r}; hay {', '.join(texts)}")
    if by is not None:
        click.echo("\n" + table(_segments(texts, by, amount, both, up, down)))
    return 0


def contracts_amount(contract: Contract) -> str | None:
    """The parameter that holds the euros at stake: the last plain number of the contract."""
    amounts = [p.name for p in contract.parameters if p.kind in ("number", "python_float")]
    return amounts[-1] if amounts else None


def _segments(
    texts: Texts,
    by: str,
    amount: str | None,
    both: npt.NDArray[np.bool_],
    up: npt.NDArray[np.bool_],
    down: npt.NDArray[np.bool_],
) -> list[tuple[str, ...]]:
    segments = np.array([text.strip().upper() for text in texts[by]], dtype=object)
    euros = _euros(texts[amount]) if amount else np.zeros(len(segments))
    rows: list[tuple[str, ...]] = [
        (by.upper(), "FILAS", "A SÍ", "A NO", "CAMBIAN", f"{amount} A SÍ", f"{amount} A NO")
    ]
    found, counts = np.unique(segments[both].astype(str), return_counts=True)
    for i in np.argsort(-counts)[:MOST_SEGMENTS]:
        inside = both & (segments == found[i])
        changed = int((up | down)[inside].sum())
        rows.append(
            (
                found[i] or "(sin dato)",
                str(int(inside.sum())),
                str(int(up[inside].sum())),
                str(int(down[inside].sum())),
                _share(changed, int(inside.sum())),
                f"{euros[inside & up].sum():.2f}",
                f"{euros[inside & down].sum():.2f}",
            )
        )
    return rows if amount else [row[:5] for row in rows]


def _euros(texts: list[str]) -> npt.NDArray[np.float64]:
    amounts = []
    for text in texts:
        try:
            amount = float(text.strip().replace(",", "."))
        except ValueError:
            amount = 0.0
        amounts.append(amount if np.isfinite(amount) else 0.0)
    return np.array(amounts)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %".replace(".", ",") if whole else "—"


def _side(parts: Parts, name: str) -> Side:
    """A version under our contract, or the active model under another contract."""
    registry, contract, version = parts.registry, parts.contract, None
    if name in contracts.shipped() or name.endswith(".toml"):
        contract = contracts.load(name)
        current = registry.current()
        if current is None:
            raise RegistryError("aún no hay modelo publicado con el que comparar contratos")
        version = current.version
    else:
        version = registry.find(name)
    manifest = registry.manifest(version)
    if manifest["columns"] != list(contract.column_names):
        raise CompareError(
            f"la versión {version} no tiene las columnas del contrato {contract.name}"
        )
    scorer = Scorer(registry.model(version), manifest["onnx_sha256"])
    rule = decision(manifest, registry.last_of(version))
    if contract is not parts.contract:  # another contract brings its own threshold
        rule = replace(rule, threshold=contract.threshold)
    return Side(name, contract, scorer, rule)


def _from_file(contract: Contract, path: Path) -> Texts:
    """The texts of a CSV by parameter: columns by short name or feature name."""
    data = files.read(path, LIMIT_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    head = text[: text.find("\n") + 1 or None]
    rows = list(csv.reader(io.StringIO(text), delimiter=max(";,\t", key=head.count)))
    if len(rows) < 2:
        raise CompareError(f"{path.name} no tiene filas")
    heading = {name.strip(): i for i, name in enumerate(rows[0])}
    places = {p.name: heading.get(p.name, heading.get(p.feature)) for p in contract.parameters}
    missing = [name for name, place in places.items() if place is None]
    if missing:
        raise CompareError(f"a {path.name} le faltan las columnas {', '.join(missing)}")
    body = [row for row in rows[1:] if any(row)]
    ragged = next((i for i, row in enumerate(body, 2) if len(row) != len(rows[0])), None)
    if ragged is not None:
        raise CompareError(f"{path.name}: la línea {ragged} no tiene {len(rows[0])} columnas")
    return {name: [row[int(place or 0)] for row in body] for name, place in places.items()}


def _synthetic(contract: Contract) -> Texts:
    drawn = sampling.draw(contract, SYNTHETIC_ROWS, seed=3)
    return {name: [_text(value) for value in array] for name, array in drawn.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "NaN" if np.isnan(value) else repr(float(value)).removesuffix(".0")
