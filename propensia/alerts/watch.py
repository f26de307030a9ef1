"""Looks at everything that somebody may have to be told, and raises what is wrong.

It reads sums and findings, never answers; what it cannot see neither begins nor ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy import Engine

from propensia.ages import made_at
from propensia.alerts import conditions
from propensia.alerts.conditions import AUDIT, OLD, Condition
from propensia.alerts.messages import machine
from propensia.alerts.raising import raise_from
from propensia.audit import Audit, verify
from propensia.journal.records import DAY_MS, HOUR_MS
from propensia.registry import Registry, RegistryError, Release
from propensia.settings import Settings
from propensia.store import callers, overview

AUDIT_S = 3600.0
"""The whole log is read for it."""


class Watch:
    """What one keeper looks at. One thread uses it."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._audit = Audit(settings.state)
        self._audit_at = 0.0
        self._audit_found: list[Condition] | None = None

    def look(self, engine: Engine, lag_s: float, now_ms: int) -> None:
        """Raise what is wrong now. ``lag_s``: how long the journal waits for the database. Raises
        ``SQLAlchemyError``."""
        unknown = set()
        found = list(conditions.late_journal(machine(), lag_s))
        try:
            release = self._registry.current()
            found += self._model(release, now_ms)
        except (OSError, RegistryError):  # damaged, or gone this moment: /health tells
            release = None
            unknown = {OLD, conditions.DRIFT, conditions.QUALITY, conditions.BLIND}
        audit = self._audited()
        if audit is None:
            unknown.add(AUDIT)
        found += audit or []
        found += self._measured(engine, release, now_ms)
        raise_from(engine, self._settings, found, now_ms, unknown)

    def _model(self, release: Release | None, now_ms: int) -> Iterator[Condition]:
        if release is None:
            return
        made = made_at(self._registry.manifest(release.version))
        age_s = None if made is None else now_ms / 1000 - made.timestamp()
        yield from conditions.old_model(release.version, release.model, age_s, self._settings)

    def _measured(
        self, engine: Engine, release: Release | None, now_ms: int
    ) -> Iterator[Condition]:
        hour = now_ms // HOUR_MS * HOUR_MS + HOUR_MS
        with engine.connect() as connection:
            if release is not None:
                yield from conditions.measured(
                    overview.last(connection, release.version), self._settings
                )
            yield from conditions.measured(overview.matured(connection), self._settings)
            days = callers.traffic(connection, hour - DAY_MS, hour)
            weeks = callers.traffic(connection, hour - 8 * DAY_MS, hour - DAY_MS)
        yield from conditions.careless_callers(days, weeks)

    def _audited(self) -> list[Condition] | None:
        """What is wrong with the audit log; ``None``: it could not be read."""
        if self._audit_found is None or time.monotonic() - self._audit_at >= AUDIT_S:
            try:
                verdict = verify(self._audit)
            except OSError:
                return None
            wrong = verdict.wrong is not None
            found = [conditions.broken_audit(machine(), verdict.line)] if wrong else []
            self._audit_found, self._audit_at = found, time.monotonic()
        return self._audit_found
