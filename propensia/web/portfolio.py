"""``/cartera`` and ``/carteras``: a whole file handed in by a browser or a program, and scored.

Nothing of it is read or scored in this process: another one does, and leaves what is shown here.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from flask import Flask, Response, render_template, request, send_file

from propensia import files, jobs, processes, settings
from propensia.audit import Audit
from propensia.jobs import About, Full, Job, Jobs, TooMany
from propensia.locks import Busy
from propensia.registry import RegistryError
from propensia.settings import Settings
from propensia.web import login, portfolio_page, portfolio_sent
from propensia.web.asked import Refused, fault, hand, language
from propensia.web.prediccion import Scoring, wanted_form
from propensia.web.quotas import WHO
from propensia.web.refusals import CONTENT_SECURITY_POLICY

POLICY = CONTENT_SECURITY_POLICY + "; connect-src 'self'"
"""The page of a job asks this server for itself while the job is at work."""

MOST_REASONS = 10
is_count = re.compile("[0-9]{1,2}").fullmatch
TIMES_ON_DISK = 8
"""How many times its own size a portfolio takes at most, with its result and what is between."""
DIED = {"why": "died"}
"""How a job ended whose process left nothing that says so."""
SHEET, RESULT, REASONS = "hoja", "formato_resultado", "motivos"
DOWNLOADS = {"csv": "text/csv; charset=utf-8", "xlsx": portfolio_sent.XLSX}


def add_routes(app: Flask, scoring: Scoring, chosen: Settings) -> None:
    """Give ``app`` the page of portfolios and the routes of jobs."""
    desk = Desk(scoring, chosen)

    @app.get("/cartera")
    def cartera() -> Response:
        return _page("portfolio.html", desk.overview())

    @app.post("/carteras")
    def subir() -> Response | tuple[dict[str, Any], int]:
        job, about = desk.take_in()
        if _is_page():
            return _moved(f"./carteras/{job.id}")
        return desk.told(job, about), 201

    @app.get("/carteras/<cartera>")
    def ver(cartera: str) -> Response | dict[str, Any]:
        told = desk.told(*desk.found(cartera))
        return _page("portfolio_job.html", desk.job_page(told)) if _is_page() else told

    @app.post("/carteras/<cartera>/revisar")
    def revisar(cartera: str) -> Response | tuple[dict[str, Any], int]:
        job, about = desk.look_again(desk.found(cartera)[0])
        return _moved(f"../{job.id}") if _is_page() else (desk.told(job, about), 202)

    @app.post("/carteras/<cartera>/puntuar")
    def puntuar(cartera: str) -> Response | tuple[dict[str, Any], int]:
        job, about = desk.begin(desk.found(cartera)[0])
        return _moved(f"../{job.id}") if _is_page() else (desk.told(job, about), 202)

    @app.get("/carteras/<cartera>/resultado")
    def resultado(cartera: str) -> Response:
        job, about = desk.found(cartera)
        path, name = job.result(about), f"{_stem(about)}_puntuada.{about.result}"
        return desk.download(job, about, path, name, DOWNLOADS[about.result])

    @app.get("/carteras/<cartera>/errores")
    def errores(cartera: str) -> Response:
        job, about = desk.found(cartera)
        name = f"{_stem(about)}_errores.csv"
        path = job.beside(about, "errores.csv")
        return desk.download(job, about, path, name, DOWNLOADS["csv"])

    @app.post("/carteras/<cartera>/borrar")
    def quitar(cartera: str) -> Response | dict[str, Any]:
        desk.remove(desk.found(cartera)[0])
        return _moved("../../cartera") if _is_page() else {"id": cartera, "estado": "borrada"}


class Desk:
    """Where portfolios are handed in. Safe for threads; its methods raise ``Refused``."""

    def __init__(self, scoring: Scoring, chosen: Settings) -> None:
        self._scoring, self._chosen = scoring, chosen
        self._audit = Audit(chosen.state)
        self._jobs = Jobs(chosen.state, chosen.portfolio_hours, self._expired)
        self._running: list[processes.Process] = []

    def overview(self) -> dict[str, Any]:
        """The page that asks for a file."""
        mine = []
        for job, about in self._jobs.of(_owner()):
            with contextlib.suppress(OSError):  # removed at this moment
                mine.append((job.id, about, jobs.state(job, about)))
        limits = (self._chosen.max_portfolio_mb, self._chosen.portfolio_hours)
        return portfolio_page.overview(mine, limits, language())

    def found(self, id: str) -> tuple[Job, About]:
        """That job of whoever asks."""
        job = self._jobs.find(_owner(), id)
        if job is None:
            raise _unknown()
        with _there():
            return job, job.about()

    def take_in(self) -> tuple[Job, About]:
        """A new job for the file that was sent, and a process that looks at it."""
        if not self._chosen.max_portfolio_mb:
            raise Refused("sin_permiso", exact="carteras_apagadas")
        name, suffix, stream = portfolio_sent.sent()
        who, now = hand().shown, time.time()
        about = About(name, f"entrada{suffix}", who, now, started=now)

        def write(path: Path) -> None:
            portfolio_sent.write(path, stream, self._limit)
            self._audit.record("uploaded", who=who, job=path.parent.name)

        try:
            job = self._jobs.make(_owner(), about, write, self._limit * TIMES_ON_DISK)
        except TooMany:
            raise Refused("conflicto", exact="demasiadas_carteras") from None
        except (Full, Busy):
            raise Refused("ocupado", exact="sin_sitio_para_carteras") from None
        self._start(job)
        with _there():
            return job, job.about()

    def begin(self, job: Job) -> tuple[Job, About]:
        """Have it scored, or gone on with; what is done or at work stays as it is."""
        with _alone(job):
            return self._begun(job, job.about())

    def look_again(self, job: Job) -> tuple[Job, About]:
        """Have another sheet of its workbook looked at, before anything is scored."""
        with _alone(job):
            about = job.about()
            ended = jobs.read(job.ended)
            sheets = _sheets(ended, jobs.state(job, about))
            if not sheets:
                raise Refused("conflicto", exact="cartera_no_lista")
            sheet = request.form.get(SHEET, "")
            if sheet not in sheets:
                wrong = [fault(SHEET, "opcion_no_valida", ", ".join(map(files.shown, sheets)))]
                raise Refused("peticion_no_valida", wrong)
            about = replace(about, sheet=sheet, started=time.time(), starts=1)
            return self._again(job, about, job.preview)

    def _begun(self, job: Job, about: About) -> tuple[Job, About]:
        state = jobs.state(job, about)
        if state in ("puntuando", "en_cola", "hecha"):
            return job, about
        if state not in ("lista", "parada", "fallida"):
            raise Refused("conflicto", exact="cartera_no_lista")
        starts, anew = about.starts + 1, about.anew
        if state != "parada":
            wished, starts = self._wished(about), 1
            # A run that was refused would be again; one that the machine stopped goes on.
            ended = jobs.read(job.ended) if state == "fallida" else None
            refused = ended is not None and ended.get("code") == 1
            anew = state == "fallida" and (refused or wished != about)
            about = wished
        about = replace(about, started=time.time(), anew=anew, starts=starts)
        return self._again(job, about)

    def _again(self, job: Job, about: About, *stale: Path) -> tuple[Job, About]:
        for path in (job.working, job.ended, *stale):
            path.unlink(missing_ok=True)
        job.keep(about)
        self._start(job)
        return job, about

    def remove(self, job: Job) -> None:
        """Remove it at once, with its file and its result."""
        told = jobs.read(job.preview) or {}
        self._audit.record("deleted", who=hand().shown, job=job.id, rows=told.get("rows"))
        self._jobs.remove(job)

    def download(self, job: Job, about: About, path: Path, name: str, kind: str) -> Response:
        """A file that a run left, while there is one."""
        with _there():
            state = jobs.state(job, about)
        if state not in ("hecha", "fallida"):
            raise Refused("conflicto", exact="cartera_no_lista")
        if not path.exists():
            raise Refused("no_encontrado", exact="cartera_sin_fichero")
        what = "resultado" if path == job.result(about) else "errores"
        self._audit.record("downloaded", who=hand().shown, job=job.id, what=what)
        try:
            return send_file(path, kind, as_attachment=True, download_name=name, etag=False)
        except OSError:
            raise Refused("no_encontrado", exact="cartera_sin_fichero") from None

    def _expired(self, id: str) -> None:
        self._audit.record("expired", who="propensia", job=id)

    def told(self, job: Job, about: About) -> dict[str, Any]:
        """``GET /carteras/{cartera}``."""
        with _there():
            state = jobs.state(job, about)
        behind = jobs.progress(job, about) if state in ("puntuando", "parada") else None
        ended = jobs.read(job.ended) or DIED
        bad = state in ("rechazada", "fallida")
        preview = jobs.read(job.preview)
        done = state == "hecha"
        has_faults = state in ("hecha", "fallida") and job.beside(about, "errores.csv").exists()
        return {
            "id": job.id,
            "estado": state,
            "fichero": about.name,
            "bytes": job.size(about),
            "creada": _moment(about.created),
            "caduca": _moment(about.created + self._jobs.lasts_s),
            "version": about.version or None,
            "mensaje": portfolio_page.message(ended, language()) if bad else None,
            "hoja": about.sheet or None,
            "hojas": _sheets(ended, state),
            "vista": None if preview is None else portfolio_page.preview(preview, language()),
            "avance": None if behind is None else {"parte": behind[0], "filas": behind[1]},
            "resumen": jobs.read(job.beside(about, "resumen.json")) if done else None,
            "hay_errores": has_faults,
        }

    def job_page(self, told: dict[str, Any]) -> dict[str, Any]:
        """The page of one job."""
        return login.placed(portfolio_page.job(told, self._scoring.contract, language()))

    def _wished(self, about: About) -> About:
        """What the form asks for, and the version that is published at this moment."""
        try:
            release = self._scoring.serving.registry.current()
        except (OSError, RegistryError):
            release = None
        if release is None:
            raise Refused("sin_modelo")
        form = request.form
        result = form.get(RESULT, about.result)
        reasons = form.get(REASONS, str(about.reasons)) or "0"
        wrong = []
        if result not in jobs.RESULTS:
            wrong.append(fault(RESULT, "opcion_no_valida", ", ".join(jobs.RESULTS)))
        if not is_count(reasons) or int(reasons) > MOST_REASONS:
            wrong.append(fault(REASONS, "opcion_no_valida", f"0\N{EN DASH}{MOST_REASONS}"))
        if wrong:
            raise Refused("peticion_no_valida", wrong)
        return replace(
            about,
            step=jobs.SCORE,
            version=release.version,
            result=result,
            reasons=int(reasons),
        )

    def _start(self, job: Job) -> None:
        """A process for it, which ends with this one."""
        # Held here: when its handle goes, its process takes that for the end of this one.
        self._running = [child for child in self._running if child.poll() is None]
        environment = settings.as_environment(self._chosen)
        child = processes.start("propensia.portfolio", environment, str(job.folder))
        self._running.append(child)

    @property
    def _limit(self) -> int:
        return self._chosen.max_portfolio_mb << 20


def _owner() -> str:
    """Whose the jobs are: the key's, also by a session of it, the holder's of a token, or, where
    no key is asked for, the network's."""
    return str(request.environ[WHO])


