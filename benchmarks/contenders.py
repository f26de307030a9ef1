"""How each measured service is started, and all that this folder knows of Propensia.

It must never measure.
"""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import rows
from benchmarks.services import ROOT, Service, clean_environment
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

    def home(self, *models: str, name: str = "") -> Path:
        """A folder with Propensia's `models` and `state`; these models are admitted in that order.

        The last one is served.
        """
        home = self._scratch / (name or "-".join(models))
        if home.exists():
            return home
        (home / "models").mkdir(parents=True)
        for model in models:
            dropped = shutil.copy(self.model(model), home / "models")
            subprocess.run(
                [sys.executable, "-m", "propensia", "admit", dropped],
                cwd=home,
                env=clean_environment() | _settings(home),
                check=True,
                stdout=subprocess.DEVNULL,
            )
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
        command = [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--factory"),
            *("--port", "{port}", "--no-ws", "benchmarks.baselines.bare_flask:create_app"),
        ]
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


def _settings(home: Path) -> dict[str, str]:
    return {
        "PROPENSIA_MODELS": str(home / "models"),
        "PROPENSIA_STATE": str(home / "state"),
        "PROPENSIA_DEMONSTRATION": "false",
    }


def publish_other(home: Path) -> None:
    """Make Propensia serve the version before the active one, by adding a release: a swap."""
    registry = Registry(home / "state")
    previous = registry.previous()
    if previous is None:
        raise LookupError("There is no second version to swap to.")
    registry.publish(previous.version, cause="rollback", who="benchmark")


def admission_seconds(home: Path, version: str) -> float:
    """How long the admission of that version took, by its own manifest."""
    return float(Registry(home / "state").manifest(version)["admission_seconds"])
