"""The network among the candidates: tuned in time, honest out of fold, and a plain Keras model."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from compiled_models import answers, compiled
from keras_files import CLOSE, OLD_COPY, library
from scipy.optimize import minimize
from scipy.special import expit

from propensia import stats
from propensia.admission import graph, parity, reader
from propensia.training import networks
from propensia.training.network_space import Trials
from propensia.training.networks import Line, Settings, Tell
from propensia.training.rows import Labels
from propensia.training.search import Progress

pytestmark = pytest.mark.filterwarnings(OLD_COPY)

COLUMNS = ("A", "B", "C", "D", "E", "F")
COUNT = 900
SMALL = Settings((12, 16), 1e-2, 0.1, 0.01, 64, epochs=6)
LONGER = replace(SMALL, epochs=15)
NEVER = float("inf")
FOLDS = np.arange(COUNT) % 3


@pytest.fixture(scope="module", autouse=True)
def keras() -> Any:
    return library()


def crossed(count: int = COUNT) -> tuple[pd.DataFrame, Labels]:
    """Rows whose label hangs on the product of two columns: no line tells them apart."""
    random = np.random.default_rng(3)
    rows = random.normal(size=(count, len(COLUMNS)))
    rows[:, 5] = 7.0  # never another
    chance = expit(4 * rows[:, 0] * rows[:, 1] - 0.5)
    labels = (random.random(count) < chance).astype(np.int64)
    return pd.DataFrame(rows, columns=list(COLUMNS)), labels


def silent(_: Progress) -> None:
    """Nobody to tell."""


def nothing() -> None:
    """Nobody to tell."""


@pytest.fixture(scope="module")
def fitted() -> Any:
    """A network that learnt, and with dropout."""
    table, labels = crossed()
    return networks.fit(table, labels, LONGER, seed=1)


def scored(folder: Path) -> dict[str, Any]:
    """What keras-tuner keeps of each trial, by its name."""
    files = sorted(folder.glob("red/trial_*/trial.json"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def searched(folder: Path, trials: int, tell: Tell = silent) -> Settings | None:
    """A search of so many trials in all, however slow the machine is; each soon gives up."""
    table, labels = crossed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("propensia.training.network_space.MOST_TRIALS", trials)
        patch.setattr(networks, "PATIENCE", 2)
        found = networks.search(
            table, labels, FOLDS, seconds=400, folder=folder, seed=1, tell=tell
        )
    return None if found is None else found[0]


@dataclass(frozen=True)
class Found:
    """A search of two trials: its folder, what it found and what it told."""

    folder: Path
    settings: Settings | None
    told: list[Progress]


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder, told = tmp_path_factory.mktemp("search"), list[Progress]()
    return Found(folder, searched(folder, 2, told.append), told)


@pytest.fixture
def folder(search: Found, tmp_path: Path) -> Path:
    """A copy of that search's folder."""
    return shutil.copytree(search.folder, tmp_path / "copy")


@pytest.mark.slow
def test_out_of_fold_it_finds_what_no_line_can() -> None:
    table, labels = crossed()
    found = networks.out_of_fold(
        table, labels, FOLDS, LONGER, seed=1, deadline=NEVER, tell=nothing
    )
    assert found is not None
    chances, settings = found
    assert chances.shape == (COUNT,) and chances.dtype == np.float64
    # The true chances reach 0.92; a line 0.5, with a standard error of 0.02.
    assert stats.auc(labels, chances) > 0.75
    assert 1 <= settings.epochs <= 23 and replace(settings, epochs=15) == LONGER
    assert json.loads(json.dumps(settings.shown()))["units"] == list(settings.units)


@pytest.mark.slow
def test_the_first_trial_is_the_good_guess_and_the_best_one_wins(search: Found) -> None:
    trials = scored(search.folder)
    assert len(trials) == 2
    best = min(trials.values(), key=lambda trial: float(trial["score"]))
    assert search.settings is not None and search.settings.epochs == best["best_step"]
    values = best["hyperparameters"]["values"]
    assert (search.settings.batch, search.settings.dropout) == (values["batch"], values["dropout"])
    defaults = {name: part["default"] for name, part in space(search.folder).items()}
    assert trials["trial_0"]["hyperparameters"]["values"] == defaults
    assert [now.trials for now in search.told] == [1, 2]
    assert 0 < search.told[0].spent_s < search.told[1].spent_s < search.told[1].allowed_s == 400
    assert 0.5 <= search.told[0].auc <= search.told[1].auc <= 1


