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
from dataclasses import dataclass
from pathlib import Path

from propensia import __version__, admission, files, inbox, remembering, standing
from propensia.admission.dropped import read_signature
from propensia.admission.refusal import Refusal, shown
from propensia.admission.sidecar import LIMIT_BYTES as SIDECAR_LIMIT_BYTES
from propensia.contract import Contract
from propensia.publishing import Hand, Publishing
from propensia.registry import Registry, RegistryError
from propensia.settings import Settings

log = logging.getLogger(__name__)

UNFINISHED_S = 30 * 60
TURN_S = 20.0  # after so long no further file is judged before the folder is looked at again
BACK_OFF_S = (5.0, 30.0, 120.0, 600.0)
BY_FOLDER = ("fichero", "vuelta")
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
        self._unwritable: str | None = None
        self._told_of = 0
        self._room, self._until = 0, 0.0
        self._left: set[str] = set()  # not looked into at the last turn, for want of time
        self._unfinished: dict[str, str] = {}  # by content: why it is, as judged in this turn
        self._publishing = Publishing(settings, contract, registry)
        self._notebook = remembering.Notebook(settings.state / "inbox.json")
        self._memory = self._remembered()

    def turn(self) -> None:
        """Look once; judge, publish and tell. Faults of the machine end up in ``problems``."""
        try:
            seen = inbox.look(self.settings.models)
            folder = inbox.identity(self.settings.models)
        except OSError as error:
            self.problems = [f"no se puede leer la carpeta de modelos ({error.strerror})"]
            return
        self._settle_pending()
        names = {one.name for one in seen}
        inbox.enter(self._memory, folder, names)
        inbox.watch(self._watches, seen, time.monotonic())
        self._room = remembering.room(self._memory)
        first, self._left = self._left, set()
        self._until, self._unfinished = time.monotonic() + TURN_S, {}
        for one in sorted(seen, key=lambda one: one.name not in first):
            try:
                self._attend(one)
            except (OSError, RegistryError) as error:
                log.error("%s: %s", shown(one.name), error)
                self._put_off(one, getattr(error, "strerror", None) or str(error))
            except Exception as error:  # one file must not keep the others waiting
                log.exception("%s: attending to it failed", shown(one.name))
                self._put_off(one, f"fallo interno ({type(error).__name__})")
        self._retry = {name: retry for name, retry in self._retry.items() if name in names}
        self._remember()
        self._tell_standings(seen)
        self.problems = self._found_wrong()
        self._remember()

    def _found_wrong(self) -> list[str]:
        problems = [f"{shown(name)}: {retry.why}" for name, retry in self._retry.items()]
        if self._unwritable is not None:
            problems.append(f"no se puede escribir en la carpeta de modelos ({self._unwritable})")
        if self._room <= 0:
            most = remembering.MOST_NAMES
            problems.append(f"hay {most} ficheros en la carpeta de modelos: no se admiten más")
        if inbox.is_foreign(self._memory):
            count = len(self._memory.names)
            problems.append(
                f"la carpeta de modelos no es la de antes: no está ninguno de sus {count} ficheros"
            )
        return problems

    # One file

    def _attend(self, seen: inbox.Seen) -> None:
        watch, known = self._watches[seen.name], self._memory.names.get(seen.name)
        if (known is not None and known.marks == seen.marks) or watch.told == "final":
            return
        if seen.name in self._retry and time.monotonic() < self._retry[seen.name].at:
            return
        if watch.told == "unfinished" and time.monotonic() - watch.first <= UNFINISHED_S:
            return  # it was read as it stands; only a change could complete it
        if seen.irregular is None and watch.told is None:
            self._tell(seen, "RECIBIDO", "Se espera a que termine la copia.")
            watch.told = "received"
        if seen.irregular is None and watch.looks < self.settings.stable_polls - 1:
            return
        if known is None and self._room <= 0:
            return  # judged and not remembered, it would be published again and again
        if time.monotonic() >= self._until:
            self._left.add(seen.name)
            return
        try:
            self._consider(seen, watch)
        except Refusal as refusal:  # of what is refused unread, or for its signature
            self._tell(seen, "RECHAZADO", refusal.text("es"))
            watch.told = "final"
            self._retry.pop(seen.name, None)

    def _consider(self, seen: inbox.Seen, watch: inbox.Watch) -> None:
        """A file that stood still: read it once a look, and judge only that copy."""
        dropped = read_dropped(seen, self.settings)
        sha256 = dropped.sha256
        read = files.sha256(sha256.encode(), dropped.signature or b"")
        if inbox.look_again(seen) != seen.marks or watch.sha256 not in (None, read):
            watch.looks, watch.sha256 = 0, None
            return  # it moved, though its marks may not tell: the next looks will
        unseen, watch.sha256 = watch.sha256 is None, read
        if watch.looks < self.settings.stable_polls or (unseen and self.settings.stable_polls > 1):
            return
        known = self._memory.names.get(seen.name)
        current = self.registry.current()
        fate = inbox.fate(
            sha256,
            self.registry.verdict(sha256),
            current.sha256 if current else None,
            known.sha256 if known else None,
            (self.contract.fingerprint, __version__),
        )
        if known is not None and self._lost_its_sidecar(seen, dropped, known):
            known.marks = seen.marks
            self._tell(
                seen, "ACEPTADO", f"La ficha ya no está: nada cambia ({known.sha256[:12]})."
            )
            return
        if fate in ("judge", "promote"):
            self._publishing.hand_in(sha256, Hand("carpeta", inbox.owner(seen.path)))
        # What was accepted once may come unsigned this time, or under a key retired since.
        anew = fate == "promote" and self.settings.signatures == "required"
        if (fate == "judge" or anew) and not self._judge(seen, watch, dropped):
            return
        self._room -= known is None
        self._memory.names[seen.name] = inbox.Known(
            sha256, files.sha256(dropped.data), seen.marks, known.text if known else ""
        )
        if fate in ("judge", "promote") and self._is_accepted(sha256):
            self._promote(seen, dropped, "fichero" if fate == "judge" else "vuelta")
        self._retry.pop(seen.name, None)
        self._tell_standing(seen)
        if fate != "keep" and self._is_accepted(sha256):
            self._remember()  # at once: it must never be published for having been forgotten

    @staticmethod
    def _lost_its_sidecar(
        seen: inbox.Seen, dropped: admission.Dropped, known: inbox.Known
    ) -> bool:
        """Whether the PKL is the same as ever and only its sidecar is gone: a deletion, which
        never changes what is served."""
        data = files.sha256(dropped.data)
        return seen.sidecar is None and data == known.data_sha256 != known.sha256

    def _judge(self, seen: inbox.Seen, watch: inbox.Watch, dropped: admission.Dropped) -> bool:
        """Admit a content; whether that settled it (an unfinished file is not settled). Raises
        ``Refusal`` for its signature: nothing is remembered then, for another may come."""
        if watch.told == "unfinished":
            text = "La copia parece sin terminar desde hace media hora; cópielo de nuevo."
            self._tell(seen, "RECHAZADO", text)
            watch.told = "final"
            return False
        if (why := self._unfinished.get(watch.sha256 or "")) is not None:
            self._tell_unfinished(seen, watch, why)
            return False
        self._tell(seen, "COMPROBANDO", "Se comprueba; tarda unos segundos.")
        who = inbox.owner(seen.path) or "carpeta"
        verdict, outcome = admission.admit(
            dropped, self.settings, self.contract, self.registry, who=who
        )
        if outcome.refusal is not None and outcome.refusal.code in admission.OF_SIGNATURE:
            raise outcome.refusal
        if verdict["code"] == "fichero_incompleto":
            self._unfinished[watch.sha256 or ""] = verdict["why"]
            self._tell_unfinished(seen, watch, verdict["why"])
            return False
        if verdict["accepted"]:
            self._leave(seen, inbox.REPORT_SUFFIX, outcome.report)
        return True

    def _tell_unfinished(self, seen: inbox.Seen, watch: inbox.Watch, why: str) -> None:
        self._tell(seen, "RECIBIDO", f"{why} (Se espera a que se complete.)")
        watch.told = "unfinished"

    def _promote(self, seen: inbox.Seen, dropped: admission.Dropped, cause: str) -> None:
        def about_to(number: int) -> None:
            self._memory.pending[seen.name] = (dropped.sha256, number)
            self._remember()

        self._publishing.promote(dropped, seen.name, cause, "carpeta", about_to)
        self._memory.pending.pop(seen.name, None)

    def _settle_pending(self) -> None:
        """After a sudden end: what was published before it is not published again; what was not
        is forgotten, and so judged and published anew."""
        for name, (sha256, number) in list(self._memory.pending.items()):
            done = any(
                release.number > number and release.sha256 == sha256
                for release in self.registry.history()
                if release.cause in BY_FOLDER
            )
            if not done:
                self._memory.names.pop(name, None)
            del self._memory.pending[name]

    def _is_accepted(self, sha256: str) -> bool:
        verdict = self.registry.verdict(sha256)
        return verdict is not None and bool(verdict["accepted"])

    # What the folder says

    def _tell_standings(self, seen: list[inbox.Seen]) -> None:
        """After a release, tell anew beside each file how it stands."""
        number = self.registry.current_number()
        if number != self._told_of:
            self._told_of = number
            for one in seen:
                known = self._memory.names.get(one.name)
                if known is not None and known.marks == one.marks:
                    self._tell_standing(one)

    def _tell_standing(self, seen: inbox.Seen) -> None:
        """Tell how a file stands, unless that is what was told last."""
        known = self._memory.names[seen.name]
        sha256, four_eyes = known.sha256, self.settings.four_eyes
        who = not four_eyes or self._publishing.is_known_who(sha256)
        word, text = standing.of(self.registry, seen, sha256, four_eyes, who)
        if known.text != text or self._watches[seen.name].told is not None:
            self._tell(seen, word, text)
            known.text, self._watches[seen.name].told = text, None

    def _tell(self, seen: inbox.Seen, word: str, text: str) -> None:
        """Leave the state beside the file; a folder that cannot be written is a problem told
        elsewhere, never a reason to stop."""
        self._say(f"{word} {shown(seen.name)}: {text}")
        at = time.strftime("%Y-%m-%d %H:%M:%S")
        content = f"{word}\r\n\r\n{text}\r\n\r\n{at} · Propensia {__version__}\r\n"
        self._leave(seen, inbox.STATE_SUFFIX, content)

    def _leave(self, seen: inbox.Seen, suffix: str, content: str) -> None:
        try:
            path = seen.path.with_name(seen.name + suffix)
            files.write(path, content.encode("utf-8", "replace"), durable=False)
            self._unwritable = None
        except OSError as error:
            log.warning("cannot write beside %s: %s", shown(seen.name), error.strerror)
            self._unwritable = error.strerror

    # What survives a restart

    def _remembered(self) -> inbox.Memory:
        try:
            memory = self._notebook.read()
            if memory is not None:
                return memory
            # Files that a person admitted before this first look lie there; they do not appear.
            return self._taken_as_seen(lambda sha: self.registry.last_of(sha[:12]) is not None)
        except ValueError as error:
            # Starting anew would promote whatever lies in the folder; take it as seen instead.
            log.error(
                "inbox.json is damaged (%s): the files that lie there are taken as seen", error
            )
            return self._taken_as_seen(lambda sha256: True)

    def _taken_as_seen(self, which: Callable[[str], bool]) -> inbox.Memory:
        """A memory of the files that lie there, of those contents that ``which`` picks."""
        memory = inbox.Memory()
        with contextlib.suppress(OSError):
            memory.folder = inbox.identity(self.settings.models)
            for seen in inbox.look(self.settings.models):
                with contextlib.suppress(OSError, Refusal):  # such a file is told at its turn
                    dropped = read_dropped(seen, self.settings)
                    if which(dropped.sha256):
                        data = files.sha256(dropped.data)
                        memory.names[seen.name] = inbox.Known(dropped.sha256, data, seen.marks)
        return memory

    def _remember(self) -> None:
        self._notebook.write(self._memory)

    def _put_off(self, seen: inbox.Seen, why: str) -> None:
        before = self._retry.get(seen.name)
        tries = before.tries if before else 0
        pause = BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)]
        self._retry[seen.name] = Retry(tries + 1, time.monotonic() + pause, why)
        text = f"Fallo de la máquina ({why}); se intenta otra vez dentro de {pause:.0f} s."
        self._tell(seen, "RECIBIDO", text)


def read_dropped(seen: inbox.Seen, settings: Settings) -> admission.Dropped:
    """The bytes of a file, of its sidecar and, where they count, of its signature, read once.

    Raises ``Refusal`` for what is refused unread (no regular file, or too large), and ``OSError``.
    """
    if seen.irregular is not None:
        raise Refusal("no_es_un_fichero", seen.irregular)
    data = _within(seen.path, settings.max_file_mb)
    beside = None
    if seen.sidecar is not None:
        beside = _within(seen.sidecar, SIDECAR_LIMIT_BYTES >> 20)
    signature = None if seen.signature is None else read_signature(seen.signature, settings)
    # A name may hold anything a file system takes; what is shown and answered may not.
    name = shown(unicodedata.normalize("NFC", seen.path.stem))
    return admission.Dropped(name, data, beside, signature)


def _within(path: Path, limit_mb: int) -> bytes:
    try:
        return files.read(path, limit_mb << 20, follow=False)
    except files.FileTooLarge as error:
        detail = f"{shown(path.name)}, más de {limit_mb} MB"
        raise Refusal(
            "demasiado_grande", detail, f"{shown(path.name)}, over {limit_mb} MB"
        ) from error
