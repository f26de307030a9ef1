"""The second child of an admission: proves an ONNX file by running it, and never sees the PKL.

It trusts nothing of the first child: ``python -m propensia.admission.proving FOLDER``.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from propensia import contract as contracts
from propensia import files, processes
from propensia.admission.ladder import Check, Remark, climb
from propensia.admission.reading import sample_rows
from propensia.admission.refusal import Refusal
from propensia.admission.sidecar import Sidecar
from propensia.admission.sidecar import read as read_sidecar
from propensia.decision import Decision
from propensia.faults import BadRow
from propensia.features import Features, Matrix
from propensia.scorer import Scorer, ScorerError, Unreliable
from propensia.stats import rank_correlation

ROWS = 10_000
SINGLE_ROWS = 500
GOLDEN_ROWS = 32
SLOWEST_S = 0.02
GOLDEN_TOLERANCE = 1e-5
BATCH_TOLERANCE = 1e-6  # trees agree exactly; a network's float32 sums depend on the kernel
INVERTED_BELOW = -0.5
BINS = 10


@dataclass(slots=True)
class Case:
    """One ONNX file on its way through the second ladder; the checks fill it in."""

    model: bytes
    active: tuple[bytes, float] | None
    contract: contracts.Contract
    sidecar: Sidecar
    threshold: float
    force: bool
    rows: Matrix
    scorer: Scorer | None = None
    probabilities: Matrix = field(default_factory=lambda: np.zeros(0))
    comparison: dict[str, Any] | None = None
    speed_us: float = 0.0

    def score(self, rows: Matrix) -> Matrix:
        """The corrected probabilities of rows of columns."""
        assert self.scorer is not None
        decision = Decision(self.threshold, self.sidecar.training_rate, self.sidecar.real_rate)
        return decision.probabilities(self.scorer.many(rows))


def finite(case: Case) -> None:
    """Da probabilidades posibles (de 0 a 1) en diez mil filas dentro del contrato."""
    try:
        case.scorer = Scorer(case.model, files.sha256(case.model))
        if case.scorer.columns != len(case.contract.columns):
            raise Refusal("columnas_distintas", f"el modelo pide {case.scorer.columns}")
        case.probabilities = case.scorer.many(case.rows)
    except (Unreliable, ScorerError) as error:
        raise Refusal(
            "filas_doradas_nan", "en filas del contrato", "on in-contract rows"
        ) from error


def not_constant(case: Case) -> None:
    """No da siempre el mismo resultado."""
    if np.ptp(case.probabilities) < 1e-9:
        raise Refusal("filas_doradas_constantes", f"{case.probabilities[0]:.4f}")


def batch_equals_single(case: Case) -> None:
    """Una fila sola da lo mismo que dentro de un lote, con uno o más hilos."""
    assert case.scorer is not None
    single = np.array([case.scorer.one(row) for row in case.rows[:SINGLE_ROWS].tolist()])
    threaded = Scorer(case.model, files.sha256(case.model), threads=2).many(case.rows)
    apart = max(
        float(np.abs(single - case.probabilities[:SINGLE_ROWS]).max()),
        float(np.abs(threaded - case.probabilities).max()),
    )
    if apart > BATCH_TOLERANCE:
        raise Refusal("filas_doradas_distintas", f"{apart:.1e} entre una fila y el lote")


def sidecar_golden(case: Case) -> Remark | None:
    """Repite las filas doradas de la ficha."""
    if not case.sidecar.golden:
        return Remark("omitida", "La ficha no trae filas doradas.")
    features = Features(case.contract)
    rows, expected = [], []
    for texts, probability in case.sidecar.golden:
        try:
            rows.append(features.row(features.read(texts)[0]))
        except BadRow as error:
            raise Refusal(
                "ficha_no_valida", f"una fila dorada no cumple el contrato: {error}"
            ) from error
        expected.append(probability)
    apart = float(np.abs(case.score(np.array(rows)) - np.array(expected)).max())
    if apart > GOLDEN_TOLERANCE:
        raise Refusal("filas_doradas_distintas", f"diferencia {apart:.1e} en las de la ficha")
    return Remark("bien", f"Repite las {len(rows)} filas doradas de la ficha (±{apart:.0e}).")


def fast_enough(case: Case) -> Remark:
    """Responde una fila en pocos milisegundos."""
    assert case.scorer is not None
    times = []
    for row in case.rows[:200].tolist():
        begin = time.perf_counter()
        case.scorer.one(row)
        times.append(time.perf_counter() - begin)
    median = float(np.median(times))
    case.speed_us = median * 1e6
    if median > SLOWEST_S:
        raise Refusal(
            "demasiado_lento", f"{median * 1000:.0f} ms por fila", f"{median * 1000:.0f} ms a row"
        )
    return Remark("bien", f"Puntúa una fila en {case.speed_us:.0f} µs (mediana de {len(times)}).")


def compared_with_active(case: Case) -> Remark | None:
    """Se compara con el modelo activo en filas típicas del contrato."""
    if case.active is None:
        return Remark("omitida", "No hay modelo activo con el que comparar.")
    model, threshold = case.active
    typical = case.rows[: len(case.rows) // 2]
    old = Scorer(model, files.sha256(model)).many(typical)
    new = case.score(typical)
    was, now = old >= threshold, new >= case.threshold
    correlation = rank_correlation(old, new)
    case.comparison = {
        "rows": len(typical),
        "flipped": int((was != now).sum()),
        "to_payer": int((~was & now).sum()),
        "to_non_payer": int((was & ~now).sum()),
        "mean_old": float(old.mean()),
        "mean_new": float(new.mean()),
        "rank_correlation": correlation,
    }
    if correlation < INVERTED_BELOW and not case.force:
        raise Refusal("modelo_invertido", f"correlación de orden {correlation:.2f}")
    flipped = case.comparison["flipped"] / len(typical)
    outcome = "aviso" if flipped > 0.2 or correlation < 0.5 else "bien"
    return Remark(
        outcome,
        f"Cambia de clase el {flipped:.1%} de {len(typical)} filas típicas; "
        f"correlación de orden {correlation:.2f}.",
    )


CHECKS = [
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


def _proof(case: Case) -> dict[str, Any]:
    """What the parent needs of a good model: golden rows, histogram, comparison."""
    assert case.scorer is not None
    golden = np.vstack([case.rows[: GOLDEN_ROWS // 2], case.rows[-GOLDEN_ROWS // 2 :]])
    typical = case.rows[: len(case.rows) // 2]
    old = None
    if case.active is not None:
        old = _histogram(Scorer(case.active[0], files.sha256(case.active[0])).many(typical))
    return {
        "golden": {
            "rows": golden.tolist(),
            "probabilities": case.scorer.many(golden).tolist(),
        },
        "histogram": {
            "edges": [i / BINS for i in range(BINS + 1)],
            "new": _histogram(case.score(typical)),
            "old": old,
        },
        "comparison": case.comparison,
        "row_us": case.speed_us,
    }


def main(folder: Path) -> None:
    """Read ``request.json``, ``model.onnx`` and, if there, ``active.onnx`` and ``sidecar.json``;
    leave ``proof.json``."""
    request = files.read_json(folder / "request.json")
    processes.confine(request["memory_mb"], request["cpu_s"], request["file_mb"])
    contract = contracts.load(request["contract"])
    active, sidecar = folder / "active.onnx", folder / "sidecar.json"
    case = Case(
        model=files.read(folder / "model.onnx"),
        active=(files.read(active), request["active_threshold"]) if active.exists() else None,
        contract=contract,
        sidecar=read_sidecar(files.read(sidecar) if sidecar.exists() else None),
        threshold=request["threshold"],
        force=request["force"],
        rows=sample_rows(contract, ROWS, seed=7),
    )
    checks, refusal = climb(CHECKS, case)
    result: dict[str, Any] = {"checks": checks}
    if refusal is not None:
        result["refusal"] = [refusal.code, refusal.detail, refusal.detail_en]
    else:
        result |= _proof(case)
    files.write_json(folder / "proof.json", result, durable=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
