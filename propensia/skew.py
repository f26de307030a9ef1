"""``propensia skew``: where a notebook's feature matrix is not what the service would compute.

It reads two files, scores them with a published model and prints; it publishes nothing, and
prints no cell of either file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from propensia import faults, files, skewing, spanish
from propensia.contract import Contract
from propensia.decision import Decision
from propensia.registry import Registry, decision
from propensia.scorer import Scorer
from propensia.skewing import Difference, Pairs
from propensia.terminal import Exit, Parts, table

Vector = npt.NDArray[np.float64]
ALL = "(todas)"


def skew(
    parts: Parts,
    raw: Path,
    matrix: Path,
    model: str | None,
    key: str | None,
    tolerance: float | None,
) -> Exit:
    """Print what differs, why, and what it does to the score; ``DONE`` if nothing differs.

    Raises ``SkewError``, ``RegistryError``, ``ScorerError``, ``Unreliable`` or ``OSError``.
    """
    pairs = skewing.pair(parts.contract, raw, matrix, key, tolerance)
    found = skewing.differences(pairs)
    _print_rows(parts.contract, raw, matrix, pairs)
    for line in _headings(pairs):
        click.echo(line)
    if not found:
        click.echo("Ninguna columna difiere." if _is_whole(pairs) else "Las demás no difieren.")
    else:
        click.echo("\n" + _table(found, len(pairs.want)) + "\n")
        if len(found) > 1 and skewing.shuffled(pairs):
            click.echo(
                "Cada columna tiene los valores correctos en otras filas: la matriz parece estar "
                "en otro orden. Compárela por una columna clave (--key)."
            )
        else:
            click.echo("\n".join(f"{one.column}: {one.why}." for one in found))
        click.echo("\n" + _effect(parts.registry, pairs, found, model))
    return Exit.DONE if not found and _is_whole(pairs) else Exit.REFUSED


def _is_whole(pairs: Pairs) -> bool:
    return not pairs.heading.missing and not pairs.heading.extra


def _print_rows(contract: Contract, raw: Path, matrix: Path, pairs: Pairs) -> None:
    """Which rows are compared, and which are not."""
    joined = f", unidas por {files.shown(pairs.by)}" if pairs.by else ""
    click.echo(
        f"{files.shown(raw.name)} frente a {files.shown(matrix.name)}: {_rows(len(pairs.want))}"
        f"{joined}, {len(pairs.heading.view.columns)} columnas del contrato {contract.name}"
    )
    if pairs.unread_rows:
        click.echo(f"El contrato no lee {_rows(pairs.unread_rows)} de la tabla; no cuentan:")
        for (name, code), count in sorted(pairs.unread.items(), key=lambda item: -item[1]):
            parameter = contract.parameter(name)
            said = faults.sentence(
                code, parameter.feature, "es", admits=parameter.admits(), own=contract.own_faults
            )
            click.echo(f"  {count}: {said}")
    if pairs.absent.any():
        where = skewing.absence(pairs)
        which = f": exactamente aquellas en que {where}" if where else ""
        absent = int(pairs.absent.sum())
        click.echo(f"Sin pareja en la matriz: {_rows(absent)} de la tabla{which}.")
    if pairs.unmatched:
        click.echo(f"Sin pareja en la tabla: {_rows(pairs.unmatched)} de la matriz.")


def _headings(pairs: Pairs) -> list[str]:
    """Columns that are not there, or that no model of the contract takes."""
    lines = []
    for word, names in (("Falta", pairs.heading.missing), ("Sobra", pairs.heading.extra)):
        for name, near in names.items():
            like = f"; la más parecida es {files.shown(near)}" if near else ""
            lines.append(f"{word} la columna {files.shown(name)}{like}.")
    return lines


def _table(found: list[Difference], count: int) -> str:
    rows: list[tuple[str, ...]] = [("COLUMNA", "FILAS", "DEL TOTAL", "DIFERENCIA TÍPICA", "MAYOR")]
    for one in found:
        bad = int(one.rows.sum())
        sizes = (_size(one.typical), _size(one.largest))
        rows.append((one.column, str(bad), spanish.percent(bad / count, 1), *sizes))
    return table(rows)


# The effect on the score


@dataclass(frozen=True, slots=True)
class _Model:
    """A published model and its rule."""

    scorer: Scorer
    decision: Decision

    def probabilities(self, matrix: Vector) -> Vector:
        return self.decision.probabilities(self.scorer.many(matrix))


def _effect(registry: Registry, pairs: Pairs, found: list[Difference], version: str | None) -> str:
    """What a model says of the matrix against what it says of the contract's columns."""
    current = registry.current()
    if version is not None:
        version = registry.find(version)
    elif current is not None:
        version = current.version
    else:
        return "Sin modelo publicado, no se calcula el efecto en la puntuación."
    manifest = registry.manifest(version)
    named = f"«{files.shown(manifest['model'])}», versión {version}"
    view = pairs.heading.view
    if tuple(manifest["columns"]) != view.column_names:
        return (
            "No se calcula el efecto en la puntuación: el modelo no tiene las columnas de la "
            f"matriz ({named})."
        )
    rule = decision(manifest, registry.last_of(version), view.threshold)
    model = _Model(Scorer(registry.model(version), manifest["onnx_sha256"]), rule)
    return f"Efecto en la puntuación ({named}):\n" + _effects(model, pairs, found)


def _effects(model: _Model, pairs: Pairs, found: list[Difference]) -> str:
    """All differences at once, then each on its own, the one that moves the score most first."""
    names = pairs.heading.view.column_names
    # No model can be given an empty cell, or a text that is not the contract's.
    held = np.isfinite(pairs.got)
    before = model.probabilities(pairs.want)
    threshold = model.decision.threshold

    def changed(columns: list[int]) -> tuple[float, tuple[str, ...]]:
        other = pairs.want.copy()
        other[:, columns] = np.where(held, pairs.got, pairs.want)[:, columns]
        after = model.probabilities(other)
        gap, was, now = np.abs(after - before), before >= threshold, after >= threshold
        moves = int((was != now).sum())
        share = f"{moves} ({spanish.percent(moves / len(gap), 1)})"
        up, down = int((~was & now).sum()), int((was & ~now).sum())
        sizes = (_chance(float(gap.mean())), _chance(float(gap.max())))
        return float(gap.mean()), (*sizes, share, str(up), str(down))

    own = [names.index(one.column) for one in found]
    heading = ("SOLO CON", "CAMBIO MEDIO", "MAYOR", "CAMBIAN DE CLASE", "A SÍ", "A NO")
    lines = []
    for place, one in zip(own, found, strict=True):
        has_numbers = bool(held[one.rows, place].any())
        lines.append((*(changed([place]) if has_numbers else (0.0, ("—",) * 5)), one.column))
    lines.sort(key=lambda line: -line[0])
    rows = [heading, (ALL, *changed(own)[1]), *((name, *cells) for _, cells, name in lines)]
    gaps = int((~held[:, own] & ~np.isnan(pairs.want[:, own])).any(axis=1).sum())
    note = f"\nEn {_rows(gaps)} lo que falta en la matriz cuenta como lo que da el contrato."
    return table(rows) + (note if gaps else "")


def _rows(count: int) -> str:
    return "1 fila" if count == 1 else f"{count} filas"


def _size(value: float | None) -> str:
    """A difference in the unit of its column."""
    return "—" if value is None else spanish.number(value)


def _chance(value: float) -> str:
    """A difference of probabilities, to four decimals."""
    return "<0,0001" if 0 < value < 5e-5 else spanish.number(value, 4)
