"""``propensia score``: a whole portfolio from a file or a table to another.

It opens both ends and has them scored; the work is in ``batch``. It prints nothing.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from propensia import __version__, files, settings
from propensia.batch import formats, notes, opening, summary
from propensia.batch.beside import Beside
from propensia.batch.blocks import Sink
from propensia.batch.databases.alert_list import Changes
from propensia.batch.databases.since import LAST
from propensia.batch.databases.sink import DatabaseSink
from propensia.batch.engines import pool
from propensia.batch.engines.wish import EngineWish
from propensia.batch.errors import ClusterGone, ClusterRefused, WrongUse
from propensia.batch.notes import Note, NoteError, Terms
from propensia.batch.opening import Wish
from propensia.batch.progress import Now
from propensia.batch.run import Listener, NothingScored, run
from propensia.batch.worker import model
from propensia.batch.worker.model import Model
from propensia.batch.worker.scoring import Task, Wanted
from propensia.delimited import TableError
from propensia.locks import Busy
from propensia.queries import databases
from propensia.scorer import ScorerError, Unreliable
from propensia.spanish import number
from propensia.terminal import Exit, Parts


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of a portfolio. ``note``: what was found; ``beside``: where more of it lies;
    ``changes``: of the alert list, ``None`` where there is none."""

    note: Note
    model: Model
    beside: Beside
    changes: Changes | None = None


class NotScored(Exception):
    """There is no result; the text, in Spanish, says why and what to do. ``found``: what was found
    in the rows, where all of them were looked at."""

    def __init__(self, message: str, code: Exit, found: Scored | None = None) -> None:
        super().__init__(message)
        self.code, self.found = code, found


def _nothing(_: object) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Onlooker:
    """Who is told meanwhile: sentences in Spanish, and after each block how far it is."""

    tell: Callable[[str], None] = _nothing
    progress: Callable[[Now], None] = _nothing


NOBODY = Onlooker()


@dataclass(frozen=True, slots=True)
class Request:
    """What was typed, as ``propensia score --help`` explains it; ``None`` where nothing was."""

    wish: Wish
    version: str | None
    engine: EngineWish
    resume: bool
    force: bool


def score(parts: Parts, request: Request, who: str, onlooker: Onlooker = NOBODY) -> Scored:
    """Score a portfolio. ``who``: the person who wants it.

    Raises ``NotScored`` or ``RegistryError``.
    """
    stage = _Stage()
    with _told(stage):
        wish = _typed(request.wish)
        request.engine.refuse()
        beside = stage.beside = _beside(parts, wish)
        with beside.locked():
            begun = _begun(request, beside)
            taken = _taken(parts, request, begun)
            names = opening.renamed(wish, taken)
            since = _since_last(wish, taken, begun, onlooker)
            ends = opening.ends(wish, taken, names, since)
            wanted = Wanted(settings.score_bands(parts.settings), wish.reasons or 0)
            terms = Terms(
                program=__version__,
                contract=parts.contract.fingerprint,
                version=taken.release.version,
                release=taken.release.number,
                entry=ends.source.identity,
                options=opening.options(wish, names) | {"score_bands": wanted.bands},
            )
            note = _note(begun, terms, onlooker)
            note.since = since.isoformat() if since else None
            task = Task(taken, ends.reader, ends.sink.writer, wanted)
            pieces = request.engine.pieces(task)
            over = partial(_over, parts, taken, ends.source.name, beside, who)
            stage.goes_on = ends.source.goes_on
            if not stage.goes_on:
                onlooker.tell("Sin clave (--key): si se corta habrá que empezar de nuevo.")
            if begun is None and request.force:  # only now: a wrong order costs nothing old
                _abandon(ends.sink, beside)
            stage.found = Scored(note, taken, beside)
            listener = Listener(onlooker.progress, over)
            run(ends.source, ends.sink, beside, note, pieces, listener)
    changes = ends.sink.changes if isinstance(ends.sink, DatabaseSink) else None
    return replace(stage.found, changes=changes)


