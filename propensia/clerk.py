"""The keeper's clerk: ships the journal and does what has its time, each in a thread of its own.

It never stops for good, whatever becomes of the database, and answers wait for nothing it does.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from propensia import alerts, monitoring, paneling, processes
from propensia.audit import Audit
from propensia.contract import Contract
from propensia.journal import reader
from propensia.journal.records import DAY_MS, HOUR_MS
from propensia.journal.writer import FOLDER
from propensia.registry import Registry, RegistryError
from propensia.settings import Settings
from propensia.store import aside, clock, database, overview, retention, scored, shipping
from propensia.store.database import Replaced, StoreError
from propensia.store.shipping import Shipper, Waiting

log = logging.getLogger(__name__)

SHIP_S, PANEL_S, ALERT_S, MONITOR_S, PURGE_S = 1.0, 5.0, 30.0, 60.0, 3600.0
SLICE_S = 2.0
FLOOR_MS, MOST_SHARE = 600_000, 20
"""The answers are examined no sooner than ten minutes after the last time, nor more than a part in
so many of the time."""

LONGEST_PAUSE_S = 10.0
"""After failures; the journal keeps everything meanwhile."""

SHIPPING, READING = "el envío del diario", "la lectura del diario"
WRONG_SHOWN = 3
LOST = (
    "se borró o se cambió el fichero de la base de datos mientras se usaba, y se abrió el que "
    "había: lo enviado antes solo está en una copia de seguridad"
)
"""Until the keeper starts again: what it tells of is not mended by going on."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done every ``period_s``; ``run`` returns what is wrong, for a person, or raises."""

    name: str
    period_s: float
    run: Callable[[Engine], str | None]


