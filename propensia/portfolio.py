"""The process of one uploaded portfolio: it has the file looked at for its preview, or scores it.

Its only argument is the folder of the job. It must never write a value of a row anywhere but in
that folder, and never outlive the process that started it.
"""

from __future__ import annotations

import errno
import logging
import mimetypes
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

from propensia import confinement, files, jobs, logs, looking, processes, score
from propensia.batch.engines.wish import EngineWish
from propensia.batch.notes import NoteError
from propensia.batch.opening import Wish
from propensia.batch.run import NothingScored
from propensia.contract import shipped
from propensia.delimited import TableError
from propensia.jobs import About, Job
from propensia.locks import Lock
from propensia.registry import RegistryError
from propensia.scorer import ScorerError, Unreliable
from propensia.settings import Settings
from propensia.terminal import Exit, Parts, compose

log = logging.getLogger(__name__)

PAUSE_S = 0.2
START_S = 5.0
"""Others who ask whether it lives hold its lock for a moment."""

MEMORY_MB = 4096
LOOK_CPU_S, LOOK_S = 300, 600
LOOK_FILE_MB = 16
"""Of a preview: what ``files.read_json`` reads."""

SCORE_CPU_S, SCORE_S = 3600, 2 * 3600
"""A run that is cut here goes on where it stopped; meanwhile others have their turn."""

SCORE_FILE_MB = 4096

COLUMNS = (
    (re.compile(r", o (?:diga cuál vale|dígalos) con --columns"), ""),
    (re.compile(r"dígalos? con --columns"), "cambie su nombre en el fichero"),
    (re.compile(r"Dígalo con --columns"), "Cambie su nombre en el fichero"),
)
"""How sentences of the command line are said to somebody who has none."""


class TooMuch(Exception):
    """The process that looked at a file ended before it was done."""


def main() -> None:
    """Do the step that the job is at, once nobody else of this machine is at one."""
    job = Job(Path(sys.argv[1]))
    logs.to_stderr(logging.WARNING, "portfolio %(levelname)s %(message)s")
    os.umask(0o077)  # all of it is of persons
    processes.give_way()  # people wait for answers; this can
    ended, late = threading.Event(), threading.Event()
    processes.when_parent_ends(ended)
    threading.Thread(target=_leave_when, args=(ended, late, job), daemon=True).start()
    alive = Lock(job.alive, START_S)
    if not alive.acquire():  # another process is at it
        return
    parts = compose()
    with alive:
        about = job.about()
        own_turn = jobs.turn(parts.settings.state)
        while not own_turn.acquire():
            time.sleep(PAUSE_S)
        with own_turn:
            job.working.touch()
            clock = threading.Timer(SCORE_S, late.set)
            clock.daemon = True
            clock.start()
            told = _done(parts, job, about)
            files.write_json(job.ended, {"step": about.step, **told}, private=True)


def _leave_when(ended: threading.Event, late: threading.Event, job: Job) -> None:
    while not ended.wait(PAUSE_S):
        if late.is_set() or job.gone.exists() or not job.folder.exists():
            break
    processes.kill_children()
    os._exit(1)  # what is noted of a run is durable: it goes on from there


def _done(parts: Parts, job: Job, about: About) -> dict[str, Any]:
    """How it ended, as ``Job.ended`` is."""
    sheets: list[str] = []
    code, why, text = Exit.DONE, "", ""
    try:
        if about.step == jobs.SCORE:
            _score(parts, job, about)
        else:
            found = _looked(parts.settings, job, about)
            sheets = found["sheets"]
            files.write_json(job.preview, _preview(found), private=True)
    except score.NotScored as error:
        code, (why, text) = error.code, _why(error.__cause__ or error, about)
    except Exception as error:
        code = Exit.ENVIRONMENT if isinstance(error, OSError | MemoryError) else Exit.REFUSED
        why, text = _why(error, about)
    return {"code": code, "why": why, "text": text, "sheets": sheets}


def _why(error: BaseException, about: About) -> tuple[str, str]:
    """The reason that the person at the page is told, in their language (``portfolio_texts``). Of
    a table that is refused also the text, in Spanish, without the words of the command line."""
    match error:
        case looking.TooLong():
            return "too_long", ""
        case TooMuch():
            return "too_much", ""
        case TableError():
            told = str(error).replace(about.file, about.name)
            for words, instead in COLUMNS:
                told = words.sub(instead, told)
            return "table", told
        case NothingScored():
            return "nothing_scored", ""
        case NoteError():
            return "changed", ""
        case RegistryError():
            return "model_gone", ""
        case ScorerError() | Unreliable():
            return "model_broken", ""
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return "disk_full", ""
        case OSError() | MemoryError():
            return "machine", ""
    # Its text may hold a value, and a job without an end says nothing.
    log.error("an uploaded portfolio failed: %s", type(error).__name__)
    return "ours", ""


def _looked(settings: Settings, job: Job, about: About) -> dict[str, Any]:
    """What a process that is shut in found in a file, as ``looking.main`` leaves it. Raises
    ``TooMuch`` for a file that it died of, and ``OSError``."""
    folder = job.folder / "look"
    files.remove_tree(folder)
    folder.mkdir(mode=0o700)
    try:
        entry = job.entry(about)
        own = [] if settings.contract in shipped() else [settings.contract]
        request = {
            "limits": {"memory_mb": MEMORY_MB, "cpu_s": LOOK_CPU_S, "file_mb": LOOK_FILE_MB},
            # openpyxl has Python read those as it is loaded, and stops where it may not.
            "readable": [str(entry), *own, *mimetypes.knownfiles],
            "file": str(entry),
            "contract": settings.contract,
            "sheet": about.sheet,
        }
        files.write_json(folder / looking.REQUEST, request, durable=False)
        finished = processes.run(
            "propensia.confinement",
            "propensia.looking",
            str(folder),
            timeout_s=LOOK_S,
            folder=folder,
        )
        if finished.code:
            log.warning("a look at an uploaded portfolio ended with %d", finished.code)
            raise TooMuch
        found: dict[str, Any] = files.read_json(folder / looking.RESULT)
        return found
    finally:
        files.remove_tree(folder)


def _preview(found: dict[str, Any]) -> dict[str, Any]:
    """Raises ``TableError`` where the file was refused."""
    if "too_long" in found:
        raise looking.TooLong
    if "refused" in found:
        raise TableError(found["refused"])
    preview: dict[str, Any] = found["preview"]
    return preview


def _score(parts: Parts, job: Job, about: About) -> None:
    confinement.limit(MEMORY_MB, SCORE_CPU_S, SCORE_FILE_MB)
    wish = Wish(
        str(job.entry(about)),
        str(job.result(about)),
        sheet=about.sheet or None,
        reasons=about.reasons or None,
    )
    # One worker: the other cores are for those who are answered now.
    engine = EngineWish(workers=1)
    request = score.Request(wish, about.version, engine, not about.anew, about.anew)
    score.score(parts, request, about.who)


if __name__ == "__main__":
    main()
    os._exit(0)  # Python would wait for the thread that reads what never comes
