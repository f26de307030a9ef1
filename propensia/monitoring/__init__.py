"""The truth about performance: what the answers of each version are worth, before and after.

It reads the store and writes measurements; a number that would not be true is refused with a
reason. Sources and formulas are in ``docs/memoria.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine

from propensia import registry as registries
from propensia.contract import Contract
from propensia.features import Features
from propensia.journal import records
from propensia.journal.records import DAY_MS
from propensia.monitoring import (
    callers,
    cohorts,
    drift,
    estimation,
    realised,
    reasons,
    reference,
)
from propensia.monitoring.answers import judged
from propensia.monitoring.cohorts import Cohort
from propensia.monitoring.estimation import Live, Window
from propensia.monitoring.reasons import Reason
from propensia.monitoring.reference import Known
from propensia.registry import Registry, RegistryError
from propensia.settings import Settings
from propensia.store import measurements
from propensia.store import scored as store
from propensia.store.measurements import Measurement

__all__ = ["Findings", "Measurement", "examine", "run"]

MOST_ROWS = 1_000_000
"""The newest answers of a version that are looked at: what fits into memory and ten seconds."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found ``at`` a moment (ms since 1970)."""

    at: int
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class _Watch:
    """What one examination works with."""

    connection: Connection
    settings: Settings
    contract: Contract
    registry: Registry
    now: int
    since: int
    keep: bool
    """Whether first answers that become a reference are kept."""

    def months(self) -> list[Cohort]:
        """The months whose answers are all kept, newest first."""
        return cohorts.months(self.now, self.settings.keep_answers_days)

    def within(self) -> int:
        """The most days after an answer at which anybody looks for a payment."""
        return max(*cohorts.HORIZONS, self.settings.outcome_days)


def run(
    engine: Engine, settings: Settings, contract: Contract, registry: Registry, now_ms: int
) -> Findings:
    """Examine the answers of the last ``monitor_days``, and keep what was found.

    Raises ``SQLAlchemyError`` or ``OSError``.
    """
    since = now_ms - settings.monitor_days * DAY_MS
    with engine.connect() as connection:
        watch = _Watch(connection, settings, contract, registry, now_ms, since, keep=True)
        found = _examine(watch, None)
    with engine.begin() as connection:
        measurements.write(connection, found.measurements)
    return found


def examine(
    engine: Engine,
    settings: Settings,
    contract: Contract,
    registry: Registry,
    now_ms: int,
    days: int | None = None,
    version: str | None = None,
) -> Findings:
    """What there is to say now, of the answers of the last ``days`` [``monitor_days``] and of one
    ``version`` or all that answered; nothing is written.

    Raises ``SQLAlchemyError`` or ``OSError``.
    """
    since = now_ms - (days or settings.monitor_days) * DAY_MS
    with engine.connect() as connection:
        watch = _Watch(connection, settings, contract, registry, now_ms, since, keep=False)
        return _examine(watch, version)


def _examine(watch: _Watch, version: str | None) -> Findings:
    found: list[Measurement] = []
    last_outcome = store.last_outcome(watch.connection)
    live: dict[str, Live] = {}
    judged_ones = set()
    for cohort in watch.months():
        for one in _versions(watch, cohort.since, cohort.until, version):
            measured = _month(watch, cohort, one, last_outcome, live)
            judged_ones |= {each.version for each in measured if each.kind == "realised"}
            found += measured
    for one in _versions(watch, watch.since, watch.now, version):
        found += _window(watch, one, live.get(one))
        found += [] if one in judged_ones else _never_judged(watch, one)
    found += _hindsights(watch, version, last_outcome)
    found += callers.measure(watch.connection, watch.since, watch.now)
    return Findings(watch.now, tuple(found))


def _versions(watch: _Watch, since: int, until: int, only: str | None) -> list[str]:
    answered = store.versions(watch.connection, since, until)
    return [version for version in answered if only in (None, version)]


def _month(
    watch: _Watch,
    cohort: Cohort,
    version: str,
    last_outcome: int | None,
    live: dict[str, Live],
) -> list[Measurement]:
    """What came of a month's answers; the newest calibration of each version goes to ``live``."""
    days = watch.settings.outcome_days
    if not cohort.matured(min(*cohorts.HORIZONS, days), last_outcome):
        return []
    span = (cohort.since, cohort.until, MOST_ROWS, watch.within())
    found = realised.came(*store.matured(watch.connection, version, *span))
    measured = realised.maturity(version, cohort, found, last_outcome)
    if not cohort.matured(days, last_outcome):
        return measured
    if version not in live and (calibration := realised.live(cohort, found, days)) is not None:
        live[version] = calibration
    return measured + realised.measure(version, cohort, found, days)


