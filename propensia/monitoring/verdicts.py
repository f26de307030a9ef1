"""What a measurement means, in words, and whether something is wrong.

It judges by the settings alone; it measures nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from propensia.monitoring.estimation import MOST_ERROR
from propensia.settings import Settings
from propensia.spanish import number, percent
from propensia.store.measurements import Measurement

CALM = 0.1
"""Below this a stability index is no change worth a word, by habit; above ``alert_drift`` it is
one to act on."""

SURE = 0.05

JUDGED = ("drift", "estimated", "realised")
"""Kinds that are right or wrong."""


def wrong(found: Sequence[Measurement], settings: Settings) -> list[Measurement]:
    """What somebody has to look at; of months that matured, only the last of each version."""
    last: dict[str, int] = {}
    for one in found:
        if one.kind == "realised":
            last[one.version] = max(one.at, last.get(one.version, 0))
    return [
        one
        for one in found
        if is_wrong(one, settings) and (one.kind != "realised" or one.at == last[one.version])
    ]


def missing(found: Sequence[Measurement]) -> dict[str, int]:
    """How many of the figures that could be wrong are not given, by ``JUDGED`` kind."""
    refused = Counter(one.kind for one in found if one.value is None)
    return {kind: refused[kind] for kind in JUDGED if refused[kind]}


def any_judged(found: Sequence[Measurement]) -> bool:
    """Whether there is any figure that could be wrong."""
    return any(one.kind in JUDGED and one.value is not None for one in found)


def is_wrong(one: Measurement, settings: Settings) -> bool:
    """Whether somebody has to look: a drift that is large and not chance, or an AUC, estimated or
    realised, below the limit."""
    if one.value is None:
        return False
    if one.kind == "drift":
        return one.value >= settings.alert_drift and one.detail["p"] < SURE
    return (
        one.kind in ("estimated", "realised")
        and one.subject == "auc"
        and one.value < settings.alert_auc
    )


def sentence(one: Measurement, settings: Settings) -> str:
    """What the figure means, in Spanish; empty where it speaks for itself."""
    if one.value is None:
        return str(one.detail.get("reason", ""))
    told = SENTENCES.get(one.kind)
    return "" if told is None else told(one, settings)


def _drift(one: Measurement, settings: Settings) -> str:
    assert one.value is not None
    if one.detail["p"] >= SURE:
        return "igual que la referencia"
    moved = f": {_most_moved(one.detail['bins'])}"
    if one.value >= settings.alert_drift:
        return f"MAL, ha cambiado mucho{moved}"
    return f"ha cambiado algo{moved}" if one.value >= CALM else "se mueve, poco"


def _most_moved(bins: list[list[Any]]) -> str:
    name, before, now = max(bins, key=lambda each: abs(each[2] - each[1]))
    return f"«{name}» era el {percent(before, 1)} y es el {percent(now, 1)}"


def _region(one: Measurement, settings: Settings) -> str:
    expected = f"se espera el {percent(one.detail['expected'], 1)}"
    pairs = one.detail["pairs"]
    return expected + (f"; sobre todo por {pairs[0][0]} con {pairs[0][1]}" if pairs else "")


def _new(one: Measurement, settings: Settings) -> str:
    return ", ".join(f"{text}: {count}" for text, count in one.detail["values"].items())


def _missing(one: Measurement, settings: Settings) -> str:
    before = one.detail["before"]
    return "" if before is None else f"antes, el {percent(before, 1)}"


def _performance(one: Measurement, settings: Settings) -> str:
    if is_wrong(one, settings):
        return f"MAL, por debajo de {number(settings.alert_auc, 2)}"
    return "bien" if one.subject == "auc" else ""


def _calibration(one: Measurement, settings: Settings) -> str:
    assert one.value is not None
    if one.subject == "ece":
        return "bien calibrado" if one.value <= MOST_ERROR else "mal calibrado"
    chance, low, high = one.detail["chance"], one.low, one.high
    assert low is not None and high is not None
    said = f"se dijo el {percent(chance, 1)}"
    return said if low <= chance <= high else f"{said}: no encaja"


def _lift(one: Measurement, settings: Settings) -> str:
    payments, euros = one.detail["payments"], one.detail["euros"]
    return f"{number(payments, 0)} pagos, {number(euros, 0)}\N{NO-BREAK SPACE}€"


def _maturity(one: Measurement, settings: Settings) -> str:
    return f"{number(one.detail['euros'], 0)}\N{NO-BREAK SPACE}€ de {one.detail['rows']} deudores"


def _hindsight(one: Measurement, settings: Settings) -> str:
    right = "acertó" if one.detail["within"] else "NO acertó"
    estimated, realised = number(one.detail["estimated"], 3), number(one.detail["realised"], 3)
    return f"{right}: se esperaba {estimated} y fue {realised}"


def _caller(one: Measurement, settings: Settings) -> str:
    worst = [
        f"{each['parameter']} {each['code']} ({each['count']}, desde el {_day(each['first'])})"
        for each in one.detail["troubles"][:2]
    ]
    refused = f"{one.detail['refused']} rechazadas" if one.detail["refused"] else ""
    return "; ".join(part for part in (refused, ", ".join(worst)) if part)


def _day(milliseconds: int) -> str:
    """The day of a moment where this machine stands."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone():%d/%m/%Y}"


SENTENCES = {
    "drift": _drift,
    "region": _region,
    "new_category": _new,
    "missing": _missing,
    "estimated": _performance,
    "realised": _performance,
    "calibration": _calibration,
    "lift": _lift,
    "maturity": _maturity,
    "hindsight": _hindsight,
    "caller": _caller,
}
