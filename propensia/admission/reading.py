"""The first child of an admission: a dropped file read as data and compiled to ONNX.

It runs in a short-lived process that ``propensia.confinement`` has shut into the folder.
Nothing that the file names is imported, but for the parity check, which builds only the exact
classes of the known families out of what was read.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from propensia import contract as contracts
from propensia import files, sampling, spanish
from propensia.admission import compiler, parity, reader, results
from propensia.admission.families.parts import Column
from propensia.admission.families.wording import different_columns
from propensia.admission.ladder import Check, Remark, climb
from propensia.admission.refusal import Refusal
from propensia.admission.results import Reading
from propensia.decision import Decision
from propensia.features import Matrix
from propensia.scorer import Scorer

PARITY_ROWS = 2_000
NOTES_SHOWN = 12
TOLERANCE = {"sklearn": 1e-6, "keras": 1e-5}
FLOAT32 = frozenset({"xgboost", "keras"})
STEEP_ROWS, STEEP_DIFFERENCE = 0.002, 1e-4
# One call reads and one compiles; the code of a refusal says which check it belongs to.
WHOLE, FAMILY, BINARY, COLUMNS = (
    frozenset({"fichero_incompleto", "demasiado_grande"}),
    frozenset({"familia_desconocida", "contenido_no_permitido", "no_es_un_modelo"}),
    frozenset({"no_es_clasificador_binario", "clases_distintas", "no_entrenado"}),
    frozenset({"columnas_distintas", "valores_distintos"}),
)


@dataclass(slots=True)
class Case:
    """One file on its way through the first ladder; the checks fill it in.

    ``told``: the columns that its sidecar names, or none.
    """

    data: bytes
    contract: contracts.Contract
    limit_bytes: int
    rule: Decision
    told: tuple[str, ...] = ()
    root: object = None
    compiled: compiler.Compiled | None = None
    refusal: Refusal | None = None
    parity: dict[str, Any] = field(default_factory=dict)

    @property
    def view(self) -> contracts.Contract:
        """The contract with the columns that the model was trained on."""
        names = [column.name for column in self.compiled.inputs] if self.compiled else []
        return self.contract.view(names) or self.contract


def complete(case: Case) -> None:
    """El fichero está entero y se descomprime dentro de los límites."""
    try:
        case.root = reader.read(case.data, limit_bytes=case.limit_bytes)
    except Refusal as refusal:  # told by the check that it belongs to
        case.refusal = refusal
    _raise_if(case, WHOLE)


def read_as_data(case: Case) -> None:
    """Se lee como datos, de principio a fin; no se ejecuta nada de lo que nombra."""
    if case.refusal is not None:
        raise case.refusal


def known_family(case: Case) -> None:
    """Todo lo que contiene es parte de una familia de modelos conocida."""
    contract = case.contract
    try:
        case.compiled = compiler.compile_model(
            case.root,
            contract.column_names,
            contract.positive,
            contract.negative,
            raw=tuple(Column(p.feature, p.texts or None, p.optional) for p in contract.parameters),
        )
    except Refusal as refusal:
        case.refusal = refusal
    _raise_if(case, FAMILY)


def binary_classifier(case: Case) -> None:
    """Es un clasificador entrenado de dos clases, las del contrato."""
    _raise_if(case, BINARY)


def contract_columns(case: Case) -> Remark | None:
    """Las columnas del modelo son las del contrato."""
    _raise_if(case, COLUMNS)
    if case.compiled is None:  # refused for something that a later check tells
        return None
    width = case.compiled.width
    raw = case.view is not case.contract
    what = f"los {width} valores sin transformar" if raw else f"las {width} columnas"
    named = case.compiled.named_columns
    same = told_columns(case.told, case.view.column_names, in_order=not named)
    if not named:
        if same:
            return Remark("bien", f"Usa {what} del contrato: la ficha las nombra por su orden.")
        return Remark(
            "aviso",
            f"El fichero no trae nombres de columnas: se toman {what} del contrato por su orden.",
        )
    told = f"Usa {what} del contrato, por su nombre."
    if case.compiled.notes:
        return Remark("aviso", " ".join([told, *case.compiled.notes[:NOTES_SHOWN]]))
    return Remark("bien", told)


def told_columns(told: tuple[str, ...], columns: tuple[str, ...], *, in_order: bool) -> bool:
    """Whether a sidecar names the columns, and names these; raises ``Refusal`` for others.

    ``in_order``: the file has no names of its own, so the order is all that there is.
    """
    if not told or told == columns:
        return bool(told)
    if sorted(told) != sorted(columns):
        raise different_columns(columns, told)
    if in_order:
        raise Refusal(
            "columnas_distintas",
            "la ficha las nombra en otro orden, y el fichero no trae nombres",
            "the sidecar names them in another order, and the file has no names",
        )
    return True


def compiles(case: Case) -> Remark | None:
    """Se traduce a ONNX; sus árboles y pesos son posibles."""
    if case.refusal is not None:
        raise case.refusal
    if case.compiled is None or case.compiled.threshold is None:
        return None
    threshold = spanish.number(case.compiled.threshold)
    return Remark("bien", f"Se traduce a ONNX. El modelo trae su propio umbral: {threshold}.")


def same_as_original(case: Case) -> Remark:
    """Da las probabilidades de la biblioteca que lo hizo."""
    assert case.compiled is not None
    reference = parity.reference(case.root, case.compiled)
    if reference.predict is None:
        case.parity = {"reason": reference.reason}
        return Remark(
            "aviso" if reference.failed else "omitida",
            f"No se ha comparado con la biblioteca original: {reference.reason}",
        )
    rows = sampling.rows(case.view, PARITY_ROWS, seed=1)
    scorer = Scorer(case.compiled.onnx, files.sha256(case.compiled.onnx))
    ours, theirs = scorer.many(rows), reference.predict(rows)
    tolerance = TOLERANCE[case.compiled.kind]
    found = {"library": reference.library, **agreement(ours, theirs, case.rule, tolerance)}
    case.parity = found
    calibrated = "CalibratedClassifierCV" in case.compiled.family
    steep = calibrated and not FLOAT32.isdisjoint(case.compiled.libraries)
    return agreed(found, tolerance, steep)


def agreement(ours: Matrix, theirs: Matrix, rule: Decision, tolerance: float) -> dict[str, Any]:
    """How far probabilities (n,) are apart, and how many classes differ that should not.

    ``beyond`` are the rows that differ by more than the tolerance.
    """
    here, there = rule.probabilities(ours), rule.probabilities(theirs)
    apart = np.abs(there - rule.threshold) > tolerance
    flipped = ((here >= rule.threshold) != (there >= rule.threshold))[apart]
    return {
        "rows": len(ours),
        "largest_difference": float(np.abs(ours - theirs).max()),
        "beyond": int((np.abs(ours - theirs) > tolerance).sum()),
        "flipped": int(flipped.sum()),
    }


def agreed(found: dict[str, Any], tolerance: float, steep: bool = False) -> Remark:
    """The remark on a comparison that was passed. Raises ``Refusal``.

    ``steep``: a calibration stands on a library that computes in float32. Its exponential is that
    of the C library, and may differ from ours in the last place, about once in 10,000 rows; a
    steep step of the calibration makes more of it.
    """
    difference, flipped = found["largest_difference"], found["flipped"]
    text = f"diferencia máxima {difference:.1e} en {found['rows']} filas, "
    text += f"{flipped} clases cambiadas"
    if found["beyond"]:
        text += f", {found['beyond']} filas más allá de {tolerance:.0e}"
    few = steep and found["beyond"] <= STEEP_ROWS * found["rows"]
    if not difference <= (STEEP_DIFFERENCE if few else tolerance) or flipped:
        raise Refusal("paridad_no_alcanzada", text)
    return Remark("bien", f"Da las probabilidades de {found['library']}: {text}.")


def _raise_if(case: Case, codes: frozenset[str]) -> None:
    if case.refusal is not None and case.refusal.code in codes:
        raise case.refusal


CHECKS = [
    Check("entero", complete),
    Check("leído como datos", read_as_data),
    Check("familia conocida", known_family),
    Check("clasificador de dos clases", binary_classifier),
    Check("columnas del contrato", contract_columns),
    Check("se traduce", compiles),
    Check("igual que el original", same_as_original),
]


def main(folder: Path, layers: list[str]) -> None:
    """Read ``request.json`` and ``model.pkl`` in the folder; leave ``result.json`` and, for a
    good file, ``model.onnx``. ``layers`` are those that this process is confined by."""
    request = files.read_json(folder / "request.json")
    case = Case(
        data=files.read(folder / "model.pkl"),
        contract=contracts.load(request["contract"]),
        limit_bytes=request["unpacked_bytes"],
        rule=Decision(**request["rule"]),
        told=tuple(request["columns"]),
    )
    checks, refusal = climb(CHECKS, case)
    result = Reading(checks, refusal, layers, case.parity)
    if refusal is None and case.compiled is not None:
        compiled = case.compiled
        files.write(folder / "model.onnx", compiled.onnx, durable=False)
        result = replace(
            result,
            columns=[column.name for column in compiled.inputs],
            threshold=compiled.threshold,
            family=compiled.family,
            kind=compiled.kind,
            libraries=compiled.libraries,
            facts=compiled.facts,
        )
    results.write(folder / "result.json", result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
