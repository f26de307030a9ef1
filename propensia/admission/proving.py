"""The second child of an admission: proves an ONNX file by running it, and never sees the PKL.

It trusts nothing of the first child, and sees none of its files but the ONNX file. It runs in a
process that ``propensia.confinement`` has shut into the folder.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from propensia import contract as contracts
from propensia import files, sampling, spanish
from propensia.admission import converted, graph, results
from propensia.admission.ladder import Check, Remark, climb
from propensia.admission.refusal import Refusal
from propensia.admission.results import Proof
from propensia.admission.sidecar import Sidecar
from propensia.admission.sidecar import read as read_sidecar
from propensia.decision import Decision
from propensia.faults import BadRow
from propensia.features import Features, Matrix
from propensia.scorer import Scorer, ScorerError, Unreliable
from propensia.stats import rank_correlation

ROWS, SEED = 10_000, 7
SINGLE_ROWS = 500
# Beside one and all: what is left over by vectors of two, four and eight numbers.
BATCHES = (2, 3, 7)
TIMED_ROWS = 200
GOLDEN_ROWS = 32
SLOWEST_S = 0.02
SIDECAR_TOLERANCE = 1e-5
BATCH_TOLERANCE = 1e-6  # trees agree exactly; a network's float32 sums depend on the kernel
CONVERTED_TOLERANCE = 1e-5  # the converter's operators compute in float32 throughout
INVERTED_BELOW = -0.5
BINS = 10


@dataclass(slots=True)
class Case:
    """One ONNX file on its way through the second ladder; the checks fill it in.

    ``contract`` has the columns of this model; ``active`` is the model that answers now, the
    rule it answers with and the same rows as its own columns, if there is one.
    """

    model: bytes
    rule: Decision
    active: tuple[Scorer, Decision, Matrix] | None
    contract: contracts.Contract
    sidecar: Sidecar
    force: bool
    rows: Matrix
    scorer: Scorer | None = None
    raw: Matrix = field(default_factory=lambda: np.zeros(0))
    comparison: dict[str, Any] | None = None
    row_us: float = 0.0
    steady: bool = False
    converted: bool = False

    @property
    def typical(self) -> int:
        """How many of the rows, from the first, are typical ones."""
        return len(self.rows) // 2


def only_known_operators(case: Case) -> None:
    """La traducción solo tiene las operaciones de las familias conocidas."""
    check = converted.check if case.converted else graph.check
    check(case.model, len(case.contract.columns))


def finite(case: Case) -> None:
    """Da probabilidades posibles (de 0 a 1) en diez mil filas dentro del contrato."""
    try:
        case.scorer = Scorer(case.model, files.sha256(case.model))
        case.raw = case.scorer.many(case.rows)
    except (Unreliable, ScorerError) as error:
        raise Refusal(
            "filas_doradas_nan", "en filas del contrato", "on in-contract rows"
        ) from error
    corrected = case.rule.probabilities(case.raw)
    if not bool(np.all((corrected >= 0) & (corrected <= 1))):
        raise Refusal("filas_doradas_nan", "al corregir por las tasas", "once corrected for rates")


def not_constant(case: Case) -> None:
    """No da siempre el mismo resultado."""
    if np.ptp(case.raw) < 1e-9:
        raise Refusal("filas_doradas_constantes", f"{case.raw[0]:.4f}")


def batch_equals_single(case: Case) -> Remark | None:
    """Una fila sola da lo mismo, bit a bit, que dentro de un lote; con más hilos, casi."""
    scorer, half = case.scorer, SINGLE_ROWS // 2
    assert scorer is not None
    # Typical rows and edge cases; the golden ones are the outermost of them.
    rows = np.vstack([case.rows[:half], case.rows[-half:]])
    whole = np.concatenate([case.raw[:half], case.raw[-half:]])
    single = np.array([scorer.one(row) for row in rows.tolist()])
    threaded = Scorer(case.model, files.sha256(case.model), threads=2).many(case.rows)
    apart = max(float(np.abs(single - whole).max()), float(np.abs(threaded - case.raw).max()))
    if apart > (CONVERTED_TOLERANCE if case.converted else BATCH_TOLERANCE):
        raise Refusal(
            "filas_doradas_distintas",
            f"{apart:.1e} entre una fila y el lote",
            f"{apart:.1e} between one row and the batch",
        )
    answers = [single, *(_in_batches(scorer, rows, size) for size in BATCHES)]
    # As whole numbers: -0.0 equals 0.0, but is printed in another way.
    unlike = np.array(answers).view(np.int64) != whole.view(np.int64)
    case.steady = not unlike.any()
    if case.steady:
        return None
    return Remark(
        "aviso",
        f"{int(unlike.any(axis=0).sum())} de {len(rows)} filas no dan los mismos bits solas que "
        "en un lote: `propensia score` las puntúa de una en una, más despacio.",
    )


def _in_batches(scorer: Scorer, rows: Matrix, size: int) -> Matrix:
    starts = range(0, len(rows), size)
    return np.concatenate([scorer.many(rows[start : start + size]) for start in starts])


def sidecar_golden(case: Case) -> Remark | None:
    """Repite las filas doradas de la ficha."""
    assert case.scorer is not None
    if not case.sidecar.golden:
        return Remark("omitida", "La ficha no trae filas doradas.")
    features = Features(case.contract)
    rows, expected = [], []
    for texts, probability in case.sidecar.golden:
        try:
            rows.append(features.row(features.read(texts)[0]))
        except BadRow as error:
            raise Refusal(
                "ficha_no_valida",
                f"una fila dorada no cumple el contrato ({error})",
                f"a golden row does not keep the contract ({error})",
            ) from error
        expected.append(probability)
    found = case.rule.probabilities(case.scorer.many(np.array(rows)))
    apart = float(np.abs(found - np.array(expected)).max())
    if apart > SIDECAR_TOLERANCE:
        raise Refusal(
            "filas_doradas_distintas",
            f"diferencia {apart:.1e} en las de la ficha",
            f"difference {apart:.1e} on those of the sidecar",
        )
    return Remark("bien", f"Repite las {len(rows)} filas doradas de la ficha (±{apart:.0e}).")


def fast_enough(case: Case) -> Remark:
    """Responde una fila en pocos milisegundos."""
    assert case.scorer is not None
    times = []
    for row in case.rows[:TIMED_ROWS].tolist():
        begin = time.perf_counter()
        case.scorer.one(row)
        times.append(time.perf_counter() - begin)
    median = float(np.median(times))
    case.row_us = median * 1e6
    if median > SLOWEST_S:
        shown = f"{median * 1000:.0f} ms"
        raise Refusal("demasiado_lento", f"{shown} por fila", f"{shown} a row")
    return Remark("bien", f"Puntúa una fila en {case.row_us:.0f} µs (mediana de {len(times)}).")


def compared_with_active(case: Case) -> Remark | None:
    """Se compara con el modelo activo en filas típicas del contrato."""
    if case.active is None:
        return Remark("omitida", "No hay modelo activo con el que comparar.")
    scorer, rule, rows = case.active
    old = rule.probabilities(scorer.many(rows[: case.typical]))
    new = case.rule.probabilities(case.raw[: case.typical])
    was, now = old >= rule.threshold, new >= case.rule.threshold
    correlation = rank_correlation(old, new)
    flipped = int((was != now).sum())
    case.comparison = {
        "rows": case.typical,
        "flipped": flipped,
        "to_payer": int((~was & now).sum()),
        "to_non_payer": int((was & ~now).sum()),
        "mean_old": float(old.mean()),
        "mean_new": float(new.mean()),
        "rank_correlation": correlation,
    }
    if correlation < INVERTED_BELOW and not case.force:
        raise Refusal(
            "modelo_invertido",
            f"correlación de orden {spanish.number(correlation, 2)}",
            f"rank correlation {correlation:.2f}",
        )
    share = flipped / case.typical
    # Who asked for it, or has only the demonstration model, expects to see a difference.
    odd = (share > 0.2 or correlation < 0.5) and not case.force
    outcome = "aviso" if odd else "bien"
    return Remark(
        outcome,
        f"Cambia de clase el {spanish.percent(share, 1)} de {case.typical} filas típicas; "
        f"correlación de orden {spanish.number(correlation, 2)}.",
    )


CHECKS = [
    Check("operaciones conocidas", only_known_operators),
    Check("resultados posibles", finite),
    Check("no constante", not_constant),
    Check("lote igual que fila", batch_equals_single),
    Check("filas doradas", sidecar_golden),
    Check("velocidad", fast_enough),
    Check("frente al activo", compared_with_active),
]


def _histogram(probabilities: Matrix) -> list[float]:
    counts, _ = np.histogram(probabilities, bins=BINS, range=(0.0, 1.0))
    return [float(count / len(probabilities)) for count in counts]


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number


def _proof(case: Case, proof: Proof) -> Proof:
    """``proof`` with what the parent needs of a good model."""
    half = GOLDEN_ROWS // 2
    picked = [*range(half), *range(len(case.rows) - half, len(case.rows))]
    old = None
    if case.active is not None:
        scorer, rule, rows = case.active
        old = _histogram(rule.probabilities(scorer.many(rows[: case.typical])))
    return Proof(
        checks=proof.checks,
        golden={
            "rows": [[_known(number) for number in row] for row in case.rows[picked].tolist()],
            "probabilities": case.raw[picked].tolist(),
        },
        histogram={
            "edges": [i / BINS for i in range(BINS + 1)],
            "new": _histogram(case.rule.probabilities(case.raw[: case.typical])),
            "old": old,
        },
        comparison=case.comparison,
        row_us=case.row_us,
        steady=case.steady,
    )


def _view(contract: contracts.Contract, columns: list[str]) -> contracts.Contract:
    view = contract.view(columns)
    if view is None:  # the parent asks for columns that it has seen in the contract
        raise ValueError("the columns are not those of the contract")
    return view


def main(folder: Path) -> None:
    """Read ``request.json``, ``model.onnx`` and, if there, ``active.onnx`` and ``sidecar.json``;
    leave ``result.json``."""
    request = files.read_json(folder / "request.json")
    own = contracts.load(request["contract"])
    contract = _view(own, request["columns"])
    active, sidecar = None, folder / "sidecar.json"
    if request["active_rule"] is not None:
        model = files.read(folder / "active.onnx")
        rows = sampling.rows(_view(own, request["active_columns"]), ROWS, seed=SEED)
        scorer = Scorer(model, files.sha256(model))
        active = (scorer, Decision(**request["active_rule"]), rows)
    case = Case(
        model=files.read(folder / "model.onnx"),
        rule=Decision(**request["rule"]),
        active=active,
        contract=contract,
        sidecar=read_sidecar(files.read(sidecar) if sidecar.exists() else None),
        force=request["force"],
        rows=sampling.rows(contract, ROWS, seed=SEED),
        converted=request["converted"],
    )
    checks, refusal = climb(CHECKS, case)
    proof = Proof(checks, refusal)
    results.write(folder / "result.json", proof if refusal else _proof(case, proof))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
