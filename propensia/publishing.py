"""Who may decide what answers, and the decision itself, for the folder, HTTP and the console.

It never lets one person alone publish what is new where four eyes are asked for, and writes
nothing but releases and who handed a file in.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from propensia import admission, files, standing
from propensia.access.tokens import PREFIX
from propensia.contract import Contract
from propensia.registry import Registry, RegistryError, Release, decision, now
from propensia.settings import Settings

log = logging.getLogger(__name__)

FOLDER = "handed"
UPLOAD_LOCK = "upload.lock"
"""Held, in the state folder, while a file that came by HTTP is judged: one at a time."""

# code -> Spanish, English.
TEXTS = {
    "version_desconocida": (
        "no hay ninguna versión con ese identificador; véalas en /modelos",
        "there is no version of that id; see /modelos",
    ),
    "version_rechazada": (
        "esa versión se rechazó al comprobarla y no se puede publicar",
        "that version was refused by the checks and cannot be published",
    ),
    "version_no_servible": (
        "esa versión es de otro contrato o está dañada; deje su fichero otra vez",
        "that version is of another contract or damaged; hand its file in again",
    ),
    "sin_publicacion": ("aún no hay modelo publicado", "no model is published yet"),
    "sin_anterior": (
        "no hay una versión anterior a la que volver",
        "there is no earlier version to go back to",
    ),
    "publicacion_distinta": (
        "se publicó otra cosa mientras tanto; mire /modelos y decida de nuevo",
        "something else was published meanwhile; look at /modelos and decide again",
    ),
    "misma_persona": (
        "la entregó usted; con cuatro ojos tiene que decidirlo otra persona",
        "you handed it in; with four eyes another person has to decide it",
    ),
    "entrega_desconocida": (
        "no consta quién la entregó; entregue el fichero otra vez por HTTP (POST /modelos) o con "
        "«propensia admit», y que decida otra persona",
        "it is not known who handed it in; hand the file in again by HTTP (POST /modelos) or "
        "with “propensia admit”, and let another person decide",
    ),
}


class PublishingError(RegistryError):
    """A decision that cannot be carried out; ``code`` is one of ``TEXTS``."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(text or TEXTS[code][0])
        self.code = code

    def sentence(self, language: str) -> str:
        """Why not, in ``es`` or ``en``."""
        return TEXTS[self.code][0 if language == "es" else 1]


@dataclass(frozen=True, slots=True)
class Hand:
    """A person, as far as the system tells: who hands a file in, or decides.

    ``way``: ``http``, ``consola`` or ``carpeta``. ``name``: of the key or token, of the user at
    the console, or of the owner of a dropped file; empty where nobody tells. ``key``: the id of
    the key. ``also``: another account of the same person, who called ``sudo``.
    """

    way: str
    name: str
    key: str = ""
    also: str = ""

    @property
    def shown(self) -> str:
        """The name as releases keep it: with ``sudo``, ``servicio (ana)``."""
        return f"{self.name} ({self.also})" if self.also else self.name

    def is_known(self) -> bool:
        """Whether anything tells who it is."""
        return bool(self.name or self.key)

    def is_same(self, other: Hand) -> bool:
        """Whether both are one person: the same key, or a name of both, whatever its case."""
        if self.key and self.key == other.key:
            return True
        return bool(_names(self) & _names(other))


def _names(hand: Hand) -> set[str]:
    return {_plain(name) for name in (hand.name, hand.also) if name}


def _plain(name: str) -> str:
    # Who holds a token may have a key, or an account of the machine, of the same name.
    return unicodedata.normalize("NFKC", name).removeprefix(PREFIX).strip().casefold()