class Clerk:
    """What the clerk of this keeper does. Safe for threads.

    ``is_store_away``: the database did not take the journal the last time.
    """

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
        self._late_s = 0.0
        self.is_store_away = False
        self._watch = alerts.Watch(settings, registry)
        self._examined_ms: int | None = None
        self._span_ms = round(settings.monitor_hours * HOUR_MS)
        self._floor_ms = self._pause_ms = min(FLOOR_MS, self._span_ms)

    @property
    def problems(self) -> list[str]:
        """What is wrong now, for a person; one cause once."""
        return sorted(set(self._problems.copy().values()))

    def journal(self) -> dict[str, Any]:
        """How far the journal is behind, for the keeper's note; empty where nobody can know."""
        shipper = self._shipper
        try:
            waiting, left = self._waiting(), aside.count(self._folder)
        except OSError as error:
            self._problems[READING] = f"no se puede leer el diario ({error.strerror or error})"
            return {}
        self._problems.pop(READING, None)
        return {
            "retraso_segundos": round(waiting.seconds, 1),
            "pendiente_bytes": waiting.bytes,
            "apartados": left,
            "ilegibles": shipper.damaged if shipper else 0,
        }

    def work(self, ended: threading.Event) -> None:
        """Do all of it until the keeper ends."""
        self._ended = ended
        jobs = (
            Job(SHIPPING, SHIP_S, self._ship),
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
        processes.give_way()  # callers wait for the cores; nobody waits for this
        pause = job.period_s
        while not self._ended.is_set():
            began = time.monotonic()
            engine: Engine | None = None
            is_away = failed = False
            try:
                engine = self._store()
                problem = job.run(engine)
            except Exception as error:  # whatever it is, it must not end a thread
                problem, failed = _said(job, error), True
                is_away = isinstance(error, StoreError | SQLAlchemyError)
                if isinstance(error, Replaced):
                    self._let_go(engine)
                if problem not in self._problems.copy().values():
                    log.error("%s: %s", job.run.__name__.strip("_"), _where(error))
            if problem:
                self._problems[job.name] = problem
            else:
                self._problems.pop(job.name, None)
            if job.name == SHIPPING:
                self.is_store_away = is_away
            # Again soon after a failure, but less and less so.
            pause = min(2 * pause, LONGEST_PAUSE_S) if failed else job.period_s
            self._ended.wait(max(0.0, began + pause - time.monotonic()))

    def _store(self) -> Engine:
        with self._opening:
            if self._engine is None:
                self._engine = database.open_store(self._settings)
            return self._engine

    def _let_go(self, engine: Engine | None) -> None:
        """The file of that database is gone: from now on, the one that is there."""
        with self._opening:
            if engine is not None and engine is self._engine:
                engine.dispose()
                self._engine = self._shipper = None
            self._problems["la base de datos"] = LOST

    def _waiting(self) -> Waiting:
        places = self._shipper.places if self._shipper else {}
        return shipping.waiting(self._folder, places, _now_ms())

    def _ship(self, engine: Engine) -> str | None:
        shipper = self._shipper
        if shipper is None:
            shipper = Shipper(engine, self._folder, self._settings.outcome_days)
            self._shipper = shipper
        # A long backlog in slices: what was wrong before is told no longer than it is.
        until = time.monotonic() + SLICE_S
        shipper.turn(lambda: self._ended.is_set() or time.monotonic() > until)
        reader.sweep(self._folder)
        if shipper.wrong:
            return "ficheros del diario que no se envían: " + "; ".join(
                shipper.wrong[:WRONG_SHOWN]
            )
        left = aside.count(self._folder)
        return f"{left} registros del diario apartados, en {FOLDER}/*.rejected" if left else None

    def _draw(self, engine: Engine) -> None:
        paneling.write(engine, self._settings, self._contract, self._registry)

    def _alert(self, engine: Engine) -> str | None:
        now_ms = _now_ms()
        with contextlib.suppress(OSError):  # told by ``journal``
            self._late_s = self._waiting().seconds
        self._watch.look(engine, self._late_s, now_ms)
        return alerts.deliver(engine, self._settings, now_ms)

    def _monitor(self, engine: Engine) -> None:
        """Examine the answers where that is due, unless another keeper did a moment ago."""
        now_ms = _now_ms()
        if _within(self._examined_ms, now_ms, self._pause_ms) or not self._due(engine, now_ms):
            return
        began = time.monotonic()  # the clock may be set meanwhile
        monitoring.run(engine, self._settings, self._contract, self._registry, now_ms)
        took_ms = round(1000 * (time.monotonic() - began))
        # What takes long is not done all day, whatever comes in.
        self._examined_ms, self._pause_ms = now_ms, max(self._floor_ms, MOST_SHARE * took_ms)

    def _due(self, engine: Engine, now_ms: int) -> bool:
        """Whether the answers were not examined for ``monitor_hours``, or there is more to find:
        new outcomes, or answers of the published version, of which nothing was found yet."""
        try:
            release = self._registry.current()
        except (OSError, RegistryError):  # damaged, or pruned this moment: /health tells
            release = None
        with engine.connect() as connection:
            newest = overview.examined_at(connection)
            if _within(newest, now_ms, self._pause_ms):
                return False
            if newest is None or not _within(newest, now_ms, self._span_ms):
                return True
            told = scored.last_outcome(connection)
            if told is not None and newest < told <= now_ms:
                return True
            if release is None:
                return False
            found = overview.examined_at(connection, release.version)
            since = now_ms - self._settings.monitor_days * DAY_MS
            return not _within(found, now_ms, self._span_ms) and overview.answered(
                connection, release.version, since
            )

    def _purge(self, engine: Engine) -> str | None:
        """What is too old goes, unless only a clock that jumped says that it is."""
        now_ms = _now_ms()
        if not clock.is_steady(engine, now_ms):
            return (
                "el reloj saltó, aquí o en otra máquina de la misma base: lo caducado se borra "
                "cuando lleve un día sin saltos"
            )
        gone = retention.purge(engine, self._settings, now_ms, self._ended.is_set)
        if left := aside.forget(self._folder, self._settings.keep_inputs_days):
            gone["rejected"] = left
        if gone:
            Audit(self._settings.state).record(
                "purged", who="propensia", why="plazo de conservación", **gone
            )
        return None


def _within(at: int | None, now_ms: int, span_ms: float) -> bool:
    """Whether ``at`` was less than that long ago; what lies in the future was written before the
    clock was set right."""
    return at is not None and 0 <= now_ms - at < span_ms


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