def test_the_time_of_an_interrupted_search_counts(folder: Path, search: Found) -> None:
    """It had no more time than what two trials took: there is nothing left to do."""
    table, labels = crossed()
    spent = search.told[-1].spent_s
    found = networks.search(
        table, labels, FOLDS, seconds=spent, folder=folder, seed=1, tell=silent
    )
    assert found is not None and found[0] == search.settings
    assert found[1] == replace(search.told[-1], allowed_s=spent)
    assert len(scored(folder)) == 2, "no third one"


def space(folder: Path) -> dict[str, dict[str, Any]]:
    """What keras-tuner wrote down of the space, by name."""
    parts = scored(folder)["trial_0"]["hyperparameters"]["space"]
    return {part["config"]["name"]: part["config"] for part in parts}


def test_the_seed_projects_space_is_inside(search: Found) -> None:
    """As the facts about it print it: section 10."""
    parts = space(search.folder)
    first = parts["units_1"]
    assert (first["min_value"], first["max_value"], first["step"]) == (9, 27, 3)
    for name in ("units_2", "units_3"):
        later = parts[name]
        assert (later["min_value"], later["max_value"], later["step"]) == (32, 512, 32)
    assert set(parts["learning_rate"]["values"]) == {1e-2, 1e-3, 1e-4, 1e-5}
    assert parts["layers"]["max_value"] == 3
    assert 0.0 in parts["dropout"]["values"] and 0.0 in parts["weight_decay"]["values"]
    assert 32 in parts["batch"]["values"]


@pytest.mark.slow
def test_an_interrupted_search_goes_on_where_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It left as a process leaves it that is killed in the middle of its third trial."""
    before = scored(folder)
    with monkeypatch.context() as patch:
        patch.setattr(networks, "_learn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            searched(folder, 3)
    open_one = scored(folder)["trial_2"]
    assert open_one["status"] == "RUNNING"
    assert searched(folder, 3) is not None
    after = scored(folder)
    assert {name: after[name] for name in before} == before, "they were not done again"
    assert after["trial_2"]["status"] == "COMPLETED"
    wanted = open_one["hyperparameters"]["values"]
    assert after["trial_2"]["hyperparameters"]["values"] == wanted


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("name", ["oracle.json", "trial_0/trial.json"])
def test_half_a_file_of_a_killed_search_only_costs_its_trials(folder: Path, name: str) -> None:
    path = folder / "red" / name
    path.write_bytes(path.read_bytes()[:40])
    assert searched(folder, 1) is not None
    assert [trial["status"] for trial in scored(folder).values()] == ["COMPLETED"]


def test_time_that_runs_out_stops_the_trial_that_is_running(tmp_path: Path) -> None:
    """An epoch of these rows takes many seconds."""
    table, labels = crossed(400_000)
    Trials(tmp_path / "other", 1)  # what it imports takes seconds, too
    started = time.monotonic()
    found = networks.search(
        table, labels, np.arange(400_000) % 3, seconds=2, folder=tmp_path, seed=1, tell=silent
    )
    assert found is None, "not one epoch was done"
    # Two seconds, and what a loaded machine takes to build a network and do some batches.
    assert time.monotonic() - started < 30


@pytest.mark.slow
def test_a_deadline_that_is_past_gives_nothing() -> None:
    table, labels = crossed()
    past = time.monotonic()
    assert (
        networks.out_of_fold(table, labels, FOLDS, SMALL, seed=1, deadline=past, tell=nothing)
        is None
    )


def test_how_long_a_fold_learns_is_decided_by_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Courses by hand: after its second epoch fold 0 does best, the others after their third.

    Without fold 0 the third is best for the mean; without another, the second is.
    """
    losses = iter([[0.9, 0.1, 0.8, 0.0], [0.9, 0.6, 0.5], [0.9, 0.6, 0.5, 0.0]])
    asked = []

    def learnt(columns: Any, _: Any, settings: Settings, *more: Any) -> None:
        course = more[-1]
        asked.append(settings.epochs)
        course.losses = next(losses)
        held = COUNT - len(columns)
        course.chances = [np.full(held, epoch / 10) for epoch in range(1, 5)]

    monkeypatch.setattr(networks, "_learn", learnt)
    table, labels = crossed()
    found = networks.out_of_fold(table, labels, FOLDS, SMALL, seed=1, deadline=NEVER, tell=nothing)
    assert found is not None
    chances, settings = found
    # The fourth epoch counts for nobody, as fold 1 was stopped before it.
    assert [set(chances[fold == FOLDS]) for fold in range(3)] == [{0.3}, {0.2}, {0.2}]
    assert settings == replace(SMALL, epochs=2)
    assert asked == [9, 9, 9], "half as long again as the search found best"