def _record(path: Path) -> Hand | None:
    """Who a record names; ``None`` where it is damaged. Raises ``OSError``."""
    try:
        row = files.read_json(path)
        also = str(row.get("also", ""))  # of a program that did not know it yet
        return Hand(str(row["way"]), str(row["name"]), str(row["key"]), also)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody decides, and why. ``threshold`` in [0, 1], or ``None`` for the version's;
    ``only_after``: the number of the release that they saw, if the decision is about that one."""

    hand: Hand
    why: str
    cause: str
    threshold: float | None = None
    only_after: int | None = None


class Publishing:
    """The decisions about one installation. Safe for threads and processes."""

    def __init__(self, settings: Settings, contract: Contract, registry: Registry) -> None:
        self.settings = settings
        self.contract = contract
        self.registry = registry
        self._handed = registry.state / FOLDER

    # Who handed what in

    def hand_in(self, sha256: str, hand: Hand) -> None:
        """Remember, before a content is judged, who handed it in: a file that is only added, so
        that nothing that is judged or handed in later takes it away.

        Raises ``OSError`` where four eyes are asked for. Elsewhere nothing rests on it, and a disk
        that does not take it stops no model: it is logged.
        """
        who = files.sha256(hand.way.encode(), hand.shown.encode("utf-8", "replace"))[:16]
        path = self._handed / f"{sha256}.{who}.json"
        try:
            if not path.exists() or _record(path) is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                files.write_json(path, asdict(hand) | {"at": now()})
        except OSError as error:
            if self.settings.four_eyes:
                raise
            log.warning("who handed %s in is not kept: %s", sha256[:12], error.strerror)

    def hands(self, sha256: str) -> list[Hand]:
        """Who handed a content in, in no order; a record that is damaged names nobody. Raises
        ``OSError``."""
        found = (_record(path) for path in self._handed.glob(f"{sha256}.*.json"))
        return [hand for hand in found if hand is not None]

    def is_known_who(self, sha256: str) -> bool:
        """Whether anybody is known who handed a content in. Raises ``OSError``."""
        return any(hand.is_known() for hand in self.hands(sha256))

    # Files

    def admit(
        self, dropped: admission.Dropped, hand: Hand, *, force: bool = False
    ) -> tuple[bool, admission.Outcome | None]:
        """Judge a file unless it was accepted before; publish nothing.

        Whether it is accepted, and what was found; ``None`` where it was not judged again. Where
        signatures are asked for, each time, under the keys of today. Raises ``OSError``.
        """
        self.hand_in(dropped.sha256, hand)
        must_be_signed = self.settings.signatures == "required"
        if not must_be_signed and admission.is_admitted(dropped, self.contract, self.registry):
            return True, None
        verdict, outcome = admission.admit(
            dropped,
            self.settings,
            self.contract,
            self.registry,
            force=force,
            who=hand.shown or hand.way,
        )
        return bool(verdict["accepted"]), outcome

    def promote(
        self,
        dropped: admission.Dropped,
        name: str,
        cause: str,
        who: str,
        about_to: Callable[[int], None] = lambda number: None,
    ) -> Release | None:
        """Publish an accepted file by itself; ``None`` where it is active already or must wait.

        ``name`` is the file's, with the month in it. ``about_to`` is called right before, with
        the number of the release that the decision was made on. Raises ``RegistryError`` where
        somebody published meanwhile, and ``OSError``.
        """
        # Looked up now: the admission took long enough for a person to pin or roll back.
        current = self.registry.current()
        if current is not None and current.version == dropped.version:
            return None
        if self.reason_to_wait(name, dropped.sha256) is not None:
            return None
        number = current.number if current else 0
        about_to(number)
        release = self.registry.publish(
            dropped.version, cause=cause, who=who, why=files.shown(name), only_after=number
        )
        removed = self.registry.prune(self.settings.keep_versions)
        if removed:
            log.info("pruned %s", ", ".join(removed))
        return release

    def reason_to_wait(self, name: str, sha256: str) -> str | None:
        """Why an accepted file is not published by itself; ``None`` if it is."""
        return standing.reason_to_wait(self.registry, name, sha256, self.settings.four_eyes)

    # Decisions of a person

    def active(self) -> Release:
        """The release that answers. Raises ``PublishingError`` before the first."""
        current = self.registry.current()
        if current is None:
            raise PublishingError("sin_publicacion")
        return current

    def activate(self, version: str, order: Order) -> tuple[Release, bool]:
        """Publish a version, whatever is pinned (then the new one is); the release that is current
        then, and whether it is new: what is active already is not published again.

        Raises ``PublishingError``, another ``RegistryError`` where somebody publishes at the same
        moment, and ``OSError``.
        """
        current = self.registry.current()
        manifest = self._servable(version)
        if current is not None and current.version == version:
            own = decision(manifest, current, self.contract.threshold).threshold
            if order.threshold in (None, own):
                return current, False
        self.must_be_another(version, order.threshold, order.hand)
        number = current.number if current else 0
        if order.only_after not in (None, number):
            raise PublishingError("publicacion_distinta")
        release = self.registry.publish(
            version,
            cause=order.cause,
            who=order.hand.shown,
            why=order.why,
            threshold=order.threshold,
            pinned=current is not None and current.pinned,
            only_after=number,
        )
        return release, True

    def go_back(self, version: str | None, order: Order) -> tuple[Release, bool]:
        """As ``activate``, for the version that answered before, or a named one; it comes with the
        threshold that it had. Only what can be served here: whole, and of this contract."""
        if version is not None:
            return self.activate(version, order)
        current = self.active()
        version = next(self._earlier(current), None)
        if version is None:
            raise PublishingError("sin_anterior")
        # What came before was decided on this release: on another one it is another version.
        only_after = current.number if order.only_after is None else order.only_after
        return self.activate(version, replace(order, only_after=only_after))

    def pin(self, off: bool, order: Order) -> tuple[Release, bool]:
        """Publish the active version again, pinned (no file replaces it by itself) or released;
        the release that is current then, and whether it is new. One person may: what answers is
        the same. Raises as ``activate``."""
        current = self.active()
        if current.pinned is not off:
            return current, False
        release = self.registry.publish(
            current.version,
            cause=order.cause,
            who=order.hand.shown,
            why=order.why,
            threshold=current.threshold,
            pinned=not off,
            only_after=current.number,
        )
        return release, True

    def is_for_another(self, sha256: str) -> bool:
        """Whether four eyes are asked for and this content was never served."""
        return self.settings.four_eyes and not standing.was_served(self.registry, sha256)

    def must_be_another(self, version: str, threshold: float | None, hand: Hand) -> None:
        """Raise ``PublishingError`` where four eyes are asked for and this person may not decide.

        One person may go back to what was served before: that version, with a threshold that it
        was served with. Anything else somebody decides who did not hand the version in; of what
        nobody is known to have handed in, nothing shows that it was not this very person.
        """
        if not self.settings.four_eyes:
            return
        manifest = self.registry.manifest(version)
        otherwise = self.contract.threshold
        served = {
            decision(manifest, release, otherwise).threshold
            for release in self.registry.history()
            if release.sha256 == manifest["sha256"]
        }
        if served and (threshold is None or threshold in served):
            return
        if not self.is_known_who(manifest["sha256"]):
            raise PublishingError("entrega_desconocida")
        if any(hand.is_same(one) for one in self.hands(manifest["sha256"])):
            raise PublishingError("misma_persona")

    def _servable(self, version: str) -> dict[str, Any]:
        """The manifest of a version that can be served here. Raises ``PublishingError``."""
        if version not in self.registry.versions():
            refused = any(
                verdict.get("version") == version and not verdict["accepted"]
                for verdict in self.registry.verdicts()
            )
            raise PublishingError("version_rechazada" if refused else "version_desconocida")
        if (unfit := self.registry.fits(version, self.contract)) is not None:
            raise PublishingError("version_no_servible", unfit)
        return self.registry.manifest(version)

    def _earlier(self, current: Release) -> Iterator[str]:
        """The other versions that were served and can be, the last one first."""
        versions = {r.version: None for r in self.registry.history()}
        for version in versions:
            if version != current.version and self.registry.fits(version, self.contract) is None:
                yield version
