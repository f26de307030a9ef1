"""``propensia score``: a whole portfolio from a file or a table to another.

It opens both ends, has them scored, and prints what came of it; the work is in ``batch``.
"""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from propensia import __version__, files, settings
from propensia.batch import formats, model, notes, opening, pool, summary
from propensia.batch.beside import Beside
from propensia.batch.database_sink import DatabaseSink
from propensia.batch.engines import ClusterGone, ClusterRefused, Engine
from propensia.batch.formats import Ends
from propensia.batch.model import Model
from propensia.batch.notes import About, Note, NoteError
from propensia.batch.opening import Wish, WrongUse
from propensia.batch.progress import Now
from propensia.batch.run import Listener, NothingScored, run
from propensia.batch.scoring import Task, Wanted
from propensia.delimited import TableError
from propensia.locks import Busy
from propensia.queries import databases
from propensia.scorer import ScorerError, Unreliable
from propensia.spanish import number
from propensia.terminal import Exit, Parts, table

# Lines of progress where there is no terminal to draw a bar in.
QUIET_S = 5.0


class NotScored(Exception):
    """There is no result; the text, in Spanish, says why and what to do."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """What was typed, as ``propensia score --help`` explains it; ``None`` where nothing was."""

    wish: Wish
    version: str | None
    engine: Engine
    resume: bool
    force: bool


def score(parts: Parts, request: Request, who: str) -> Exit:
    """Score a portfolio and print the summary. ``who``: the person at the keyboard.

    Raises ``NotScored`` or ``RegistryError``.
    """
    stage = _Stage()
    with _told(stage):
        wish = _typed(request.wish)
        request.engine.refuse()
        beside = stage.beside = _beside(parts, wish)
        with beside.locked(), stage.left():
            begun = _begun(request, beside)
            taken = _taken(parts, request, begun)
            names = opening.renamed(wish, taken)
            ends = opening.ends(wish, taken, names)
            stage.goes_on = opening.goes_on(ends.source)
            if not stage.goes_on:
                click.echo("Sin clave (--key): si se corta habrá que empezar de nuevo.", err=True)
            wanted = Wanted(settings.score_bands(parts.settings), wish.reasons or 0)
            about = About(
                program=__version__,
                contract=parts.contract.fingerprint,
                version=taken.release.version,
                release=taken.release.number,
                entry=ends.source.identity,
                options=opening.options(wish, names) | {"score_bands": wanted.bands},
            )
            note = _note(begun, about)
            task = Task(taken, ends.reader, ends.sink.writer, wanted)
            pieces = request.engine.pieces(task)
            over = partial(_over, parts, taken, ends.source.name, beside, who)
            try:
                with _Bar() as bar:
                    run(ends, beside, note, pieces, Listener(bar.progress, over))
            except NothingScored:
                _print(note, taken, beside)
                raise
    _print(note, taken, beside)
    _tell_more(wish, taken, ends)
    return Exit.DONE


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
    if formats.is_database(wish.target):
        return Beside.of_table(parts.settings.state, f"{wish.target} {wish.scores}")
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
    """The run to go on with, if there is one; with ``--force`` nothing is left of it."""
    name = "SALIDA" if beside.result is None else files.shown(str(beside.result))
    if request.force:
        beside.discard()
        return None
    begun = notes.read(beside.note)
    if begun is None:
        if beside.result is not None and beside.result.exists():
            raise NotScored(f"{name} ya existe; con --force se sobrescribe", Exit.REFUSED)
        if beside.part is not None and beside.part.exists():
            raise NotScored(
                f"{files.shown(beside.part.name)} ya existe y no se sabe de qué es; con --force "
                "se sobrescribe",
                Exit.REFUSED,
            )
    elif not request.resume:
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


def _note(begun: Note | None, about: About) -> Note:
    """The note of this run, a new one or the one that was begun. Raises ``NoteError``."""
    if begun is None:
        began = datetime.now(UTC).isoformat(timespec="seconds")
        return Note(about, began)
    notes.refuse_another(begun.about, about)
    begun.starts += 1
    done = number(begun.tally.rows, 0)
    click.echo(f"Sigue donde quedó: {done} filas hechas, versión {about.version}.", err=True)
    return begun


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
    """How far a command is: what is beside its result, and whether a run can go on in the
    middle."""

    beside: Beside | None = None
    goes_on: bool = True

    @contextlib.contextmanager
    def left(self) -> Iterator[None]:
        """Nothing is left of a run that cannot go on."""
        try:
            yield
        except BaseException:
            if not self.goes_on and self.beside is not None:
                with contextlib.suppress(OSError):
                    self.beside.discard()
            raise

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
        raise NotScored(
            "no se ha podido puntuar ninguna fila, así que no hay resultado", Exit.REFUSED
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


def _print(note: Note, taken: Model, beside: Beside) -> None:
    """The summary: faults first, for they ask to be mended."""
    contract = taken.contract
    if note.first:
        click.echo("Filas con errores, por su número en ENTRADA:", err=True)
        for line, items in note.first:
            click.echo(f"  {line}: {items}", err=True)
        more = note.tally.rows - note.tally.scored - len(note.first)
        if more > 0:
            click.echo(f"  … y {number(more, 0)} más", err=True)
    for title, counts in (("ERROR", note.tally.faults), ("AVISO", note.tally.notes)):
        if counts:
            rows: list[tuple[str, ...]] = [("FILAS", title, "QUÉ ES")]
            click.echo(f"\n{table(rows + summary.kinds(counts, contract))}")
    click.echo(f"\n{table(summary.overview(note, taken))}")
    if beside.faults is not None and note.faults:
        click.echo(f"\nTodas las filas con errores: {beside.faults}")


def _tell_more(wish: Wish, taken: Model, ends: Ends) -> None:
    """What came of the options."""
    if not taken.deciles and wish.deciles != opening.OWN:
        click.echo(
            "\nSin decil: la ficha de esta versión no dice los del entrenamiento. Con --deciles "
            "run se calculan los de la propia cartera."
        )
    if isinstance(ends.sink, DatabaseSink) and ends.sink.changes is not None:
        changes = ends.sink.changes
        click.echo(
            f"\nLista de avisos: entran {number(changes.entered, 0)}, salen "
            f"{number(changes.left, 0)}."
        )


class _Bar:
    """A bar with the time left in a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        # click does not export the type of its bar.
        self._bar: Any = None
        self._spoke = time.monotonic()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def progress(self, now: Now) -> None:
        """How far the run is."""
        if not sys.stderr.isatty():
            if time.monotonic() - self._spoke >= QUIET_S:
                self._spoke = time.monotonic()
                click.echo(now.line(), err=True)
            return
        if self._bar is None:
            self._bar = click.progressbar(
                length=1000,
                label="Puntuando",
                show_eta=False,  # its own counts what was done before the run went on
                item_show_func=lambda text: text or "",
                file=sys.stderr,
            )
        self._bar.update(int(1000 * now.done) - self._bar.pos, now.text())

    def end(self) -> None:
        """The line below it."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None
