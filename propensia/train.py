"""``propensia train``: from a table to the three files of a candidate, told as it goes.

It writes a candidate only; what is published, and when, others decide.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

import click

from propensia import contract as contracts
from propensia import delimited, delivery, files
from propensia.delivery import Written
from propensia.locks import Busy, Lock
from propensia.settings import Settings
from propensia.spanish import number, percent
from propensia.terminal import Parts, table
from propensia.training import running, search, thresholds, tracking
from propensia.training.progress import Progress
from propensia.training.results import KINDS, Figure, Trained
from propensia.training.running import Job, Listener

NAMES = "training_names"
"""In the state folder: a lock for each name that a training is about to use."""
# Lines of progress where there is no terminal to draw a bar in.
QUIET_S = 30.0
# What Windows takes as the name of a file, and the devices that it takes for one.
FILE_NAME = re.compile(r"""(?![ .])[^<>:"/\\|?*\x00-\x1f]{1,100}(?<![ .])""").fullmatch
DEVICE = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?").fullmatch
NO_TRACKING = ("no", "off")  # in any case
UNFINISHED = (
    "Interrumpido, sin escribir ningún modelo. La misma orden sigue desde la última prueba "
    "terminada, si la hay."
)


class WrongUse(Exception):
    """What was typed cannot be meant; the text says what it takes."""


class NotTrained(Exception):
    """There is no model; the text, in Spanish, says why and what to do."""


class Interrupted(Exception):
    """The person stopped it; the text, in Spanish, says what there is by now."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was typed, as ``propensia train --help`` explains it; ``None`` where nothing was."""

    data: str
    query: str | None
    contract: str | None
    minutes: float
    name: str | None
    publish: bool
    rule: str
    recovery: float
    families: str | None
    balance: str
    date: str | None
    key: str | None
    renamed: Mapping[str, str]
    allow: tuple[str, ...]
    seed: int
    tracking: str | None
    force: bool


def run(parts: Parts, request: Request) -> Written:
    """Train, write the candidate and say what came out.

    Raises ``WrongUse``, ``NotTrained``, ``ContractError`` and ``OSError``; nothing is written
    then but what an interrupted search needs to go on. Raises ``Interrupted``, too.
    """
    with _under_own_name(parts.settings, _job(parts, request)) as job:
        return _run(parts, request, job)


def _run(parts: Parts, request: Request, job: Job) -> Written:
    written = delivery.place(parts.settings, job.name)
    if request.publish:
        _may_publish(parts, written, request.force)
    _refuse(delivery.candidate_in_the_way(written), request.force)
    is_written = False

    def deliver(trained: Trained) -> None:
        nonlocal is_written
        # Looked at again, for a search may take hours; what it tried is kept.
        _refuse(delivery.candidate_in_the_way(written), request.force)
        bar.say("Escribiendo la ficha y el informe…")
        delivery.write(trained, written)
        is_written = True

    try:
        with _Bar() as bar:
            trained = running.train(job, Listener(bar.say, bar.progress), deliver)
        click.echo(summary(trained))
        _track(trained, written, request.tracking or str(parts.settings.state / "mlruns"))
    except thresholds.RuleError as error:
        raise WrongUse(str(error)) from error
    except (running.Refused, search.SearchError, delimited.TableError) as error:
        raise NotTrained(str(error)) from error
    except Busy as error:
        raise NotTrained("este mismo entrenamiento ya está en marcha") from error
    except KeyboardInterrupt as error:
        raise Interrupted(_left(written, request) if is_written else UNFINISHED) from error
    click.echo(f"\nModelo:  {written.model}\nFicha:   {written.sidecar}\nInforme: {written.card}")
    return written


def _may_publish(parts: Parts, written: Written, force: bool) -> None:
    """Raises ``NotTrained`` where publishing would be refused anyway: before the work."""
    if (pinned := delivery.pinned(parts.registry)) is not None:
        raise NotTrained(
            f"--publish: {pinned}; suéltela, o entrene sin --publish y publique con «propensia "
            "admit»"
        )
    if parts.settings.signatures == "required":
        raise NotTrained(
            "--publish: este servidor exige firma; entrene sin --publish, firme el candidato "
            "(propensia sign) y copie PKL, ficha y firma a la carpeta de modelos"
        )
    _refuse(delivery.dropped_in_the_way(parts.settings, written), force)


def _refuse(in_the_way: Path | None, force: bool) -> None:
    if in_the_way is not None and not force:
        raise NotTrained(f"ya existe {in_the_way}: use otro nombre (--out) o --force")


def _left(written: Written, request: Request) -> str:
    """What an interruption after the work has left undone."""
    text = f"Interrumpido, con el modelo ya escrito en {written.model}; falta su registro"
    if request.publish:
        text += f", y publicarlo: «propensia admit {written.model}»"
    return f"{text}."


