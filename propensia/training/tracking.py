"""A record of each training in MLflow: what was asked, what came out, and the three files.

The record is a convenience: nothing here may keep a model from being delivered, and nothing about
it is told to anybody but the store that a person named.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import math
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from propensia.files import masked
from propensia.settings import for_library
from propensia.training.results import Candidate, Trained

STORE = "mlflow.db"
ARTIFACTS = "artefactos"
# Runs of their own for the best candidates only: a server takes some requests for each.
MOST_CANDIDATES = 20
# MLflow's own limit for the value of a parameter.
LONGEST = 6000
LONGEST_REASON = 300
# Shown for a URL that cannot be taken apart, so that nobody knows where its password is.
MALFORMED = "tipo://servidor…"
# What MLflow reads from the environment, once or at each request. Its defaults send usage data
# to its makers, try a dead server for minutes, and print signs that not every console has.
VARIABLES = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


class TrackingError(Exception):
    """The record could not be written; the text, in Spanish, says where and why."""


def available() -> bool:
    """Whether MLflow, and what its local store needs, is installed; nothing is imported."""
    return all(importlib.util.find_spec(name) for name in ("mlflow", "sqlalchemy", "alembic"))


def log(trained: Trained, files: Sequence[Path], *, uri: str, experiment: str) -> str:
    """Write a training into MLflow; where to look for it, as a text for people.

    ``uri`` is a folder, which gets an SQLite store and the files, or the URL of a server.
    Nested runs hold the best candidates. Raises ``TrackingError`` within some 30 seconds of a
    server that does not answer.
    """
    place = _shown(uri)
    if place == MALFORMED:
        raise TrackingError(f"la dirección de MLflow no es una carpeta ni {MALFORMED}")
    try:
        with _quiet():
            client, artifacts = _client(uri)
            number = _experiment(client, experiment, artifacts)
            run = _run(client, number, trained, files)
    # MLflow also lets through what requests, SQLAlchemy and the system raise; none of it may end
    # a training that went well.
    except Exception as error:
        raise TrackingError(
            f"el entrenamiento no quedó registrado en MLflow ({place}). El modelo y sus ficheros "
            f"están a salvo. Motivo: {_reason(error, uri)}"
        ) from None  # the error itself may hold the password
    if urlsplit(uri).scheme in ("http", "https"):
        return f"{place.rstrip('/')}/#/experiments/{number}/runs/{run}"
    return f"{place}, experimento {experiment}, ejecución {run}"


def _shown(uri: str) -> str:
    """The place without the name and password that a URL may hold."""
    if "://" not in uri:
        return uri
    place = masked(uri, "")
    try:
        # A port that is no number may be a password whose @ was forgotten.
        urlsplit(place).port  # noqa: B018
    except ValueError:
        return MALFORMED
    return place


def _secrets(uri: str) -> list[str]:
    """The name, the password and its parts, longest first, as written and as a driver has them."""
    found = re.search("://(.*)@", uri, re.DOTALL)
    if found is None:
        return []
    texts = {found[1], unquote(found[1])}
    parts = {part for text in texts for part in re.split("[:@/]", text)}
    return sorted((texts | parts) - {""}, key=len, reverse=True)


def _reason(error: Exception, uri: str) -> str:
    """The first line of what a library says, which likes to repeat the whole URL."""
    text = str(error).strip()
    for secret in _secrets(uri):
        text = text.replace(secret, "***")
    return f"{type(error).__name__}: {text.partition(chr(10))[0][:LONGEST_REASON]}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' news for developers: that tables are made, or a strategy is old."""
    for name, value in VARIABLES.items():
        for_library(name, value)
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _client(uri: str) -> tuple[Any, str | None]:
    """A client, and where a new experiment keeps its files; ``None``: the server knows."""
    from mlflow import MlflowClient  # two seconds, that only who asked for a record should wait

    if "://" in uri:
        return MlflowClient(tracking_uri=uri), None
    folder = Path(uri).absolute()
    (folder / ARTIFACTS).mkdir(parents=True, exist_ok=True)
    store = f"sqlite:///{(folder / STORE).as_posix()}"
    return MlflowClient(tracking_uri=store), (folder / ARTIFACTS).as_uri()