def _typed(wish: Wish) -> Wish:
    """What was typed, with the URLs that are in variables. Raises ``WrongUse``."""
    named = replace(wish, source=databases.typed(wish.source), target=databases.typed(wish.target))
    named.refuse()
    return named


def _beside(parts: Parts, wish: Wish) -> Beside:
    """What will lie beside the result, where that can be at all."""
    source, target = Path(wish.source), Path(wish.target)
    is_file = not formats.is_database(wish.source)
    if is_file and not source.exists():
        raise NotScored(f"no existe {files.shown(wish.source)}", Exit.WRONG_USE)
    for path in (source if is_file else None, wish.columns):
        if path is not None and path.exists() and not path.is_file():  # a folder, a pipe
            raise NotScored(f"{files.shown(str(path))} no es un fichero", Exit.REFUSED)
    if formats.is_database(wish.target):
        where = databases.identity(databases.url_of(wish.target))
        return Beside.of_table(parts.settings.state, f"{where} {wish.scores}")
    if not target.parent.is_dir():
        raise NotScored(f"no existe la carpeta {target.parent}", Exit.ENVIRONMENT)
    beside = Beside.of_file(target)
    for path in beside.overwritten():
        if is_file and path.exists() and path.samefile(source):
            raise NotScored(
                f"ENTRADA es el mismo fichero que {path.name}, que habría que escribir; use otro "
                "nombre en SALIDA",
                Exit.REFUSED,
            )
    if target.exists() and not target.is_file():
        raise NotScored(f"{target} no es un fichero", Exit.REFUSED)
    return beside


def _begun(request: Request, beside: Beside) -> Note | None:
    """The run to go on with, if there is one; with ``--force`` alone there is none. It removes
    nothing: what was asked for may yet turn out to be impossible."""
    name = "SALIDA" if beside.result is None else files.shown(str(beside.result))
    if request.force and not request.resume:
        return None
    begun = notes.read(beside.note)
    if begun is None and not request.force:
        if beside.has_result():
            raise NotScored(f"{name} ya existe; con --force se sobrescribe", Exit.REFUSED)
        if beside.part is not None and beside.part.exists():
            raise NotScored(
                f"{files.shown(beside.part.name)} ya existe y no se sabe de qué es; con --force "
                "se sobrescribe",
                Exit.REFUSED,
            )
    elif begun is not None and not request.resume:
        raise NotScored(
            f"{name} está a medias: hay {number(begun.tally.rows, 0)} filas hechas. Con --resume "
            "se sigue donde quedó; con --force se empieza de nuevo",
            Exit.REFUSED,
        )
    return begun


def _taken(parts: Parts, request: Request, begun: Note | None) -> Model:
    """The version of the whole run: the one it was begun with, whatever is published by now."""
    if begun is None:
        return model.take(parts.registry, parts.contract, request.version)
    if request.version is not None and not begun.about.version.startswith(request.version):
        raise NoteError(
            f"no se puede seguir con otra versión: se empezó con la {begun.about.version}"
            f"{notes.AGAIN}"
        )
    if begun.about.contract != parts.contract.fingerprint:
        notes.refuse_another(
            begun.about, replace(begun.about, contract=parts.contract.fingerprint)
        )
    return model.take(parts.registry, parts.contract, release=begun.about.release)


def _since_last(
    wish: Wish, taken: Model, begun: Note | None, onlooker: Onlooker
) -> datetime | None:
    """What «last» stands for. A run that goes on keeps to what it was as it began."""
    if wish.since != LAST:
        return None
    if begun is None:
        found = opening.last(wish, taken)
        if found is None:
            onlooker.tell(
                "--since last: no hay antes otra cartera entera de esta consulta, con clave y con "
                f"la publicación {taken.release.number}, así que se puntúan todas las filas."
            )
        return found
    return None if begun.since is None else datetime.fromisoformat(begun.since)