def _never_judged(watch: _Watch, version: str) -> list[Measurement]:
    """That no month of a version can be judged, where its answers go too soon."""
    kept, days = watch.settings.keep_answers_days, watch.settings.outcome_days
    needed = days + cohorts.LONGEST
    if kept >= needed:
        return []
    detail = {"days": days} | reasons.kept_too_short(kept, needed, days).detail()
    return [Measurement(watch.now, version, "realised", "auc", None, detail=detail)]


def _window(watch: _Watch, version: str, live: Live | None) -> list[Measurement]:
    """Drift, and what is expected of the answers of the window."""
    contract, now = watch.contract, watch.now
    count, rules = len(contract.parameters), contract.fingerprint
    span = (watch.since, now, MOST_ROWS)
    scored = store.scored(watch.connection, version, rules, count, *span)
    mine = judged(Features(contract), scored)
    since = records.milliseconds(scored.first) if scored.first else watch.since
    window = Window(version, since, now, scored.first, rules)
    known = _known(watch, version)
    if isinstance(known, Reason):
        unknown = drift.refused(now, version, known, {"rows": len(mine)})
        return [unknown, *estimation.measure(window, None, mine, None, live)]
    measured = drift.measure(now, version, contract, known, mine)
    region = drift.region(now, version, contract, known, mine)
    measured += [region] if region is not None else []
    return measured + estimation.measure(window, known, mine, region, live)


def _known(watch: _Watch, version: str) -> Known | Reason:
    """What a version is held against: its training, else its own first answers; or why there is
    nothing."""
    contract, state = watch.contract, watch.settings.state
    try:
        manifest = watch.registry.manifest(version)
        rule = registries.decision(manifest, None, contract.threshold)
        known = reference.of_training(manifest, contract, rule)
    except (RegistryError, KeyError):  # pruned, or of an older program
        known = None
    known = known or reference.kept(state, version, contract)
    return known or _from_first(watch, version)


def _from_first(watch: _Watch, version: str) -> Known | Reason:
    """The first answers of a version as its reference: always the same ones, whatever window is
    looked at."""
    contract = watch.contract
    count, rules = len(contract.parameters), contract.fingerprint
    scored = store.first(watch.connection, version, rules, count, MOST_ROWS)
    places = np.sort(np.unique(scored.debtors, return_index=True)[1])
    if len(places) < reference.FIRST_ANSWERS:
        return reasons.few_first_answers(len(places), reference.FIRST_ANSWERS)
    first = scored.head(int(places[reference.FIRST_ANSWERS - 1]) + 1)
    one = judged(Features(contract), first)
    described = reference.of_answers(contract, one.values, one.chances, one.missing)
    if watch.keep:
        reference.keep(watch.settings.state, version, described)
    known = reference.from_answers(described, contract)
    assert known is not None  # described under this contract just now
    return known


def _hindsights(
    watch: _Watch, only: str | None, last_outcome: int | None
) -> Iterator[Measurement]:
    """Of every version that an estimate is kept of, whether it answers still or not."""
    if last_outcome is None:
        return
    oldest = watch.now - watch.settings.keep_answers_days * DAY_MS
    until = last_outcome - watch.settings.outcome_days * DAY_MS + 1
    for version in measurements.versions(watch.connection, "estimated", oldest, until):
        if only in (None, version):
            yield from _hindsight(watch, version, oldest, until)


def _hindsight(watch: _Watch, version: str, oldest: int, until: int) -> list[Measurement]:
    """How right the newest estimate with ``at`` before ``until`` was, of the same answers."""
    days = watch.settings.outcome_days
    told = measurements.read(watch.connection, "estimated", version, oldest, until)
    told = [one for one in told if one.value is not None and one.detail["since"] >= oldest]
    if not told:
        return []
    newest, detail = told[-1].at, told[-1].detail
    span = (int(detail["since"]), newest, MOST_ROWS, watch.within())
    same = (str(detail["first_id"]), str(detail["rules"]))
    found = realised.came(*store.matured(watch.connection, version, *span, *same))
    labels = found.paid(days)
    if not 0 < int(labels.sum()) < len(labels):
        return []
    real = realised.figures(labels, found.chances, found.positive)
    return [
        _held(one, real[one.subject].value)
        for one in told
        if one.at == newest and one.subject in real
    ]


def _held(estimate: Measurement, real: float) -> Measurement:
    assert estimate.value is not None and estimate.low is not None and estimate.high is not None
    detail = {
        "estimated": estimate.value,
        "realised": real,
        "within": estimate.low <= real <= estimate.high,
        "since": estimate.detail["since"],
        "until": estimate.detail["until"],
    }
    return Measurement(
        estimate.at,
        estimate.version,
        "hindsight",
        estimate.subject,
        estimate.value - real,
        estimate.low - real,
        estimate.high - real,
        detail,
    )
