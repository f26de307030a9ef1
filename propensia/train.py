"""``propensia train``: from a table to the three files of a candidate, told as it goes.

It writes under ``models/candidates`` only, which nobody polls; publishing is another command.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from propensia import contract as contracts
from propensia import delimited, files
from propensia.locks import Busy
from propensia.settings import Settings
from propensia.spanish import number, percent
from propensia.terminal import Parts, table
from propensia.training import card, running, search, sidecars, thresholds, tracking
from propensia.training.packing import packed
from propensia.training.results import KINDS, Figure, Trained
from propensia.training.running import Job, Listener
from propensia.training.search import Progress

CANDIDATES = "candidates"
# Lines of progress where there is no terminal to draw a bar in.
QUIET_S = 30.0
# What Windows takes as the name of a file, and the devices that it takes for one.
FILE_NAME = re.compile(r"""(?![ .])[^<>:"/\\|?*\x00-\x1f]{1,100}(?<![ .])""").fullmatch
DEVICE = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?").fullmatch
NO_TRACKING = ("no", "off")  # in any case


class WrongUse(Exception):
    """What was typed cannot be meant; the text says what it takes."""


class NotTrained(Exception):
    """There is no model; the text, in Spanish, says why and what to do."""


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


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a candidate, side by side."""

    model: Path
    sidecar: Path
    card: Path

    @classmethod
    def beside(cls, model: Path) -> Written:
        """The files that belong to a PKL of that path."""
        return cls(
            model, model.with_name(f"{model.stem}.json"), model.with_name(f"{model.stem}.html")
        )


def run(parts: Parts, request: Request) -> Written:
    """Train, write the candidate and say what came out.

    Raises ``WrongUse``, ``NotTrained``, ``ContractError`` and ``OSError``; nothing is written
    then but what an interrupted search needs to go on.
    """
    job = _job(parts, request)
    current = parts.registry.current() if request.publish else None
    if current is not None and current.pinned:
        raise NotTrained(
            f"--publish: está fijada la versión {current.version} (propensia pin); suéltela, o "
            "entrene sin --publish y publique con «propensia admit»"
        )
    if request.publish and parts.settings.signatures == "required":
        raise NotTrained(
            "--publish: este servidor exige firma; entrene sin --publish, firme el candidato "
            "(propensia sign) y copie PKL, ficha y firma a la carpeta de modelos"
        )
    written = place(parts.settings, job.name)
    in_the_way = _in_the_way(parts.settings, written, request.publish)
    if in_the_way is not None and not request.force:
        raise NotTrained(f"ya existe {in_the_way}: use otro nombre (--out) o --force")

    def deliver(trained: Trained) -> None:
        bar.say("Escribiendo la ficha y el informe…")
        write(trained, written)

    try:
        with _Bar() as bar:
            trained = running.train(job, Listener(bar.say, bar.progress), deliver)
    except thresholds.RuleError as error:
        raise WrongUse(str(error)) from error
    except (running.Refused, search.SearchError, delimited.TableError) as error:
        raise NotTrained(str(error)) from error
    except Busy as error:
        raise NotTrained("este mismo entrenamiento ya está en marcha") from error
    click.echo(summary(trained))
    _track(trained, written, request.tracking or str(parts.settings.state / "mlruns"))
    click.echo(f"\nModelo:  {written.model}\nFicha:   {written.sidecar}\nInforme: {written.card}")
    return written


def _in_the_way(settings: Settings, written: Written, publish: bool) -> Path | None:
    """A file that training would overwrite: a candidate, or what a person dropped."""
    ours = (written.model, written.sidecar, written.card)
    dropped = (_dropped(settings, written.model), _dropped(settings, written.sidecar))
    paths = (*ours, *dropped) if publish else ours
    return next((path for path in paths if path.exists()), None)


def _dropped(settings: Settings, path: Path) -> Path:
    """Where a file of a candidate lies once it is published."""
    return settings.models / path.name


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
    name = request.name or free_name(parts.settings, contract.name, today)
    name = name.removesuffix(".pkl")
    if not FILE_NAME(name) or DEVICE(name):
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


def free_name(settings: Settings, contract: str, today: date) -> str:
    """A name that tells the contract and the day, and that no candidate has yet."""
    wanted = f"{contract}_{today.isoformat()}"
    names = [wanted, *(f"{wanted}_{number}" for number in range(2, 1_000))]
    return next(n for n in names if _in_the_way(settings, place(settings, n), True) is None)


def place(settings: Settings, name: str) -> Written:
    """Where the files of a candidate of that name lie."""
    return Written.beside(settings.models / CANDIDATES / f"{name}.pkl")


def write(trained: Trained, written: Written) -> None:
    """The card and the sidecar before the model, each whole or not at all."""
    written.model.parent.mkdir(parents=True, exist_ok=True)
    files.write(written.card, card.render(trained).encode("utf-8"))
    files.write_json(written.sidecar, sidecars.sidecar(trained))
    files.write(written.model, packed(trained.model))


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


def publish(settings: Settings, written: Written) -> Path:
    """Copy a candidate into the models folder, the sidecar first; the path of the PKL there."""
    for source in (written.sidecar, written.model):
        files.write(_dropped(settings, source), files.read(source))
    return _dropped(settings, written.model)


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