def _job(parts: Parts, request: Request) -> Job:
    contract = parts.contract
    if request.contract is not None:
        contract = contracts.load(request.contract)
    if request.publish and contract.fingerprint != parts.contract.fingerprint:
        raise WrongUse(
            f"--publish: este servidor tiene el contrato {parts.contract.name} y el modelo sería "
            f"de {contract.name}; entrene sin --publish, o cambie el ajuste 'contract'"
        )
    today = datetime.now().astimezone().date()
    families = KINDS
    if request.families is not None:
        families = tuple(name.strip() for name in request.families.split(","))
        unknown = [name for name in families if name not in KINDS]
        if unknown:
            known = ", ".join(KINDS)
            raise WrongUse(f"--families: no hay {', '.join(unknown)}; hay {known}")
    name = (request.name or "").removesuffix(".pkl")
    if request.name is not None and (not FILE_NAME(name) or DEVICE(name)):
        raise WrongUse(
            f"--out: {files.shown(name)!r} debe ser un nombre de fichero de hasta 100 letras, sin "
            "carpetas ni signos que Windows no admite"
        )
    return Job(
        source=request.data,
        contract=contract,
        name=name,
        state=parts.settings.state,
        today=today,
        query=request.query,
        renamed=request.renamed,
        allow=frozenset(request.allow),
        date=request.date,
        key=request.key,
        minutes=request.minutes,
        seed=request.seed,
        families=families,
        balance=request.balance,
        rule=request.rule,
        recovery=request.recovery,
    )


@contextmanager
def _under_own_name(settings: Settings, job: Job) -> Iterator[Job]:
    """The job with a name that no other training has while this one lasts. Raises
    ``NotTrained``."""
    folder = settings.state / NAMES
    folder.mkdir(parents=True, exist_ok=True)
    for name in (job.name,) if job.name else _free_names(settings, job):
        lock = Lock(folder / f"{name}.lock")
        if lock.acquire():
            with lock:
                yield replace(job, name=name)
            return
    raise NotTrained(
        f"ya está en marcha un entrenamiento que hará {job.name}: espere, o use otro nombre "
        "(--out)"
    )


def _free_names(settings: Settings, job: Job) -> Iterator[str]:
    """Names that tell the contract and the day, and that no candidate has yet."""
    wanted = f"{job.contract.name}_{job.today.isoformat()}"
    for name in chain([wanted], (f"{wanted}_{further}" for further in count(2))):
        written = delivery.place(settings, name)
        ours = delivery.candidate_in_the_way(written)
        if ours is None and delivery.dropped_in_the_way(settings, written) is None:
            yield name


def _track(trained: Trained, written: Written, uri: str) -> None:
    if uri.casefold() in NO_TRACKING:
        return
    if not tracking.available():
        click.echo("Sin MLflow instalado: esta ejecución no queda en su registro.", err=True)
        return
    try:
        where = tracking.log(
            trained,
            [written.model, written.sidecar, written.card],
            uri=uri,
            experiment=trained.contract.name,
        )
    except tracking.TrackingError as error:
        click.echo(f"Aviso: {error}", err=True)  # the model is safe; only its record is not
    else:
        click.echo(f"MLflow:  {where}")


SHOWN = {
    "auc": "AUC",
    "precision_media": "precisión media",
    "brier": "Brier",
    "ece": "error de calibración",
    "ece_sin_sesgo": "… sin azar",
    "sensibilidad": "sensibilidad",
    "precision": "precisión",
    "lift_10": "elevación del 10 %",
    "euros_por_fila": "euros por fila",
}


def summary(trained: Trained) -> str:
    """What the analyst reads at the end: how it was judged, figures, threshold, members."""
    judged = trained.evaluation
    rows: list[tuple[str, ...]] = [("MEDIDA", "VALOR", "INTERVALO 95 %")]
    shown = {key: label for key, label in SHOWN.items() if key in judged.figures}
    rows += [(label, *_shown(judged.figures[key])) for key, label in shown.items()]
    members = ", ".join(
        f"{one.family} ({percent(one.weight)})" for one in trained.candidates if one.weight > 0
    )
    how = (
        f"{len(judged.places)} filas desde el {judged.since}, que no se usaron para elegir"
        if judged.protocol == "time"
        else f"{judged.folds} partes, cada una juzgada por modelos que no la habían visto"
    )
    threshold = trained.threshold
    return (
        f"\nEvaluado en {how}.\nIntervalos: para otra tabla de {judged.next_rows} filas.\n\n"
        f"{table(rows)}\n\nUmbral {number(threshold.value, 4)}: {threshold.rule['es']}.\n"
        f"Modelo: {members}."
    )


def _shown(figure: Figure) -> tuple[str, str]:
    return number(figure.value, 4), f"{number(figure.low, 4)} a {number(figure.high, 4)}"


class _Bar:
    """A bar with the time left in a terminal, a line now and then elsewhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # click does not export the type of its bar.
        self._bar: Any = None
        self._spoke = -QUIET_S

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def say(self, text: str) -> None:
        """A sentence of its own line."""
        self._end()
        click.echo(text)

    def progress(self, now: Progress) -> None:
        """How far the search is."""
        best = f"pruebas: {now.trials}, mejor AUC {number(now.auc, 4)}"
        if not sys.stdout.isatty():
            if self._clock() - self._spoke >= QUIET_S:
                self._spoke = self._clock()
                left = max(0.0, now.allowed_s - now.spent_s)
                click.echo(f"Buscando: {best}; quedan {left:.0f} s")
            return
        if self._bar is None:
            self._bar = click.progressbar(
                length=max(1, int(now.allowed_s)),
                label="Buscando",
                item_show_func=lambda text: text or "",
            )
        done = min(int(now.spent_s), self._bar.length or 0)
        self._bar.update(done - self._bar.pos, best)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.finish()
            self._bar.render_finish()
            self._bar = None
