"""The keeper's clerk: ships the journal and does what has its time, each in a thread of its own.

It never stops for good, whatever becomes of the database, and answers wait for nothing it does.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from propensia import alerts, monitoring, paneling
from propensia.audit import Audit
from propensia.contract import Contract
from propensia.journal import reader
from propensia.journal.writer import FOLDER
from propensia.registry import Registry
from propensia.settings import Settings
from propensia.store import aside, database, overview, retention, shipping
from propensia.store.database import StoreError
from propensia.store.shipping import Shipper, Waiting

log = logging.getLogger(__name__)

SHIP_S, PANEL_S, ALERT_S, MONITOR_S, PURGE_S = 1.0, 5.0, 30.0, 60.0, 3600.0
SLICE_S = 2.0
HOUR_MS = 3_600_000
LONGEST_PAUSE_S = 10.0
"""After failures; the journal keeps everything meanwhile."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done every ``period_s``; ``run`` returns what is wrong, for a person, or raises."""

    name: str
    period_s: float
    run: Callable[[Engine], str | None]


class Clerk:
    """What the clerk of this keeper does. Safe for threads."""

    def __init__(self, settings: Settings, contract: Contract, registry: Registry) -> None:
        self._settings = settings
        self._contract = contract
        self._registry = registry
        self._folder = settings.state / FOLDER
        self._shipper: Shipper | None = None
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        self._ended = threading.Event()
        self._problems: dict[str, str] = {}
        self._watch = alerts.Watch(settings, registry)
        self._examined_ms = 0

    @property
    def problems(self) -> list[str]:
        """What is wrong now, for a person; one cause once."""
        return sorted(set(self._problems.copy().values()))

    def journal(self) -> dict[str, Any]:
        """How far the journal is behind, for the keeper's note. Raises ``OSError``."""
        waiting, shipper = self._waiting(), self._shipper
        return {
            "retraso_segundos": round(waiting.seconds, 1),
            "pendiente_bytes": waiting.bytes,
            "apartados": aside.count(self._folder),
            "ilegibles": shipper.damaged if shipper else 0,
        }

    def work(self, ended: threading.Event) -> None:
        """Do all of it until the keeper ends."""
        self._ended = ended
        jobs = (
            Job("el envío del diario", SHIP_S, self._ship),
            Job("los datos del panel", PANEL_S, self._draw),
            Job("el aviso de alertas", ALERT_S, self._alert),
            Job("la vigilancia", MONITOR_S, self._monitor),
            Job("el borrado de lo caducado", PURGE_S, self._purge),
        )
        threads = [
            threading.Thread(target=self._repeat, args=(job,), name=f"clerk-{number}", daemon=True)
            for number, job in enumerate(jobs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _repeat(self, job: Job) -> None:
        pause = job.period_s
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                problem = job.run(self._store())
                failed = False
            except Exception as error:  # whatever it is, it must not end a thread
                problem, failed = _said(job, error), True
                if problem not in self._problems.copy().values():
                    log.error("%s: %s", job.run.__name__.strip("_"), _where(error))
            if problem:
                self._problems[job.name] = problem
            else:
                self._problems.pop(job.name, None)
            # Again soon after a failure, but less and less so.
            pause = min(2 * pause, LONGEST_PAUSE_S) if failed else job.period_s
            self._ended.wait(max(0.0, began + pause - time.monotonic()))

    def _store(self) -> Engine:
        with self._opening:
            if self._engine is None:
                self._engine = database.open_store(self._settings)
            return self._engine

    def _waiting(self) -> Waiting:
        places = self._shipper.places if self._shipper else {}
        return shipping.waiting(self._folder, places, _now_ms())

    def _ship(self, engine: Engine) -> str | None:
        if self._shipper is None:
            self._shipper = Shipper(engine, self._folder, self._settings.outcome_days)
        # A long backlog in slices: what was wrong before is told no longer than it is.
        until = time.monotonic() + SLICE_S
        self._shipper.turn(lambda: self._ended.is_set() or time.monotonic() > until)
        reader.sweep(self._folder)
        left = aside.count(self._folder)
        return f"{left} registros del diario apartados, en {FOLDER}/*.rejected" if left else None

    def _draw(self, engine: Engine) -> None:
        paneling.write(engine, self._settings, self._contract, self._registry)

    def _alert(self, engine: Engine) -> str | None:
        now_ms = _now_ms()
        self._watch.look(engine, self._waiting().seconds, now_ms)
        return alerts.deliver(engine, self._settings, now_ms)

    def _monitor(self, engine: Engine) -> None:
        """Examine the answers, unless this keeper or that of another machine did lately."""
        now_ms, pause_ms = _now_ms(), self._settings.monitor_hours * HOUR_MS
        # What lies in the future was written before the clock was set right.
        if 0 <= now_ms - self._examined_ms < pause_ms:
            return
        with engine.connect() as connection:
            newest = overview.examined_at(connection)
        if newest is None or not 0 <= now_ms - newest < pause_ms:
            monitoring.run(engine, self._settings, self._contract, self._registry, now_ms)
            newest = now_ms
        self._examined_ms = newest

    def _purge(self, engine: Engine) -> None:
        gone = retention.purge(engine, self._settings, _now_ms(), self._ended.is_set)
        if left := aside.forget(self._folder, self._settings.keep_inputs_days):
            gone["rejected"] = left
        if gone:
            Audit(self._settings.state).record(
                "purged", who="propensia", why="plazo de conservación", **gone
            )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _said(job: Job, error: Exception) -> str:
    if isinstance(error, StoreError | SQLAlchemyError):
        told = database.reason(error).partition(" / ")[0]
        return f"la base de datos: {told}; el diario lo guarda todo mientras tanto"
    return f"{job.name} tuvo un fallo ({type(error).__name__})"


def _where(error: Exception) -> str:
    """What failed and where, without the text of the error: it may hold a value."""
    if isinstance(error, StoreError | SQLAlchemyError):
        return database.reason(error).rpartition(" / ")[2]
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name}, line {frame.lineno}"
