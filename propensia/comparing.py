"""``propensia compare``: who changes class between two versions, or between two contracts.

It reads rows and scores them twice; it publishes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from propensia import contract as contracts
from propensia import delimited, files, sampling, spanish
from propensia.contract import Contract, ContractError
from propensia.decision import Decision
from propensia.features import Features
from propensia.registry import RegistryError, decision
from propensia.scorer import Scorer
from propensia.terminal import Parts, table

LIMIT_BYTES = 1 << 30
SYNTHETIC_ROWS = 10_000
MOST_SEGMENTS = 20
Texts = dict[str, list[str]]
Mask = npt.NDArray[np.bool_]


class CompareError(Exception):
    """The comparison cannot be made; the text, in Spanish, says what is missing."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Which of n rows could be scored by both sides, and which of those change class."""

    both: Mask
    up: Mask
    down: Mask


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: the rules that read a row and the model that scores it."""

    name: str
    contract: Contract
    scorer: Scorer
    decision: Decision

    def classes(self, texts: Texts) -> tuple[Mask, Mask]:
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
) -> None:
    """Print who changes class, by segment and euros.

    ``by`` is the parameter that makes the segments (by default the first category), ``amount``
    the one that is summed. Raises ``CompareError``, ``RegistryError`` or ``OSError``.
    """
    contract = parts.contract
    by = by or next((p.name for p in contract.parameters if p.is_category), None)
    amount = amount or amount_parameter(contract)
    for option, name in (("--by", by), ("--amount", amount)):
        _require_parameter(contract, option, name)
    one, other = _side(parts, first), _side(parts, second)
    texts = _from_file(contract, file) if file else _synthetic(contract)
    was, could = one.classes(texts)
    now, can = other.classes(texts)
    both = could & can
    changes = Changes(both, both & ~was & now, both & was & ~now)
    count = int(both.sum())
    click.echo(f"{one.name}  →  {other.name}   {count} filas" + ("" if file else " típicas"))
    if not both.all():
        click.echo(
            f"No se leen {int((~could).sum())} filas con el primero "
            f"y {int((~can).sum())} con el segundo."
        )
    up, down = int(changes.up.sum()), int(changes.down.sum())
    click.echo(
        f"Pasan a {contract.positive_name['es']}: {up}; "
        f"a {contract.negative_name['es']}: {down}; "
        f"cambian el {_share(up + down, count)}."
    )
    if by is not None:
        euros = _amounts(contract, texts, amount) if amount else np.zeros(len(both))
        click.echo("\n" + _segments(by, texts[by], changes, amount, euros))


def amount_parameter(contract: Contract) -> str | None:
    """The parameter that holds the euros at stake: the last plain number of the contract."""
    amounts = [p.name for p in contract.parameters if p.kind in ("number", "python_float")]
    return amounts[-1] if amounts else None


def _require_parameter(contract: Contract, option: str, name: str | None) -> None:
    known = {p.name: p for p in contract.parameters}
    if name is not None and name not in known:
        raise CompareError(f"{option}: no hay parámetro {name!r}; hay {', '.join(known)}")
    if name is not None and option == "--amount" and known[name].is_category:
        raise CompareError(f"{option}: {name} no es un número, no se puede sumar")


def _amounts(contract: Contract, texts: Texts, name: str) -> npt.NDArray[np.float64]:
    """The numbers of n rows as the service reads them; 0 where it reads none."""
    values, _ = Features(contract).read_many(texts)
    return np.asarray(np.nan_to_num(values[name]), dtype=np.float64)


def _segments(
    by: str,
    texts: list[str],
    changes: Changes,
    amount: str | None,
    euros: npt.NDArray[np.float64],
) -> str:
    segments = np.array([text.strip().upper() for text in texts], dtype=object)
    heading = [by.upper(), "FILAS", "A SÍ", "A NO", "CAMBIAN"]
    rows = [(*heading, f"{amount} A SÍ", f"{amount} A NO")]
    found, counts = np.unique(segments[changes.both].astype(str), return_counts=True)
    for i in np.argsort(-counts, kind="stable")[:MOST_SEGMENTS]:
        inside = segments == found[i]
        up, down = inside & changes.up, inside & changes.down
        ups, downs = int(up.sum()), int(down.sum())
        sums = [spanish.number(euros[moved].sum(), 2) for moved in (up, down)]
        share = _share(ups + downs, int(counts[i]))
        rows.append((found[i] or "(sin dato)", str(counts[i]), str(ups), str(downs), share, *sums))
    text = table(rows if amount else [row[:5] for row in rows])
    rest = len(found) - MOST_SEGMENTS
    return f"{text}\n… y {rest} grupos más pequeños" if rest > 0 else text


def _share(part: int, whole: int) -> str:
    return spanish.percent(part / whole, 1) if whole else "—"


def _side(parts: Parts, name: str) -> Side:
    """A version under our contract, or the active model under another contract."""
    registry, contract, version = parts.registry, parts.contract, None
    if name in contracts.shipped() or name.endswith(".toml"):
        contract = _other_contract(parts.contract, name)
        current = registry.current()
        if current is None:
            raise RegistryError("aún no hay modelo publicado con el que comparar contratos")
        version = current.version
    else:
        version = registry.find(name)
    manifest = registry.manifest(version)
    view = contract.view(manifest["columns"])
    if view is None:
        raise CompareError(
            f"la versión {version} no tiene las columnas del contrato {contract.name}"
        )
    scorer = Scorer(registry.model(version), manifest["onnx_sha256"])
    rule = decision(manifest, registry.last_of(version), contract.threshold)
    return Side(name, view, scorer, rule)


def _other_contract(own: Contract, name: str) -> Contract:
    try:
        contract = contracts.load(name)
    except ContractError as error:
        raise CompareError(str(error)) from error
    unknown = {p.name for p in contract.parameters} - {p.name for p in own.parameters}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise CompareError(f"el contrato {name} pide parámetros que {own.name} no tiene: {names}")
    return contract


def _from_file(contract: Contract, path: Path) -> Texts:
    """The texts of a CSV by parameter: columns by short name or feature name."""
    try:
        heading, rows = delimited.read_table(path, LIMIT_BYTES)
    except delimited.TableError as error:
        raise CompareError(str(error)) from error
    except files.FileTooLarge as error:
        raise CompareError(
            f"{files.shown(path.name)} pasa de {LIMIT_BYTES >> 30} GiB; divídalo"
        ) from error
    if not rows:
        raise CompareError(f"{files.shown(path.name)} no tiene filas")
    columns = dict(zip(heading, zip(*rows, strict=True), strict=True))
    names = {p.name: p.name if p.name in columns else p.feature for p in contract.parameters}
    missing = [name for name, column in names.items() if column not in columns]
    if missing:
        raise CompareError(
            f"a {files.shown(path.name)} le faltan las columnas {', '.join(missing)}"
        )
    return {name: list(columns[column]) for name, column in names.items()}


def _synthetic(contract: Contract) -> Texts:
    drawn = sampling.draw(contract, SYNTHETIC_ROWS, seed=3)
    return {name: [_text(value) for value in array] for name, array in drawn.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "NaN" if np.isnan(value) else repr(float(value)).removesuffix(".0")
