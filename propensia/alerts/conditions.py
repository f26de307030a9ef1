"""What is wrong now, by the rules of the settings.

It only decides, from what others measured; it reads nothing and tells nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from propensia import months
from propensia.files import shown
from propensia.monitoring.estimation import LEAST_ROWS
from propensia.monitoring.verdicts import is_wrong
from propensia.settings import Settings
from propensia.spanish import number, percent
from propensia.stats import wilson
from propensia.store.callers import Traffic
from propensia.store.measurements import Measurement

DRIFT, QUALITY, BLIND, CALLER = "drift", "quality", "blind", "caller"
OLD, JOURNAL, AUDIT = "old_model", "journal", "audit"
HERE = frozenset({JOURNAL, AUDIT})
"""Kinds that each machine sees of itself; their subject is its name."""

ONCE = frozenset({BLIND})
"""Kinds that are told when they begin and when they end, and not again in between: nothing gets
worse meanwhile."""

LAG_S = 900.0
"""A journal that waits so long for the database is worth waking somebody."""

DAY_S = 86_400.0
LEAST_REFUSED, LEAST_SHARE, JUMP = 20, 0.05, 2.0
"""Of a caller's requests of a day: how many have to be refused for an alert, which share at least,
and how many times the share of the week before."""

LONGEST = 64
"""Of what an alert is about, as the database takes it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong. The sentences name no value of a debtor; ``version`` is empty where
    it is not about one model alone."""

    kind: str
    subject: str
    version: str
    value: float | None
    limit: float | None
    text: str
    english: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same thing as before."""
        return self.kind, self.subject, self.version


def measured(found: Iterable[Measurement], settings: Settings) -> Iterator[Condition]:
    """What is wrong with the answers of a version, by what was found of it last, and of the newest
    month of which it is known what came of it, whatever its version."""
    for one in found:
        if is_wrong(one, settings):
            told = _drift if one.kind == "drift" else _quality
            yield told(one, settings)
        elif one.kind == "estimated" and one.subject == "auc" and one.value is None:
            yield from _blind(one)


def _drift(one: Measurement, settings: Settings) -> Condition:
    assert one.value is not None
    limit = settings.alert_drift
    name = shown(one.subject)
    spanish = "Las puntuaciones han" if name == "score" else f"El parámetro «{name}» ha"
    english = "The scores have" if name == "score" else f"The parameter «{name}» has"
    value, most = number(one.value, 2), number(limit, 2)
    return Condition(
        *(DRIFT, one.subject[:LONGEST], one.version, one.value, limit),
        f"{spanish} cambiado desde el entrenamiento: deriva (PSI) {value}, y se avisa desde "
        f"{most}.",
        f"{english} moved since the training: drift (PSI) {one.value:.2f}, alert from "
        f"{limit:.2f} on.",
    )


def _quality(one: Measurement, settings: Settings) -> Condition:
    assert one.value is not None
    limit, version = settings.alert_auc, one.version
    value, least = number(one.value, 3), number(limit, 3)
    spanish, english = "estimado del modelo", "estimated AUC of the model"
    if one.kind == "realised":
        # Of a month, whose model may be another one each time: it is one thing that goes on.
        month = str(one.detail.get("cohort", ""))
        spanish = f"realizado de la versión {version} en {months.named(month, 'es')}"
        english = f"realised AUC of version {version} in {months.named(month, 'en')}"
        version = ""
    return Condition(
        *(QUALITY, one.kind, version, one.value, limit),
        f"El AUC {spanish} es {value}, y se avisa por debajo de {least}.",
        f"The {english} is {one.value:.3f}, alert below {limit:.3f}.",
    )


def _blind(one: Measurement) -> Iterator[Condition]:
    if one.detail.get("rows", 0) < LEAST_ROWS:  # refused for that alone, which is no alert
        return
    reason = str(one.detail.get("reason", "?"))
    why = one.detail.get("reason_en", "a precondition does not hold; see propensia monitor")
    yield Condition(
        *(BLIND, one.kind, one.version, None, None),
        f"No se puede estimar cómo de bueno es el modelo: {reason}.",
        f"How good the model is cannot be estimated: {why}.",
    )


def careless_callers(
    days: Mapping[str, Traffic], weeks: Mapping[str, Traffic]
) -> Iterator[Condition]:
    """Whose requests are refused much more often than before, by caller. ``days``: of the last 24
    hours; ``weeks``: of the 7 days before; who is new is compared with one never refused."""
    for caller, now in days.items():
        before = weeks.get(caller, Traffic()).refused_share
        limit = max(LEAST_SHARE, JUMP * before)
        if now.refused < LEAST_REFUSED:
            continue
        low, _ = wilson(np.array([float(now.refused)]), np.array([float(now.requests)]))
        if low[0] < limit:  # by chance, perhaps
            continue
        name, share = shown(caller), now.refused_share
        yield Condition(
            *(CALLER, caller[:LONGEST], "", share, limit),
            f"A «{name}» se le rechaza en un día el {percent(share)} de lo que pide "
            f"({now.refused} de {now.requests}); antes, el {percent(before)}.",
            f"Of what «{name}» asks for in a day, {share:.0%} is refused "
            f"({now.refused} of {now.requests}); before, {before:.0%}.",
        )


def old_model(
    version: str, model: str, age_s: float | None, settings: Settings
) -> Iterator[Condition]:
    """Whether the model that answers was made too long ago; ``None``: nobody knows when."""
    if age_s is None or age_s < settings.alert_model_days * DAY_S:
        return
    days, most = int(age_s / DAY_S), settings.alert_model_days
    yield Condition(
        *(OLD, shown(model)[:LONGEST], version, float(days), float(most)),
        f"El modelo que responde se hizo hace {days} días, y se avisa desde {most}: toca "
        "entrenar otro.",
        f"The model that answers was made {days} days ago, alert from {most} on: train another.",
    )


def late_journal(machine: str, lag_s: float) -> Iterator[Condition]:
    """Whether answers have waited too long for the database."""
    if lag_s < LAG_S:
        return
    minutes, most = int(lag_s / 60), int(LAG_S / 60)
    yield Condition(
        *(JOURNAL, machine, "", lag_s, LAG_S),
        f"Hay respuestas que esperan desde hace {minutes} minutos a entrar en la base de datos, "
        f"y se avisa desde {most}; no se pierde ninguna.",
        f"Answers have been waiting for the database for {minutes} minutes, alert from {most} "
        "on; none is lost.",
    )


def broken_audit(machine: str, line: int | None) -> Condition:
    """That the audit log is not what was written, from that line on."""
    return Condition(
        *(AUDIT, machine, "", None if line is None else float(line), None),
        "El registro de auditoría no es el que se escribió; mire propensia audit verify.",
        "The audit log is not what was written; see propensia audit verify.",
    )