@pytest.mark.parametrize("value", [np.nan, 1e39])  # float32 ends before 1e39
def test_a_table_with_gaps_is_left_to_others(value: float) -> None:
    table, _ = crossed()
    assert networks.takes(table)
    table.iloc[5, 2] = value
    assert not networks.takes(table)


@pytest.mark.slow
def test_what_is_told_out_of_fold_was_not_learnt_by_heart() -> None:
    """Labels by lot: who saw them can know them, and who did not, cannot."""
    random = np.random.default_rng(8)
    table = pd.DataFrame(random.normal(size=(COUNT, 6)), columns=list(COLUMNS))
    labels = random.integers(0, 2, COUNT)
    wide = Settings((27, 256), 1e-2, 0.0, 0.0, 64, epochs=8)
    model = networks.fit(table, labels, replace(wide, epochs=12), seed=1)
    assert stats.auc(labels, networks.chances(model, table)) > 0.75
    found = networks.out_of_fold(table, labels, FOLDS, wide, seed=1, deadline=NEVER, tell=nothing)
    assert found is not None
    # Four standard errors of an AUC of 0.5 with 450 rows on each side.
    assert abs(stats.auc(labels, found[0]) - 0.5) < 4 * 0.0193


@pytest.mark.slow
def test_the_same_seed_gives_the_same_network(fitted: Any) -> None:
    table, labels = crossed()
    again = networks.fit(table, labels, LONGER, seed=1)
    other = networks.fit(table, labels, LONGER, seed=2)
    expected = networks.chances(fitted, table)
    # Threads may add up float32 sums in another order.
    assert np.abs(networks.chances(again, table) - expected).max() < 1e-3
    assert np.abs(networks.chances(other, table) - expected).max() > 1e-2


@pytest.mark.slow
def test_columns_are_taken_in_any_unit(fitted: Any) -> None:
    table, labels = crossed()
    scaled = table * 1000 + 50_000
    model = networks.fit(scaled, labels, LONGER, seed=1)
    difference = networks.chances(model, scaled) - networks.chances(fitted, table)
    # Float32 keeps 7 digits, of which the offset takes two; training makes the rest of it.
    assert np.abs(difference).max() < 0.05 and np.abs(difference).mean() < 0.005


def test_a_column_that_never_changed_is_not_heard_when_it_does(fitted: Any) -> None:
    table, _ = crossed()
    moved = table.assign(F=1_000.0)
    assert np.array_equal(networks.chances(fitted, moved), networks.chances(fitted, table))


def test_calibrating_is_the_likeliest_line_put_into_the_last_layer(
    fitted: Any, keras: Any
) -> None:
    table, labels = crossed()
    random = np.random.default_rng(4)
    told = expit(3 * (random.normal(size=COUNT) + 2 * labels))  # too sure, and shifted
    odds = np.log(told / (1 - told))

    def surprise(line: Any) -> float:
        said = line[0] * odds + line[1]
        return float(np.mean(np.logaddexp(0, said) - labels * said))

    slope, offset = minimize(surprise, [1.0, 0.0], tol=1e-12).x
    model = networks.calibrated(fitted, told, labels)
    kernel, bias = (np.asarray(w, np.float64) for w in fitted.get_weights()[-2:])
    inside = keras.Sequential(fitted.layers[:-1])(table.to_numpy(np.float32), training=False)
    z = (np.asarray(inside, np.float64) @ kernel + bias)[:, 0]
    expected = expit(slope * z + offset)
    assert abs(slope - 1) > 0.1 and abs(offset) > 0.1, "or nothing is tested"
    assert expected.std() > 0.1
    line = Line.of(told, labels)
    # Both minimise the same smooth sum, each to a few millionths.
    assert (line.slope, line.offset) == pytest.approx((slope, offset), abs=1e-4)
    exact = expit(line.slope * z + line.offset)
    assert np.abs(networks.chances(model, table) - exact).max() < 1e-6
    assert line.chances(told) == pytest.approx(expit(line.slope * odds + line.offset), abs=1e-12)


