"""What happens to dropped files: looked at, judged, published, and told beside each of them.

It never changes a dropped file, and whatever happens to the folder, what is served stays a
function of the releases alone.
"""

from __future__ import annotations

import contextlib
import logging
import time
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from propensia import __version__, admission, files, inbox
from propensia.admission.refusal import Refusal, shown
from propensia.contract import Contract
from propensia.registry import Registry, RegistryError
from propensia.settings import Settings

log = logging.getLogger(__name__)

UNFINISHED_S = 30 * 60
BACK_OFF_S = (5.0, 30.0, 120.0, 600.0)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Retry:
    """A file that the machine failed on: how often, when it is tried again, and why."""

    tries: int
    at: float
    why: str


class Reception:
    """The desk of one models folder; ``turn`` is one look and everything that follows from it."""

    def __init__(
        self, settings: Settings, contract: Contract, registry: Registry, say: Say = log.info
    ) -> None:
        self.settings = settings
        self.contract = contract
        self.registry = registry
        self.problems: list[str] = []
        self._say = say
        self._watches: dict[str, inbox.Watch] = {}
        self._retry: dict[str, Retry] = {}
        self._memory_path = settings.state / "inbox.json"
        self._memory = self._remembered()

    def turn(self) -> None:
        """Look once; judge, publish and tell. Faults of the machine end up in ``problems``."""
        try:
            seen = inbox.look(self.settings.models)
            folder = inbox.identity(self.settings.models)
        except OSError as error:
            self.problems = [f"no se puede leer la carpeta de modelos ({error.strerror})"]
            return
        before = (self._memory.folder, dict(self._memory.names))
        inbox.forget_vanished(self._memory, {one.name for one in seen}, folder)
        inbox.watch(self._watches, seen, time.monotonic())
        for one in seen:
            try:
                self._attend(one)
            except (OSError, RegistryError) as error:
                log.error("%s: %s", one.name, error)
                self._put_off(one.name, getattr(error, "strerror", None) or str(error))
            except Exception as error:  # one file must not keep the others waiting
                log.exception("%s: attending to it failed", one.name)
                self._put_off(one.name, f"fallo interno ({type(error).__name__})")
        names = {one.name for one in seen}
        self._retry = {name: retry for name, retry in self._retry.items() if name in names}
        self.problems = [f"{name}: {retry.why}" for name, retry in self._retry.items()]
        if (self._memory.folder, self._memory.names) != before:
            self._remember()

    # One file

    def _attend(self, seen: inbox.Seen) -> None:
        watch = self._watches[seen.name]
        if self._memory.marks.get(seen.name) == seen.marks or watch.told == "final":
            return
        if seen.name in self._retry and time.monotonic() < self._retry[seen.name].at:
            return
        if seen.irregular is None and watch.looks < self.settings.stable_polls:
            if watch.told is None:
                self._tell(seen, "RECIBIDO", "Se espera a que termine la copia.")
                watch.told = "received"
            return
        if watch.told == "unfinished" and time.monotonic() - watch.first <= UNFINISHED_S:
            return  # it was read as it stands; only a change could complete it
        try:
            self._consider(seen, watch)
        except Refusal as refusal:  # of what is refused unread
            self._tell(seen, "RECHAZADO", refusal.text("es"))
            watch.told = "final"

    def _consider(self, seen: inbox.Seen, watch: inbox.Watch) -> None:
        """A file that stood still: read it once, then judge only that copy."""
        dropped = read_dropped(seen, self.settings)
        if inbox.look_again(seen) != seen.marks:
            return  # it moved while it was read: the next looks will tell
        sha256 = dropped.sha256
        current = self.registry.current()
        active = current.sha256 if current else None
        fate = inbox.fate(
            sha256,
            self.registry.verdict(sha256),
            active,
            self._memory.names.get(seen.name),
            (self.contract.fingerprint, __version__),
        )
        if fate.action == "judge":
            if not self._judge(seen, watch, dropped):
                return
        elif fate.action == "promote":
            self._promote(seen, dropped, "vuelta")
        elif fate.action == "refuse":
            verdict = self.registry.verdict(sha256) or {}
            self._tell(seen, "RECHAZADO", str(verdict.get("why", "")))
        elif fate.why:
            self._tell(seen, "ACEPTADO", f"Ya {fate.why} ({dropped.version}); nada cambia.")
        self._retry.pop(seen.name, None)
        self._memory.names[seen.name] = sha256
        self._memory.marks[seen.name] = seen.marks

    def _judge(self, seen: inbox.Seen, watch: inbox.Watch, dropped: admission.Dropped) -> bool:
        """Admit a new content; whether that settled it (an unfinished file is not settled)."""
        if watch.told == "unfinished":
            text = "La copia parece sin terminar desde hace media hora; cópielo de nuevo."
            self._tell(seen, "RECHAZADO", text)
            return True
        self._tell(seen, "COMPROBANDO", "Se comprueba; tarda unos segundos.")
        verdict, outcome = admission.admit(dropped, self.settings, self.contract, self.registry)
        if verdict["code"] == "fichero_incompleto":
            self._tell(seen, "RECIBIDO", f"{verdict['why']} (Se espera a que se complete.)")
            watch.told = "unfinished"
            return False
        if not verdict["accepted"]:
            self._tell(seen, "RECHAZADO", verdict["why"])
            return True
        self._leave(seen, inbox.REPORT_SUFFIX, outcome.report)
        self._promote(seen, dropped, "fichero")
        removed = self.registry.prune(self.settings.keep_versions)
        if removed:
            log.info("pruned %s", ", ".join(removed))
        return True

    def _promote(self, seen: inbox.Seen, dropped: admission.Dropped, cause: str) -> None:
        # Looked up now: the admission took long enough for a person to pin or roll back.
        current = self.registry.current()
        reason = None
        if current is not None:
            reason = inbox.may_promote(seen.name, current.model, current.pinned)
        if reason is not None:
            text = (
                f"Queda como candidata ({dropped.version}): {reason}. "
                f"Para publicarla: propensia admit {seen.name}"
            )
            self._tell(seen, "ACEPTADO", text)
            return
        release = self.registry.publish(
            dropped.version,
            cause=cause,
            who="carpeta",
            why=seen.name,
            only_after=current.number if current else 0,
        )
        self._tell(
            seen,
            "ACEPTADO",
            f"Publicado como versión {release.version} (publicación {release.number}).",
        )

    # What the folder says

    def _tell(self, seen: inbox.Seen, word: str, text: str) -> None:
        """Leave the state beside the file; a folder that cannot be written is a problem told
        elsewhere, never a reason to stop."""
        self._say(f"{word} {seen.name}: {text}")
        at = time.strftime("%Y-%m-%d %H:%M:%S")
        content = f"{word}\r\n\r\n{text}\r\n\r\n{at} · Propensia {__version__}\r\n"
        self._leave(seen, inbox.STATE_SUFFIX, content)

    def _leave(self, seen: inbox.Seen, suffix: str, content: str) -> None:
        try:
            path = seen.path.with_name(seen.name + suffix)
            files.write(path, content.encode("utf-8", "replace"), durable=False)
        except OSError as error:
            log.warning("cannot write beside %s: %s", seen.name, error.strerror)

    # What survives a restart

    def _remembered(self) -> inbox.Memory:
        try:
            return inbox.recalled(files.read_json(self._memory_path))
        except FileNotFoundError:
            return inbox.Memory()
        except (ValueError, KeyError, TypeError) as error:
            # Starting anew would promote whatever lies in the folder; take it as seen instead.
            log.error(
                "inbox.json is damaged (%s): the files that lie there are taken as seen", error
            )
            return self._taken_as_seen()

    def _taken_as_seen(self) -> inbox.Memory:
        memory = inbox.Memory()
        with contextlib.suppress(OSError):
            memory.folder = inbox.identity(self.settings.models)
            for seen in inbox.look(self.settings.models):
                with contextlib.suppress(OSError, Refusal):  # such a file is told at its turn
                    memory.names[seen.name] = read_dropped(seen, self.settings).sha256
                    memory.marks[seen.name] = seen.marks
        return memory

    def _remember(self) -> None:
        files.write_json(self._memory_path, asdict(self._memory))

    def _put_off(self, name: str, why: str) -> None:
        before = self._retry.get(name)
        tries = before.tries if before else 0
        pause = BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)]
        self._retry[name] = Retry(tries + 1, time.monotonic() + pause, why)


def read_dropped(seen: inbox.Seen, settings: Settings) -> admission.Dropped:
    """The bytes of a file and its sidecar, read once.

    Raises ``Refusal`` for what is refused unread (no regular file, or too large), and ``OSError``.
    """
    if seen.irregular is not None:
        raise Refusal("no_es_un_fichero", seen.irregular)
    data = _within(seen.path, settings.max_file_mb)
    beside = None
    if seen.sidecar is not None:
        beside = _within(seen.sidecar, admission.SIDECAR_LIMIT_BYTES >> 20)
    # A name may hold anything a file system takes; what is shown and answered may not.
    return admission.Dropped(shown(unicodedata.normalize("NFC", seen.path.stem)), data, beside)


def _within(path: Path, limit_mb: int) -> bytes:
    try:
        return files.read(path, limit_mb << 20)
    except files.FileTooLarge as error:
        detail = f"{shown(path.name)}, más de {limit_mb} MB"
        raise Refusal(
            "demasiado_grande", detail, f"{shown(path.name)}, over {limit_mb} MB"
        ) from error