def _sheets(ended: dict[str, Any] | None, state: str) -> list[str]:
    """Those that may be looked at, of a workbook that has several."""
    return ended.get("sheets", []) if ended and state in ("lista", "rechazada") else []


@contextlib.contextmanager
def _alone(job: Job) -> Iterator[None]:
    """Around a step that is begun: of two who ask at once, one begins."""
    try:
        with _there(), job.begin:
            yield
    except Busy:
        raise Refused("conflicto", exact="cartera_no_lista") from None


def _unknown() -> Refused:
    """There is none, it is damaged, or it is another's: nobody is told which."""
    return Refused("no_encontrado", exact="cartera_desconocida")


@contextlib.contextmanager
def _there() -> Iterator[None]:
    """Around what is asked of a job: one that is removed meanwhile is none."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
        raise _unknown() from None


def _stem(about: About) -> str:
    return PurePosixPath(about.name).stem or "cartera"


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _is_page() -> bool:
    """Whether a browser asks, as its header says."""
    return wanted_form(request.headers.get("Accept", ""), "json") == "html"


def _page(template: str, context: dict[str, Any]) -> Response:
    page = Response(render_template(template, **context))
    page.headers["Content-Security-Policy"] = POLICY
    return page


def _moved(where: str) -> Response:
    """Go there by GET; relative, since a proxy may have put us below a path."""
    return Response("", 303, {"Location": f"{where}?idioma={language()}"})