def test_the_pkl_is_plain_keras_and_admission_reads_it(fitted: Any, keras: Any) -> None:
    table, labels = crossed()
    told = np.clip(networks.chances(fitted, table), 0.05, 0.9)
    model = networks.calibrated(fitted, told, labels)
    assert type(model) is keras.Sequential and getattr(model, "optimizer", None) is None
    assert [type(layer).__name__ for layer in model.layers] == [
        "Normalization", "Dense", "Dropout", "Dense", "Dropout", "Dense",
    ]  # fmt: skip
    stream = io.BytesIO()
    joblib.dump(model, stream, compress=3)
    stream.seek(0)
    expected = networks.chances(model, table)
    loaded = joblib.load(stream)
    assert np.array_equal(networks.chances(loaded, table), expected)
    # In batches of 32 rows float32 sums are added up in another order.
    assert np.abs(loaded.predict(table.to_numpy(), verbose=0)[:, 0] - expected).max() < 1e-6
    node = reader.read(stream.getvalue())
    result = compiled(node, COLUMNS)
    graph.check(result.onnx, len(COLUMNS))
    assert np.abs(answers(result, table.to_numpy()) - expected).max() <= CLOSE
    assert expected.std() > 0.05
    asked = parity.reference(node, result)
    assert asked.predict is not None
    assert np.abs(asked.predict(table.to_numpy()) - expected).max() <= 1e-6


def test_who_never_tunes_a_network_never_waits_for_tensorflow() -> None:
    code = (
        "import sys; from propensia.training import networks; networks.available(); "
        "print([n for n in ('tensorflow', 'keras', 'keras_tuner') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["tensorflow", "keras", "keras_tuner"])
def test_without_its_libraries_it_is_not_available(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert networks.available()
    real = networks.importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda asked: None if asked == name else real(asked)
    )
    assert not networks.available()


ALONE = """
import sys
import joblib, numpy
model = joblib.load(sys.argv[1])
assert not any(name.startswith("propensia") for name in sys.modules)
numpy.save(sys.argv[3], model.predict(numpy.load(sys.argv[2]), verbose=0)[:, 0])
"""
TALKING = """
import sys
import numpy, pandas
from pathlib import Path
from propensia.training import networks
rows = numpy.random.default_rng(1).normal(size=(300, 3))
labels = (rows[:, 0] > 0).astype(int)
folds = numpy.arange(300) % 3
table = pandas.DataFrame(rows, columns=list("abc"))
for _ in range(2):
    networks.search(
        table, labels, folds, seconds=8, folder=Path(sys.argv[1]), seed=1, tell=lambda text: None
    )
"""


@pytest.mark.slow
def test_the_pkl_loads_without_propensia_and_answers_the_same(fitted: Any, tmp_path: Path) -> None:
    table, _ = crossed()
    joblib.dump(fitted, tmp_path / "red.pkl")
    np.save(tmp_path / "rows.npy", table.to_numpy(np.float32))
    names = [str(tmp_path / name) for name in ("red.pkl", "rows.npy", "said.npy")]
    subprocess.run([sys.executable, "-I", "-c", ALONE, *names], cwd=tmp_path, check=True)
    said = np.load(tmp_path / "said.npy")
    # Another process may add up float32 sums in another order.
    assert np.abs(said - networks.chances(fitted, table)).max() < 1e-6


@pytest.mark.slow
def test_an_analyst_reads_our_lines_only(tmp_path: Path) -> None:
    """TensorFlow and keras-tuner like to talk; the second search goes on with the first."""
    run = subprocess.run(
        [sys.executable, "-c", TALKING, str(tmp_path)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (run.stdout, run.stderr) == ("", "")