def _note(begun: Note | None, terms: Terms, onlooker: Onlooker) -> Note:
    """The note of this run, a new one or the one that was begun. Raises ``NoteError``."""
    if begun is None:
        began = datetime.now(UTC).isoformat(timespec="seconds")
        return Note(terms, began)
    notes.refuse_another(begun.about, terms)
    begun.starts += 1
    done = number(begun.tally.rows, 0)
    onlooker.tell(f"Sigue donde quedó: {done} filas hechas, versión {terms.version}.")
    return begun


def _abandon(sink: Sink, beside: Beside) -> None:
    """Remove what another run left half done. Raises ``OSError``."""
    with contextlib.suppress(NoteError):  # a damaged note does not tell where the rows are
        left = notes.read(beside.note)
        if left is not None:
            sink.abandon(left.sink)
    beside.discard()


def _over(parts: Parts, taken: Model, source: str, beside: Beside, who: str, note: Note) -> None:
    """Every row is scored: that is told before the result is seen."""
    parts.registry.audit.record(
        "scored",
        who=who,
        version=note.about.version,
        release=note.about.release,
        rows=note.tally.rows,
        scored=note.tally.scored,
        file=source,
    )
    if beside.summary is not None:
        files.write_json(beside.summary, summary.facts(note, taken, source))


@dataclass(slots=True)
class _Stage:
    """How far a command is: what is beside its result, whether a run can go on in the middle, and
    what was found so far."""

    beside: Beside | None = None
    goes_on: bool = True
    found: Scored | None = None

    def how(self) -> str:
        """How to go on, if anything is kept."""
        if not self.goes_on:
            return " Sin clave (--key) no se puede seguir a medias: empiece de nuevo."
        if self.beside is None or not self.beside.note.exists():
            return ""
        return " Lo hecho está guardado: la misma orden con --resume sigue donde quedó."


@contextlib.contextmanager
def _told(stage: _Stage) -> Iterator[None]:
    """Turn what stops a run into a sentence, with how to go on where that is possible."""
    try:
        yield
    except WrongUse as error:
        raise NotScored(str(error), Exit.WRONG_USE) from error
    except (TableError, NoteError) as error:
        raise NotScored(str(error), Exit.REFUSED) from error
    except NothingScored as error:
        older = stage.beside is not None and stage.beside.has_result()
        raise NotScored(
            "no se ha podido puntuar ninguna fila, así que no hay resultado"
            + ("; el anterior sigue ahí, con lo suyo" if older else ""),
            Exit.REFUSED,
            stage.found,
        ) from error
    except Busy as error:
        raise NotScored("otra ejecución está escribiendo esa SALIDA", Exit.REFUSED) from error
    except (ScorerError, Unreliable) as error:
        raise NotScored(
            "el modelo está dañado o da un resultado imposible; vuelva a admitir su fichero con "
            f"«propensia admit», o pruebe con otra versión (--model).{stage.how()}",
            Exit.REFUSED,
        ) from error
    except ClusterRefused as error:
        raise NotScored(f"{error}.{stage.how()}", Exit.REFUSED) from error
    except ClusterGone as error:
        raise NotScored(f"{error}.{stage.how()}", Exit.ENVIRONMENT) from error
    except KeyboardInterrupt as error:
        raise NotScored(f"Interrumpido.{stage.how()}", Exit.REFUSED) from error
    except (pool.WorkerDied, MemoryError) as error:
        raise NotScored(
            "un proceso que puntuaba ha terminado de repente: alguien lo ha parado, o no queda "
            f"memoria; pruebe con menos --workers.{stage.how()}",
            Exit.ENVIRONMENT,
        ) from error
    except OSError as error:
        why = f"{error.filename or 'sistema'}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = "no queda sitio en el disco"
        raise NotScored(f"{why}.{stage.how()}", Exit.ENVIRONMENT) from error
