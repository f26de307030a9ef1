"""The keeper: one background process per machine that watches the models folder.

It looks, and lets ``Reception`` do what follows; it lives as long as the process that started it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from propensia import admission, files, heartbeat, inbox, logs, processes, training
from propensia import contract as contracts
from propensia import settings as settings_table
from propensia.audit import Audit
from propensia.clerk import Clerk
from propensia.contract import Contract
from propensia.jobs import Jobs
from propensia.locks import Lock
from propensia.publishing import UPLOAD_LOCK
from propensia.reception import Reception, Say
from propensia.reconciling import Auditor
from propensia.registry import Registry
from propensia.settings import Settings

log = logging.getLogger(__name__)

LEFT_OVER_S = 60 * 60  # no write takes that long: its writer is gone
PREPARE_AGAIN_S = 600.0


def prepare(settings: Settings, contract: Contract, registry: Registry, say: Say) -> None:
    """Make and admit a demonstration model, if nothing was ever published and the models folder
    holds no model. Raises ``OSError`` or ``training.TrainingError``."""
    if not settings.demonstration or registry.current_number() or not contract.demonstration:
        return
    with contextlib.suppress(OSError):
        settings.models.mkdir(parents=True, exist_ok=True)
    try:
        if inbox.look(settings.models):
            return
    except OSError:
        log.warning("the models folder cannot be read")
    say("No hay ningún modelo: se entrena uno de demostración con datos sintéticos…")
    data, sidecar = training.make_demonstration(settings)
    say("Se comprueba, como cualquier fichero que se deje en la carpeta…")
    dropped = admission.Dropped(training.DEMONSTRATION, data, sidecar)
    verdict, _ = admission.admit(dropped, settings, contract, registry, demonstration=True)
    if not verdict["accepted"]:
        raise training.TrainingError(verdict["why"])
    registry.publish(dropped.version, cause="demostración", who="propensia", why="sin modelos")
    say(f"Publicado el modelo de demostración, versión {dropped.version}.")


def acquire(settings: Settings, patience_s: float = 2.0) -> Lock | None:
    """The lock that makes this process the one keeper of the machine, or ``None``."""
    lock = Lock(settings.state / "keeper.lock", patience_s)
    return lock if lock.acquire() else None


def main() -> None:
    """Be the keeper until the process that started this one ends.

    With ``first`` as argument: only see to a first model, telling it on the console, and end.
    """
    logs.to_stderr(logging.INFO, "keeper %(levelname)s %(message)s")
    settings = settings_table.load()
    registry = Registry(settings.state)
    registry.prepare()
    lock = acquire(settings)
    if lock is None:  # another process of this machine looks after the folder already
        return
    if sys.argv[1:] == ["first"]:
        with lock:
            _first_model(settings, contracts.load(settings.contract), registry)
        return
    ended = threading.Event()
    processes.when_parent_ends(ended)
    threading.Thread(target=_leave_when, args=(ended,), name="leave", daemon=True).start()
    with lock:
        _watch(settings, contracts.load(settings.contract), registry, ended)


def _first_model(settings: Settings, contract: Contract, registry: Registry) -> None:
    try:
        prepare(settings, contract, registry, lambda text: print(text, flush=True))
    except training.TrainingError as error:
        sys.exit(str(error))


def _leave_when(ended: threading.Event) -> None:
    ended.wait()
    processes.kill_children()
    os._exit(0)  # the lock goes with the process; nothing published is ever half there


@dataclass(slots=True)
class Told:
    """What is wrong now, as the next beat tells it."""

    clerk: Clerk
    auditor: Auditor
    problems: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """What is wrong with the folder, with the store, and with the audit log."""
        audit = [self.auditor.problem] if self.auditor.problem else []
        return self.problems + self.clerk.problems + audit


def _watch(
    settings: Settings, contract: Contract, registry: Registry, ended: threading.Event
) -> None:
    clerk = Clerk(settings, contract, registry)
    threading.Thread(target=clerk.work, args=(ended,), name="clerk", daemon=True).start()
    told = Told(clerk, Auditor(settings, registry))
    threading.Thread(target=_beat, args=(settings.state, told, ended), daemon=True).start()
    reception: Reception | None = None
    prepare_at = 0.0
    audit = Audit(settings.state)
    portfolios = Jobs(
        settings.state,
        settings.portfolio_hours,
        lambda id: audit.record("expired", who="propensia", job=id),
    )
    while not ended.is_set():
        _sweep(portfolios)  # whatever else is wrong: these are data of persons
        try:
            if reception is None:
                sweep(settings.state)
                reception = Reception(settings, contract, registry)
            if time.monotonic() >= prepare_at:
                prepare_at = time.monotonic() + PREPARE_AGAIN_S  # holds where it fails
                prepare(settings, contract, registry, log.info)
                prepare_at = 0.0
            told.auditor.turn()
            reception.turn()
            told.problems = reception.problems
            heartbeat.sweep(settings.state / "workers")
        except Exception as error:  # a full disk or a lost folder must not end the watch
            log.exception("turn failed")
            told.problems = [f"el vigilante tuvo un fallo ({type(error).__name__})"]
        ended.wait(settings_table.poll_interval(settings))


def _sweep(portfolios: Jobs) -> None:
    try:
        portfolios.sweep()
    except Exception:
        log.exception("uploaded portfolios could not be removed")


def _beat(state: Path, told: Told, ended: threading.Event) -> None:
    """Show that the keeper lives, also while an admission takes its time."""
    while not ended.wait(1.0):
        with contextlib.suppress(OSError):  # told by the age of the note
            journal = told.clerk.journal()  # first: it may find something wrong
            note = {
                "pid": os.getpid(),
                "problemas": told.all(),
                "diario": journal,
                "sin_base": told.clerk.is_store_away,
            }
            heartbeat.leave(state / "keeper.json", note)


def sweep(state: Path) -> None:
    """Remove what interrupted processes left behind; only the keeper, before it starts."""
    uploading = Lock(state / UPLOAD_LOCK)
    if uploading.acquire():  # else a web process judges a file in there at this moment
        with uploading:
            for left in (state / "work").glob("*"):
                files.remove_tree(left)
    for folder in ("", "audit", "releases", "verdicts", "workers"):
        for left in (state / folder).glob(".*.tmp"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > LEFT_OVER_S:
                    left.unlink()


if __name__ == "__main__":
    main()
