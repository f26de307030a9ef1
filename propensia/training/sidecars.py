"""``NAME.json``: what admission and later comparisons must know of a model, as plain JSON values.

No row of a person is ever in it: golden rows are drawn from the contract alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from propensia import sampling
from propensia.contract import Contract, Parameter
from propensia.distributions import short
from propensia.features import Features
from propensia.training import reference, scoring
from propensia.training.results import Trained
from propensia.training.rows import Chances, Rows

POOL = 2_000
SPREAD = 40
MOST_EXTRA = 160

Texts = dict[str, str]


def sidecar(trained: Trained) -> dict[str, Any]:
    """The table that ``NAME.json`` holds; strict JSON values, no NaN, far below 1 MiB.

    Both rates are the share of positives among the training rows: nothing is corrected.
    """
    rate = float(trained.rows.labels.mean())
    evaluation = trained.evaluation
    judged = trained.rows.take(evaluation.places)
    return {
        "huella_contrato": trained.contract.fingerprint,
        "columnas": columns(trained),
        "umbral": trained.threshold.value,
        "tasa_entrenamiento": rate,
        "tasa_real": rate,
        "metricas": reference.figures(evaluation.figures),
        "calibracion": reference.calibration(judged.labels, evaluation.chances),
        "datos": _data(trained),
        "entrenamiento": _training(trained),
        "semilla": trained.seed,
        "versiones": dict(trained.versions),
        "referencia": reference.reference(trained.contract, trained.rows, evaluation.chances),
        "filas_doradas": golden(trained),
    }


def columns(trained: Trained) -> list[str]:
    """The names of what the model takes, in its order; the file of a network has none."""
    contract = trained.contract
    return list((contract if trained.view == "columns" else contract.raw()).column_names)


def _data(trained: Trained) -> dict[str, Any]:
    data, days = trained.data, trained.rows.days
    return {
        "sha256": data.sha256,
        "filas": data.rows,
        "usadas": data.used,
        "positivas": int(trained.rows.labels.sum()),
        "desde": None if days is None else str(days.min()),
        "hasta": None if days is None else str(days.max()),
        "muestra": data.sampled,
        "supuestos": {name: short(share) for name, share in data.assumed.items()},
    }


def _training(trained: Trained) -> dict[str, Any]:
    evaluation = trained.evaluation
    return {
        "protocolo": {"time": "tiempo", "folds": "pliegues"}[evaluation.protocol],
        "desde": evaluation.since,
        "pliegues": evaluation.folds,
        "juzgadas": len(evaluation.places),
        "filas_intervalo": evaluation.next_rows,
        "apartadas": evaluation.purged,
        "probados": len(trained.candidates),
        "modelos": [
            {"familia": taken.family, "peso": reference.number(taken.weight)}
            for taken in trained.candidates
            if taken.weight > 0
        ],
        "calibracion": trained.calibrator,
        "regla_umbral": trained.threshold.rule["es"],
        "opciones": dict(trained.options),
        "avisos": _findings(trained),
        "minutos": reference.number(trained.minutes),
        "hecho": trained.made.isoformat(timespec="seconds"),
    }


def _findings(trained: Trained) -> list[dict[str, Any]]:
    """What was found in the table; without the sentence, which may repeat what a library says.

    What could have stopped the training is there only because the person accepted it.
    """
    told = {(one.code, one.column, one.allowable): None for one in trained.findings}
    return [
        {"codigo": code, "columna": column or None, "aceptado": accepted}
        for code, column, accepted in told
    ]


def golden(trained: Trained) -> list[dict[str, Any]]:
    """About 50 rows as a caller would send them, each with the probability of the model itself.

    The example of the contract, rows spread evenly over the ranks of the score, and more of them
    until every text of a category has been sent, and no data where that is allowed.
    """
    contract = trained.contract
    pool = _readable(contract, _texts(contract, sampling.draw(contract, POOL, trained.seed)))
    order = np.argsort(_told(trained, pool), kind="stable")
    spread = order[np.linspace(0, len(order) - 1, min(SPREAD, len(order))).round().astype(int)]
    sent = [contract.example(), *(pool[place] for place in spread)]
    sent = _readable(contract, [*sent, *_extra(contract, sent)])
    chances = _told(trained, sent)
    return [
        {"parametros": texts, "probabilidad": float(chance)}
        for texts, chance in zip(sent, chances, strict=True)
    ]


def _texts(contract: Contract, values: sampling.Values) -> list[Texts]:
    """Rows of values as a caller sends them."""
    columns = {
        p.name: [_text(value, contract) for value in values[p.name].tolist()]
        for p in contract.parameters
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _text(value: str | float, contract: Contract) -> str:
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return _no_data(contract)
    return f"{value:.0f}" if value.is_integer() else repr(value)


def _no_data(contract: Contract) -> str:
    """A text that means no data, as people write it where the contract lets them."""
    if "nan" in contract.no_data and contract.forgive_case:
        return "NaN"
    return max(contract.no_data, default="")  # a word rather than nothing


def _extra(contract: Contract, sent: list[Texts]) -> list[Texts]:
    """Rows of ``sent`` with the texts that none of them has, as few as hold them all."""
    missing = {p.name: _unsent(p, contract, sent) for p in contract.parameters}
    count = min(max(map(len, missing.values())), MOST_EXTRA)
    extra = []
    for number in range(count):
        own = {name: texts[number] for name, texts in missing.items() if number < len(texts)}
        extra.append({**sent[1 + number * (len(sent) - 1) // count], **own})
    return extra


def _unsent(parameter: Parameter, contract: Contract, sent: list[Texts]) -> list[str]:
    wanted = list(parameter.texts)
    if parameter.fill is not None or parameter.optional:
        wanted.append(_no_data(contract))
    known = {texts[parameter.name] for texts in sent}
    return [text for text in wanted if text not in known]


def _readable(contract: Contract, sent: list[Texts]) -> list[Texts]:
    """The rows that keep the contract; a domain drawn from may be wider than what is taken."""
    _, faults = Features(contract).read_many(_columns(contract, sent))
    wrong = {place for place, _ in faults}
    return [texts for place, texts in enumerate(sent) if place not in wrong]


def _told(trained: Trained, sent: list[Texts]) -> Chances:
    """What the model says of the texts as the contract reads them, as the server will."""
    values, _ = Features(trained.contract).read_many(_columns(trained.contract, sent))
    nobody = np.zeros(len(sent), dtype=np.int64)
    rows = Rows(values, labels=nobody, groups=nobody)
    return scoring.chances(trained.model, trained.contract, trained.view, rows)


def _columns(contract: Contract, sent: list[Texts]) -> dict[str, list[str | None]]:
    return {p.name: [texts[p.name] for texts in sent] for p in contract.parameters}