def _experiment(client: Any, name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=artifacts))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _run(client: Any, experiment: str, trained: Trained, files: Sequence[Path]) -> str:
    """The identity of the new run, finished; a run that broke off is marked as failed."""
    started = int(1000 * (trained.made.timestamp() - 60 * trained.minutes))
    run = client.create_run(experiment, start_time=started, run_name=trained.name)
    identity = str(run.info.run_id)
    try:
        _write(client, identity, _parameters(trained), _metrics(trained), _tags(trained))
        for candidate in _leading(trained.candidates):
            _nested(client, experiment, identity, candidate)
        client.log_dict(identity, _table(trained.candidates), "candidatos.json")
        for file in files:
            client.log_artifact(identity, str(file))
    except BaseException:
        with contextlib.suppress(Exception):
            client.set_terminated(identity, "FAILED")
        raise
    client.set_terminated(identity)
    return identity


def _nested(client: Any, experiment: str, parent: str, candidate: Candidate) -> None:
    tags = {"mlflow.parentRunId": parent}
    run = client.create_run(experiment, tags=tags, run_name=candidate.family)
    metrics = {
        "log_loss": candidate.log_loss,
        "auc": candidate.auc,
        "segundos": candidate.seconds,
        "peso": candidate.weight,
    }
    parameters = {"familia": candidate.family, **candidate.settings}
    _write(client, run.info.run_id, parameters, metrics, {})
    client.set_terminated(run.info.run_id)


def _write(
    client: Any,
    run: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> None:
    from mlflow import entities  # as above

    now = int(1000 * time.time())
    client.log_batch(
        run,
        params=[entities.Param(key, _text(value)) for key, value in parameters.items()],
        metrics=[
            entities.Metric(key, value, now, 0)
            for key, value in metrics.items()
            if math.isfinite(value)  # MLflow stores NaN as 0 and a flag that few look at
        ],
        tags=[entities.RunTag(key, value) for key, value in tags.items()],
    )


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text[:LONGEST]


def _parameters(trained: Trained) -> dict[str, Any]:
    data = trained.data
    found: dict[str, Any] = {
        "semilla": trained.seed,
        "contrato": trained.contract.name,
        "huella_contrato": trained.contract.fingerprint,
        "datos": _shown(data.source),
        "datos_sha256": data.sha256,
        "filas": data.rows,
        "filas_usadas": data.used,
        "minutos": round(trained.minutes, 3),
        "regla_umbral": trained.threshold.rule["es"],
    }
    for place, winner in enumerate(_winners(trained.candidates), start=1):
        found[f"ganador_{place}"] = winner.family
        found |= {f"ganador_{place}.{name}": value for name, value in winner.settings.items()}
    return found


def _metrics(trained: Trained) -> dict[str, float]:
    """Each figure and the ends of its interval, all numbers that MLflow can compare and plot."""
    found = {"umbral": trained.threshold.value}
    for name, figure in trained.evaluation.figures.items():
        found[name] = figure.value
        found[f"{name}_desde"], found[f"{name}_hasta"] = figure.low, figure.high
    winners = enumerate(_winners(trained.candidates), start=1)
    return found | {f"ganador_{place}.peso": winner.weight for place, winner in winners}


def _tags(trained: Trained) -> dict[str, str]:
    fixed = {
        "protocolo": trained.evaluation.protocol,
        "calibrador": trained.calibrator,
        "vista": trained.view,
    }
    return fixed | {f"version.{name}": value for name, value in trained.versions.items()}


def _winners(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that are part of the model, heaviest first."""
    return sorted((c for c in candidates if c.weight > 0), key=lambda c: -c.weight)


def _leading(candidates: Sequence[Candidate]) -> list[Candidate]:
    """All that were taken, and the best of the others."""
    others = sorted((c for c in candidates if c.weight <= 0), key=lambda c: c.log_loss)
    taken = _winners(candidates)
    return taken + others[: max(0, MOST_CANDIDATES - len(taken))]


def _table(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """All candidates, also those without a run of their own, as JSON values."""
    return {
        "candidatos": [
            {
                "familia": candidate.family,
                "ajustes": {name: _text(value) for name, value in candidate.settings.items()},
                "log_loss": candidate.log_loss,
                "auc": candidate.auc,
                "segundos": candidate.seconds,
                "peso": candidate.weight,
            }
            for candidate in candidates
        ]
    }
