"""What MLflow is told of a training can be read back by MLflow itself, and can do no harm."""

from __future__ import annotations

import json
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from propensia import contract as contracts
from propensia import sampling
from propensia.training import tracking
from propensia.training.results import Candidate, Data, Evaluation, Figure, Threshold, Trained
from propensia.training.rows import Rows
from propensia.training.tracking import TrackingError

COUNT = 20
SECRET = "contrasena"


def trained(candidates: tuple[Candidate, ...] | None = None) -> Trained:
    """All that is known of a training but the model itself, which the record never looks at."""
    contract = contracts.load("cobranza")
    labels = np.arange(COUNT) % 2
    return Trained(
        name="cobranza_2026-10-01",
        model=None,
        contract=contract,
        view="raw",
        calibrator="isotonic",
        rows=Rows(sampling.draw(contract, COUNT, seed=1), labels, np.arange(COUNT)),
        data=Data(f"postgresql://ana:{SECRET}@nas/datos", "ab" * 32, COUNT + 3, COUNT, {}),
        findings=(),
        evaluation=Evaluation(
            np.arange(COUNT),
            np.full(COUNT, 0.5),
            np.full(COUNT, 0.31),
            {"auc": Figure(0.81, 0.75, 0.86, 0.02), "brier": Figure(0.15, 0.1, 0.2, 0.01)},
            "folds",
            5,
            75,
        ),
        threshold=Threshold(0.31, {"es": "El umbral de mejor F1.", "en": "The best F1."}),
        candidates=candidates
        or (
            Candidate("bosque", {"trees": 100, "extra": True}, 0.46, 0.79, 2.5, 0.3),
            Candidate("logística", {"C": 1.5}, 0.45, 0.8, 1.5, 0.7),
            Candidate("xgboost", {"eta": 0.1}, 0.47, 0.78, 4.0, 0.0),
        ),
        options={"balance": "none"},
        seed=3,
        minutes=0.75,
        made=datetime(2026, 10, 1, 9, 30, tzinfo=UTC),
        versions={"scikit-learn": "1.9.1"},
    )


def written(folder: Path) -> list[Path]:
    """The three files of a candidate."""
    folder.mkdir()
    files = [folder / f"cobranza_2026-10-01.{ending}" for ending in ("pkl", "json", "html")]
    for file in files:
        file.write_bytes(file.name.encode() * 100)
    return files


@pytest.fixture(scope="module", autouse=True)
def mlflow() -> Any:
    with warnings.catch_warnings():
        # What MLflow's own modules warn of while they are imported.
        warnings.simplefilter("ignore")
        return pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two records: making its tables takes MLflow seconds."""
    place = tmp_path_factory.mktemp("store")
    for number in (1, 2):
        files = written(place / f"candidate_{number}")
        tracking.log(trained(), files, uri=str(place / "mlflow"), experiment="cobranza")
    return place


@pytest.fixture
def client(mlflow: Any, folder: Path) -> Any:
    """MLflow's own eyes on that store."""
    return mlflow.MlflowClient(f"sqlite:///{(folder / 'mlflow' / 'mlflow.db').as_posix()}")


@pytest.fixture
def parents(client: Any) -> list[Any]:
    number = client.get_experiment_by_name("cobranza").experiment_id
    runs = client.search_runs([number])
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def test_two_trainings_are_two_finished_runs_of_one_experiment(parents: list[Any]) -> None:
    assert [run.info.status for run in parents] == ["FINISHED", "FINISHED"]
    assert {run.info.run_name for run in parents} == {"cobranza_2026-10-01"}
    ended = datetime(2026, 10, 1, 9, 30, tzinfo=UTC).timestamp()
    assert parents[0].info.start_time == int(1000 * (ended - 45))


def test_a_figure_is_three_metrics_with_the_ends_of_its_interval(parents: list[Any]) -> None:
    assert parents[0].data.metrics == {
        "umbral": 0.31,
        "auc": 0.81,
        "auc_desde": 0.75,
        "auc_hasta": 0.86,
        "brier": 0.15,
        "brier_desde": 0.1,
        "brier_hasta": 0.2,
        "ganador_1.peso": 0.7,
        "ganador_2.peso": 0.3,
    }


def test_a_run_says_what_it_takes_to_repeat_it(parents: list[Any]) -> None:
    told = parents[0].data
    assert told.params == {
        "semilla": "3",
        "contrato": "cobranza",
        "huella_contrato": contracts.load("cobranza").fingerprint,
        "datos": "postgresql://nas/datos",
        "datos_sha256": "ab" * 32,
        "filas": "23",
        "filas_usadas": "20",
        "minutos": "0.75",
        "regla_umbral": "El umbral de mejor F1.",
        "ganador_1": "logística",
        "ganador_1.C": "1.5",
        "ganador_2": "bosque",
        "ganador_2.trees": "100",
        "ganador_2.extra": "true",
    }
    assert told.tags["version.scikit-learn"] == "1.9.1"
    assert told.tags["calibrador"] == "isotonic"


