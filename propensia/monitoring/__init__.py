"""The truth about performance: what the answers of each version are worth, before and after.

It reads the store and writes measurements; a number that would not be true is refused with a
reason. Sources and formulas are in ``docs/memoria.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine

from propensia import registry as registries
from propensia.contract import Contract
from propensia.features import Features
from propensia.monitoring import callers, cohorts, drift, estimation, realised, reference
from propensia.monitoring.answers import Judged, judged
from propensia.monitoring.cohorts import DAY_MS, Cohort
from propensia.monitoring.estimation import Live, Window
from propensia.monitoring.reference import Known
from propensia.registry import Registry, RegistryError
from propensia.settings import Settings
from propensia.store import measurements
from propensia.store import scored as store
from propensia.store.measurements import Measurement
from propensia.store.scored import Scored

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

    def months(self) -> list[Cohort]:
        """The months whose answers are all kept, newest first."""
        return cohorts.months(self.now, self.settings.keep_answers_days)


def run(
    engine: Engine, settings: Settings, contract: Contract, registry: Registry, now_ms: int
) -> Findings:
    """Examine the answers of the last ``monitor_days``, and keep what was found.

    Raises ``SQLAlchemyError`` or ``OSError``.
    """
    found = examine(engine, settings, contract, registry, now_ms)
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
    ``version`` or all that answered; nothing is written but the first answers of a version that
    came without a reference.

    Raises ``SQLAlchemyError`` or ``OSError``.
    """
    since = now_ms - (days or settings.monitor_days) * DAY_MS
    with engine.connect() as connection:
        watch = _Watch(connection, settings, contract, registry, now_ms, since)
        found = []
        last_outcome = store.last_outcome(connection)
        live: dict[str, Live] = {}
        for cohort in watch.months():
            for one in _versions(watch, cohort.since, cohort.until, version):
                found += _month(watch, cohort, one, last_outcome, live)
        for one in _versions(watch, since, now_ms, version):
            found += _window(watch, one, live.get(one))
            found += _hindsight(watch, one, last_outcome)
        found += callers.measure(connection, since, now_ms)
    return Findings(now_ms, tuple(found))


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
    found = realised.came(
        *store.matured(watch.connection, version, cohort.since, cohort.until, MOST_ROWS)
    )
    measured = realised.maturity(version, cohort, found, last_outcome)
    if not cohort.matured(days, last_outcome):
        return measured
    if version not in live and (calibration := realised.live(cohort, found, days)) is not None:
        live[version] = calibration
    return measured + realised.measure(version, cohort, found, days)


def _window(watch: _Watch, version: str, live: Live | None) -> list[Measurement]:
    """Drift, and what is expected of the answers of the window."""
    scored = _scored(watch, version, watch.since, watch.now)
    mine = judged(Features(watch.contract), scored)
    known = _known(watch, version, mine)
    window = Window(version, watch.since, watch.now)
    measured: list[Measurement] = []
    region = None
    if known is not None:
        measured = drift.measure(watch.now, version, watch.contract, known, mine)
        region = drift.region(watch.now, version, watch.contract, known, mine)
        measured += [region] if region is not None else []
    return measured + estimation.measure(window, known, mine, region, live)


def _scored(watch: _Watch, version: str, since: int, until: int) -> Scored:
    contract = watch.contract
    count, rules = len(contract.parameters), contract.fingerprint
    return store.scored(watch.connection, version, rules, count, since, until, MOST_ROWS)


def _known(watch: _Watch, version: str, mine: Judged) -> Known | None:
    """What a version is held against: its training, else its own first answers."""
    contract, state = watch.contract, watch.settings.state
    try:
        manifest = watch.registry.manifest(version)
        rule = registries.decision(manifest, None, contract.threshold)
        known = reference.of_training(manifest, contract, rule)
    except (RegistryError, KeyError):  # pruned, or of an older program
        known = None
    known = known or reference.kept(state, version, contract)
    if known is not None or len(mine) < reference.FIRST_ANSWERS:
        return known
    first = np.arange(reference.FIRST_ANSWERS)
    values = {name: column[first] for name, column in mine.values.items()}
    described = reference.of_answers(contract, values, mine.chances[first], mine.missing)
    reference.keep(state, version, described)
    return reference.from_answers(described, contract)


def _hindsight(watch: _Watch, version: str, last_outcome: int | None) -> list[Measurement]:
    """How right the newest estimate was of which everything is known by now."""
    days = watch.settings.outcome_days
    oldest = watch.now - watch.settings.keep_answers_days * DAY_MS
    if last_outcome is None:
        return []
    told = measurements.read(
        watch.connection, "estimated", version, oldest, last_outcome - days * DAY_MS + 1
    )
    told = [one for one in told if one.value is not None and one.detail["since"] >= oldest]
    if not told:
        return []
    newest = told[-1].at
    window = Cohort("", int(told[-1].detail["since"]), newest)
    found = realised.came(
        *store.matured(watch.connection, version, window.since, window.until, MOST_ROWS)
    )
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
