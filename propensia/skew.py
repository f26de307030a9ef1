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
NO_VERSION = (
    "Ninguna versión admitida toma lo mismo que la matriz: haría falta un modelo que aprendiera "
    "de esas columnas"
)


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
    if pairs.doubtful:
        click.echo(
            f"No se comparan {_rows(pairs.doubtful)}: su clave se repite, y sus valores no dicen "
            "cuál es cuál."
        )
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
    current, view = registry.current(), pairs.heading.view
    asked = current.version if current is not None else None
    if version is not None:
        asked = registry.find(version)
    why = ""
    if asked is None or tuple(registry.manifest(asked)["columns"]) != view.column_names:
        able, why = _able(registry, view), _unable(registry, pairs, asked)
        if asked is None and not able:
            return "Sin modelo publicado, no se calcula el efecto en la puntuación."
        if version is not None or not able:
            others = ", ".join(_named(registry, other) for other in able)
            todo = f"Con --model puede usar {others}" if able else NO_VERSION
            return f"No se calcula el efecto en la puntuación. {why} {todo}."
        asked = able[0]
        why += " Se usa la última versión admitida que toma lo mismo que la matriz.\n"
    manifest = registry.manifest(asked)
    rule = decision(manifest, registry.last_of(asked), view.threshold)
    model = _Model(Scorer(registry.model(asked), manifest["onnx_sha256"]), rule)
    heading = f"{why}Efecto en la puntuación ({_named(registry, asked)}):\n"
    return heading + _effects(model, pairs, found)


def _able(registry: Registry, view: Contract) -> list[str]:
    """The whole versions that take the columns of the matrix, the last admitted first."""
    whole = [v for v in registry.versions() if registry.fits(v, view) is None]
    held = {version: registry.manifest(version) for version in whole}
    able = [version for version in whole if tuple(held[version]["columns"]) == view.column_names]
    return sorted(able, key=lambda version: (held[version]["admitted"], version), reverse=True)


def _unable(registry: Registry, pairs: Pairs, version: str | None) -> str:
    """Why that version cannot score the matrix, or that none is active."""
    holds = f"la matriz trae {_columns(pairs.heading.view, pairs)}"
    if version is None:
        return f"No hay versión activa; {holds}."
    view = pairs.everyone.contract.view(registry.manifest(version)["columns"])
    return f"El modelo {_named(registry, version)}, toma {_columns(view, pairs)}; {holds}."


def _columns(view: Contract | None, pairs: Pairs) -> str:
    """The columns of a model or of a matrix, in words."""
    if view is None:
        return "columnas que no son de este contrato"
    if view.column_names == pairs.everyone.contract.column_names:
        return f"las {len(view.columns)} columnas del contrato"
    return f"los {len(view.columns)} valores sin transformar"


def _named(registry: Registry, version: str) -> str:
    return f"«{files.shown(registry.manifest(version)['model'])}», versión {version}"


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
