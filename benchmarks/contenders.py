"""How each measured service is started, and all that this folder knows of Propensia.

It must never measure.
"""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import rows
from benchmarks.services import ROOT, Service, ServiceError, clean_environment
from propensia.heartbeat import look_all
from propensia.registry import Registry

PATHS = rows.paths(2000)
"""The requests of every figure: 2,000 different rows."""


class Bench:
    """One run: where its files are, how long it measures, and the services that it compares.

    `cache` keeps models from run to run; `scratch` is emptied first.
    """

    def __init__(self, cache: Path, scratch: Path, seconds: float, rounds: int) -> None:
        made_with = "-".join(
            importlib.metadata.version(name) for name in ("scikit-learn", "keras")
        )
        self._cache = cache / made_with
        self._scratch = scratch
        self.seconds = seconds
        self.rounds = rounds
        self.busiest = 0.0
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)

    def model(self, name: str) -> Path:
        """The PKL of that model, made now if no earlier run made it."""
        file = self._cache / f"{name}.pkl"
        if not file.exists():
            # In a process of its own: TensorFlow's threads and memory must not stay in this one.
            make = [sys.executable, "-m", "benchmarks.models", name, str(file)]
            subprocess.run(make, cwd=ROOT, check=True)
        return file

    def scratch(self, name: str) -> Path:
        """A place for a file of this run."""
        return self._scratch / name

    def home(self, *models: str, name: str = "") -> Path:
        """A folder with Propensia's `models` and `state`; these models are admitted in that order.

        The last one is served.
        """
        home = self._scratch / (name or "-".join(models))
        if home.exists():
            return home
        (home / "models").mkdir(parents=True)
        try:
            for model in models:
                _admit(Path(shutil.copy(self.model(model), home / "models")), home)
        except ServiceError:
            shutil.rmtree(home)  # or the next figure would take it for finished
            raise
        return home

    def propensia(self, home: Path, workers: int = 1) -> Service:
        """Propensia as it is shipped: default server, default settings, these folders."""
        environment = _settings(home) | {
            "PROPENSIA_PORT": "{port}",
            "PROPENSIA_WORKERS": str(workers),
        }
        command = [sys.executable, "-m", "propensia", "serve"]
        return Service("Propensia", command, "/health/ready", environment, folder=home)

    def bare_flask(self) -> Service:
        """The bare Flask route under Propensia's default server, with one worker."""
        command = [sys.executable, "-m", "benchmarks.baselines.same_server", "{port}"]
        return Service("bare Flask, granian", command, PATHS[0])

    def bare_flask_on_gunicorn(self) -> Service:
        """The bare Flask route on gunicorn threads, with one worker."""
        arguments = ("--worker-class", "gthread", "--threads", "4")
        return _gunicorn("bare Flask, gunicorn threads", "bare_flask", arguments)

    def fastapi(self, model: str, workers: int = 1) -> Service:
        """FastAPI + joblib + one-row DataFrame under uvicorn, its access log off."""
        command = [
            *(sys.executable, "-m", "uvicorn", "--factory", "--log-level", "warning"),
            *("--no-access-log", "--port", "{port}", "--workers", str(workers)),
            "benchmarks.baselines.fastapi_joblib:create_app",
        ]
        environment = {"BENCHMARK_MODEL": str(self.model(model))}
        return Service("FastAPI + joblib", command, PATHS[0], environment)

    def seed_recipe(self, model: str) -> Service:
        """The seed project's recipe under gunicorn with gunicorn's defaults, one worker."""
        environment = {"BENCHMARK_MODEL": str(self.model(model))}
        return _gunicorn("seed recipe, gunicorn", "seed_recipe", (), environment)


def _gunicorn(
    name: str, app: str, arguments: tuple[str, ...], environment: dict[str, str] | None = None
) -> Service:
    command = [
        *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "1"),
        *(*arguments, f"benchmarks.baselines.{app}:create_app()"),
    ]
    return Service(name, command, PATHS[0], environment or {})


def constant() -> Service:
    """The cheapest server, for the ceiling of the client."""
    command = [sys.executable, "-m", "benchmarks.baselines.constant", "{port}"]
    return Service("constant answer", command, "/")


def _admit(file: Path, home: Path) -> None:
    admission = subprocess.run(
        [sys.executable, "-m", "propensia", "admit", str(file)],
        cwd=home,
        env=clean_environment() | _settings(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if admission.returncode != 0:
        raise ServiceError(f"{file.name} was not admitted:\n{admission.stdout[-2000:]}")


def _settings(home: Path) -> dict[str, str]:
    return {
        "PROPENSIA_MODELS": str(home / "models"),
        "PROPENSIA_STATE": str(home / "state"),
        "PROPENSIA_DEMONSTRATION": "false",
    }


def publish_other(home: Path, turn: int) -> None:
    """Make Propensia serve the next of its versions in turn, by adding a release: a swap."""
    registry = Registry(home / "state")
    versions = sorted(registry.versions())
    registry.publish(versions[turn % len(versions)], cause="rollback", who="benchmark")


def versions_served(home: Path) -> set[str]:
    """The version that each living worker says it serves; empty text for none yet."""
    return {str(note["version"] or "") for note in look_all(home / "state" / "workers")}


def admission_seconds(home: Path, version: str) -> float:
    """How long the admission of that version took, by its own manifest."""
    return float(Registry(home / "state").manifest(version)["admission_seconds"])