def test_the_files_come_back_as_they_were(
    client: Any, parents: list[Any], folder: Path, tmp_path: Path
) -> None:
    names = {item.path for item in client.list_artifacts(parents[0].info.run_id)}
    originals = sorted((folder / "candidate_1").iterdir())
    assert names == {"candidatos.json", *(file.name for file in originals)}
    for file in originals:
        copy = client.download_artifacts(parents[0].info.run_id, file.name, str(tmp_path))
        assert Path(copy).read_bytes() == file.read_bytes()


def test_everything_lies_in_the_folder_that_was_named(folder: Path) -> None:
    assert {path.name for path in (folder / "mlflow").iterdir()} == {"mlflow.db", "artefactos"}
    assert not Path("mlruns").exists(), "MLflow's own habit: beside whoever runs it"


def test_candidates_are_runs_below_the_training(client: Any, parents: list[Any]) -> None:
    parent = parents[0]
    below = client.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    )
    assert {run.info.run_name: run.data.metrics for run in below} == {
        "logística": {"log_loss": 0.45, "auc": 0.8, "segundos": 1.5, "peso": 0.7},
        "bosque": {"log_loss": 0.46, "auc": 0.79, "segundos": 2.5, "peso": 0.3},
        "xgboost": {"log_loss": 0.47, "auc": 0.78, "segundos": 4.0, "peso": 0.0},
    }
    forest = next(run for run in below if run.info.run_name == "bosque")
    assert forest.data.params == {"familia": "bosque", "trees": "100", "extra": "true"}
    assert all(run.info.status == "FINISHED" for run in below)


def test_a_long_search_makes_few_runs_and_loses_no_candidate(
    client: Any, folder: Path, tmp_path: Path
) -> None:
    many = tuple(
        Candidate("lightgbm", {"trial": n}, 0.5 - n / 1000, 0.7, 1.0, float(n == 0))
        for n in range(60)
    )
    where = tracking.log(trained(many), [], uri=str(folder / "mlflow"), experiment="larga")
    number = client.get_experiment_by_name("larga").experiment_id
    runs = client.search_runs([number])
    trials = {run.data.params.get("trial") for run in runs} - {None}
    # The one that was taken, though it is the worst, and the best of the others.
    assert trials == {"0", *(str(n) for n in range(41, 60))}
    parent = next(run for run in runs if run.info.run_id in where)
    path = client.download_artifacts(parent.info.run_id, "candidatos.json", str(tmp_path))
    table = json.loads(Path(path).read_text(encoding="utf-8"))["candidatos"]
    assert [row["ajustes"]["trial"] for row in table] == [str(n) for n in range(60)]


def test_a_deleted_experiment_is_taken_up_again(client: Any, folder: Path) -> None:
    place = str(folder / "mlflow")
    tracking.log(trained(), [], uri=place, experiment="borrado")
    number = client.get_experiment_by_name("borrado").experiment_id
    client.delete_experiment(number)
    tracking.log(trained(), [], uri=place, experiment="borrado")
    assert client.get_experiment(number).lifecycle_stage == "active"


def test_a_file_that_is_gone_leaves_a_failed_run_and_a_spanish_sentence(
    client: Any, folder: Path
) -> None:
    with pytest.raises(TrackingError, match="no quedó registrado en MLflow"):
        tracking.log(
            trained(), [folder / "gone.pkl"], uri=str(folder / "mlflow"), experiment="roto"
        )
    number = client.get_experiment_by_name("roto").experiment_id
    runs = client.search_runs([number], "attributes.status = 'FAILED'")
    assert [run.info.run_name for run in runs] == ["cobranza_2026-10-01"]


