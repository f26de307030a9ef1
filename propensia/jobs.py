"""The folder of uploaded portfolios: one per job, with its file, its preview and its result.

It must never use a name that a client gave as a path, and never show one owner what is another's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from propensia import files
from propensia.locks import Lock, is_free

FOLDER = "jobs"
TURN = "turn.lock"
"""In it: whose holder works; the others wait."""
MAKING = "making.lock"
"""In it: whose holder counts jobs, to make one more."""
PATIENCE_S = 5.0

MOST_ROWS = 100_000
MOST_JOBS = 5
"""Of one owner; each holds a file of the longest size and its result."""
MOST_OF_ALL = 50
MOST_STARTS = 2
"""Of one step, whose process died each time: a file that kills it is not tried for ever."""
SPARE_BYTES = 512 << 20
"""Of the disk of the state folder: the journal lies there, and nothing is answered without it."""

GRACE_S = 20.0
"""A process that was started takes so long at most to show that it lives."""

STOP_S = 5.0
"""How long a process that was told to end is waited for."""

LOOK, SCORE = "look", "score"
"""What is done to a job: read it for its preview, then score it."""

RESULTS = ("csv", "xlsx")
SUFFIXES = (".csv", ".txt", ".tsv", ".xlsx", ".xlsm", ".parquet", ".pq")
_NAME = "job.json"

is_id = re.compile("[0-9a-f]{32}").fullmatch
"""Whether a text may be the id of a job."""


class TooMany(Exception):
    """The owner has as many jobs as one may have."""


class Full(Exception):
    """There are as many jobs as are kept, or too little room on the disk for one more."""


def nobody(_: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class About:
    """What a job is about.

    ``name``: what the client called the file, fit to be shown. ``file``: what it is called here.
    ``created``, ``started``: seconds since 1970; ``started`` is when the last ``step`` was.
    ``version``: of the model, pinned when scoring is asked for; ``result``: one of ``RESULTS``.
    ``sheet``: of a workbook; the first one where it is empty.
    ``anew``: nothing of what is half done is any good. ``starts``: of processes for this step.
    """

    name: str
    file: str
    who: str
    created: float
    step: str = LOOK
    started: float = 0.0
    version: str = ""
    result: str = RESULTS[0]
    reasons: int = 0
    sheet: str = ""
    anew: bool = False
    starts: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """One job, by its folder. What is in there is for this account alone."""

    folder: Path

    @property
    def id(self) -> str:
        """What its owner calls it by."""
        return self.folder.name

    @property
    def alive(self) -> Path:
        """The lock that its process holds for as long as it lives."""
        return self.folder / "alive.lock"

    @property
    def begin(self) -> Lock:
        """The lock of whoever has its next step done."""
        return Lock(self.folder / "begin.lock", PATIENCE_S)

    @property
    def working(self) -> Path:
        """There once its process has its turn."""
        return self.folder / "working"

    @property
    def gone(self) -> Path:
        """There once it is to be removed: its process ends, and nobody finds it any more."""
        return self.folder / "gone"

    @property
    def preview(self) -> Path:
        """What its file looks like, as JSON."""
        return self.folder / "preview.json"

    @property
    def ended(self) -> Path:
        """How the last step ended, as JSON: ``step``, ``code`` (an exit code); ``why`` and its
        ``text`` where it is not 0; ``sheets``, of a look at a workbook that has several."""
        return self.folder / "ended.json"

    def about(self) -> About:
        """Raises ``OSError`` or ``ValueError`` where there is no such job."""
        if self.gone.exists():
            raise FileNotFoundError(self.gone.name)
        try:
            return About(**files.read_json(self.folder / _NAME))
        except TypeError as error:
            raise ValueError("another form") from error

    def keep(self, about: About) -> None:
        """Write down what it is about. Raises ``OSError``."""
        table = {name: getattr(about, name) for name in About.__slots__}
        files.write_json(self.folder / _NAME, table, private=True)

    def entry(self, about: About) -> Path:
        """The file that was sent."""
        return self.folder / about.file

    def result(self, about: About) -> Path:
        """Where its result is, once it is whole."""
        return self.folder / f"puntuada.{about.result}"

    def beside(self, about: About, ending: str) -> Path:
        """A file that ``propensia score`` leaves beside a result."""
        return self.result(about).with_name(f"{self.result(about).name}.{ending}")

    def size(self, about: About) -> int:
        """The bytes that were sent."""
        with contextlib.suppress(OSError):
            return self.entry(about).stat().st_size
        return 0


def read(path: Path) -> dict[str, Any] | None:
    """What a process left about a job; ``None`` while there is nothing whole."""
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = files.read_json(path)
        return found
    return None


def state(job: Job, about: About) -> str:
    """How far a job is: ``mirando``, ``lista`` (it may be scored), ``rechazada``, ``en_cola``,
    ``puntuando``, ``hecha``, ``fallida`` or ``parada`` (its process died: it can go on; one that
    died too often is ``rechazada`` or ``fallida``). Raises ``OSError`` once it is removed."""
    if about.step == SCORE and job.result(about).exists():
        return "hecha"
    ended = read(job.ended)
    if ended is not None and ended.get("step") == about.step:
        if about.step == LOOK:
            return "rechazada" if ended["code"] else "lista"
        return "fallida"
    young = 0 <= time.time() - about.started < GRACE_S
    if not young and is_free(job.alive):
        if about.starts < MOST_STARTS:
            return "parada"
        return "rechazada" if about.step == LOOK else "fallida"
    if about.step == LOOK:
        return "mirando"
    return "puntuando" if job.working.exists() else "en_cola"


class Jobs:
    """The jobs of one installation. Safe for threads and processes."""

    def __init__(
        self, state: Path, hours: float, expires: Callable[[str], object] = nobody
    ) -> None:
        """``hours``: how long a job is kept. ``expires`` is told the id of each that had its
        time, before it is removed; where it raises ``OSError``, the job stays."""
        self._folder, self._expires = state / FOLDER, expires
        self.lasts_s = hours * 3600

    def make(
        self, owner: str, about: About, write: Callable[[Path], None], needs_bytes: int = 0
    ) -> Job:
        """A new job, whose file ``write`` fills. ``needs_bytes``: what it may take of the disk.

        Raises ``TooMany``, ``Full``, ``Busy``, ``OSError``, or what ``write`` does; then nothing
        is left of it.
        """
        self.sweep()
        home = self._home(owner)
        for folder in (self._folder, home):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Lock(self._folder / MAKING, PATIENCE_S):
            if len(self.of(owner)) >= MOST_JOBS:
                raise TooMany
            free = shutil.disk_usage(self._folder).free - SPARE_BYTES
            if free < needs_bytes or sum(1 for _ in self._folder.glob("*/*")) >= MOST_OF_ALL:
                raise Full
            job = Job(home / secrets.token_hex(16))
            job.folder.mkdir(mode=0o700)
            job.keep(about)  # so that the next one counts it
        try:
            with Lock(job.alive, PATIENCE_S):  # however long it takes, it is at work
                arriving = job.entry(about).with_suffix(".arriving")
                write(arriving)
                arriving.replace(job.entry(about))  # half a file would be scored as a whole one
                job.keep(replace(about, started=time.time()))
        except BaseException:
            files.remove_tree(job.folder)
            raise
        return job

    def find(self, owner: str, id: str) -> Job | None:
        """That job of that owner: another's is looked for just where none is."""
        return Job(self._home(owner) / id) if is_id(id) else None

    def of(self, owner: str) -> list[tuple[Job, About]]:
        """The jobs of an owner, the newest first."""
        found = list(_whole(self._home(owner)))
        return sorted(found, key=lambda one: one[1].created, reverse=True)

    def remove(self, job: Job) -> None:
        """Remove a job, and end its process first. What an open file keeps (Windows) goes at the
        next ``sweep``, and nobody finds it meanwhile."""
        with contextlib.suppress(OSError):
            job.gone.touch()
        deadline = time.monotonic() + STOP_S
        while _is_held(job) and time.monotonic() < deadline:
            time.sleep(0.05)
        files.remove_tree(job.folder)

    def sweep(self) -> int:
        """Remove what has had its time, and what sudden ends left; how many jobs. It raises
        nothing."""
        removed = 0
        for folder in list(self._folder.glob("*/*")):
            with contextlib.suppress(OSError):
                job = Job(folder)
                old = time.time() - folder.stat().st_mtime > self.lasts_s
                with contextlib.suppress(OSError, ValueError):
                    old = time.time() - job.about().created > self.lasts_s
                if job.gone.exists() or old:
                    if not job.gone.exists():
                        self._expires(job.id)
                    self.remove(job)
                    removed += 1
        return removed

    def _home(self, owner: str) -> Path:
        """The folder of an owner, whose name may be any text."""
        return self._folder / hashlib.sha256(owner.encode("utf-8")).hexdigest()[:32]


def turn(state: Path) -> Lock:
    """The lock of the one process of this machine that works."""
    return Lock(state / FOLDER / TURN)


def progress(job: Job, about: About) -> tuple[float, int] | None:
    """The share in [0, 1] and the rows that are behind, as the run notes them; ``None`` before
    its first note."""
    try:
        note = json.loads(files.read(job.beside(about, "part.json"), 1 << 20))
        return float(note["done"]), int(note["tally"]["rows"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _whole(home: Path) -> Iterator[tuple[Job, About]]:
    for folder in home.glob("*"):
        with contextlib.suppress(OSError, ValueError):
            job = Job(folder)
            yield job, job.about()


def _is_held(job: Job) -> bool:
    try:
        return not is_free(job.alive)
    except OSError:
        return False