def test_nothing_is_said_while_a_record_is_written(
    folder: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Not even of the tables of a new store; and loggers are left as they were."""
    tracking.log(trained(), [], uri=str(tmp_path / "new"), experiment="cobranza")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("mlflow").isEnabledFor(logging.WARNING)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_that_is_down_costs_seconds_and_a_warning(tmp_path: Path) -> None:
    uri = f"http://ana:{SECRET}@127.0.0.1:{closed_port()}"
    started = time.monotonic()
    with pytest.raises(TrackingError, match="a salvo") as error:
        tracking.log(trained(), written(tmp_path / "files"), uri=uri, experiment="cobranza")
    # Two attempts with a pause of two or three seconds; MLflow's own would take four minutes.
    assert time.monotonic() - started < 15
    assert SECRET not in str(error.value)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up(silent: int) -> None:
    started = time.monotonic()
    with pytest.raises(TrackingError):
        tracking.log(trained(), [], uri=f"http://127.0.0.1:{silent}", experiment="cobranza")
    assert time.monotonic() - started < 30


class Desk(BaseHTTPRequestHandler):
    """A server that takes what MLflow's REST interface says, and writes it down."""

    server: Server

    def do_GET(self) -> None:
        if "get-by-name" in self.path:
            self._answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}, 404)
        else:
            self._answer({"run": RUN})

    def do_POST(self) -> None:
        self._note()
        answers = {
            "create": {"experiment_id": "7", "run": RUN},
            "update": {"run_info": RUN["info"]},
        }
        self._answer(answers.get(self.path.rpartition("/")[2], {}))

    do_PUT = do_POST

    def _note(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, body))

    def _answer(self, value: object, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Tests say nothing."""


class Server(ThreadingHTTPServer):
    """Its ``taken`` are the path and body of each thing that was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.taken: list[tuple[str, bytes]] = []


RUN: dict[str, Any] = {
    "info": {
        "run_id": "abc",
        "run_uuid": "abc",
        "experiment_id": "7",
        "status": "RUNNING",
        "artifact_uri": "mlflow-artifacts:/7/abc/artifacts",
        "lifecycle_stage": "active",
    },
    "data": {},
}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_server_gets_the_files_and_its_page_is_told(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = written(tmp_path / "files")
    place = f"127.0.0.1:{server.server_port}"
    uri = f"http://ana:{SECRET}@{place}/"
    where = tracking.log(trained(), files, uri=uri, experiment="cobranza")
    assert where == f"http://{place}/#/experiments/7/runs/abc"
    bodies = {path.rpartition("/")[2]: body for path, body in server.taken}
    for file in files:
        assert bodies[file.name] == file.read_bytes()
    assert capfd.readouterr() == ("", ""), "MLflow prints pictures that not every console has"


@pytest.mark.parametrize("name", ["mlflow", "sqlalchemy", "alembic"])
def test_without_mlflow_it_is_not_available(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking.available()
    real = tracking.importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda asked: None if asked == name else real(asked)
    )
    assert not tracking.available()


CHILD = """
import pickle, socket, sys
asked = []
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: asked.append(host) or real(host, *rest, **more)
from propensia.training import tracking
assert "mlflow" not in sys.modules, "who wants no record waits for no MLflow"
with open(sys.argv[1], "rb") as stream:
    trained = pickle.load(stream)
tracking.log(trained, [], uri=sys.argv[2], experiment="cobranza")
from mlflow.telemetry import get_telemetry_client
print(get_telemetry_client(), asked)
"""


@pytest.mark.slow
def test_nobody_else_hears_of_a_training(tmp_path: Path) -> None:
    """MLflow sends no usage data from tests, so this one runs where it does not see a test."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "trained.pkl").write_bytes(pickle.dumps(trained()))
    signs = ("PYTEST", "MLFLOW", "CI", "GITHUB", "XDG", "DO_NOT_TRACK")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(signs)}
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "trained.pkl"), str(tmp_path / "store")],
        env=kept | {"HOME": str(home), "USERPROFILE": str(home), "APPDATA": str(home)},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""
    assert run.stdout.strip() == "None []"
    assert list(home.rglob("*")) == [], "MLflow keeps the identity of an installation there"


def test_a_figure_that_is_no_number_is_left_out(client: Any, folder: Path) -> None:
    odd = trained()
    figures = {"auc": Figure(0.8, float("nan"), 0.9, 0.1)}
    odd = replace(odd, evaluation=replace(odd.evaluation, figures=figures))
    tracking.log(odd, [], uri=str(folder / "mlflow"), experiment="raro")
    number = client.get_experiment_by_name("raro").experiment_id
    (run,) = client.search_runs([number], "metrics.umbral > 0")
    metrics = run.data.metrics
    assert (metrics["auc"], metrics["auc_hasta"]) == (0.8, 0.9)
    assert "auc_desde" not in metrics


@pytest.mark.parametrize(
    "uri",
    [
        "http://[x",
        "http://ana:S3cr3t/base",
        "http://ana:S3c@r3t@[x",
        "postgresql://ana:S3cr3t/base",
        "postgresql://ana:S3cr3t h/b",
        "postgresql://ana:S3c@r3t@h/b",
        "postgresql://ana:S3c%40r3t@h/b",
        "nosuchkind://ana:S3cr3t@h/b",
        "sqlite://ana:S3c@r3t@h/b",
    ],
)
def test_a_wrong_address_is_told_without_its_password(uri: str) -> None:
    with pytest.raises(TrackingError) as caught:
        tracking.log(trained(), [], uri=uri, experiment="cobranza")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "S3c" not in str(caught.value)
    assert "r3t" not in str(caught.value)
