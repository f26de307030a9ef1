"""``propensia train`` as an analyst runs it: real tables, real files, real processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import joblib
import learnable_rows
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from counted_search import count_turns
from desk import Desk
from waiting import wait_for

from propensia import commands
from propensia import contract as contracts
from propensia.__main__ import cli
from propensia.contract import Contract
from propensia.features import Features
from propensia.locks import Lock
from propensia.registry import Registry
from propensia.scorer import Scorer
from propensia.training import running, tracking, trials
from propensia.training.results import Trained

COUNT = 900
Meanwhile = Callable[[Callable[[], object]], None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the settings of a machine of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROPENSIA_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("PROPENSIA_STATE", str(tmp_path / "var"))
    return tmp_path


@pytest.fixture
def table(site: Path, contract: Contract) -> Path:
    return learnable_rows.write(
        site / "octubre.csv", contract, learnable_rows.rows(contract, COUNT)
    )


@pytest.fixture(autouse=True)
def turns_not_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    count_turns(monkeypatch)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def quick(table: Path, *more: object) -> Result:
    """The shortest training: one candidate, nothing logged."""
    return run(
        "train", table, "--minutes", "0.05", "--families", "logistica", "--tracking", "no", *more
    )


def test_a_table_becomes_a_candidate_of_three_files(site: Path, table: Path) -> None:
    result = quick(table, "--out", "cobros_2026-10")
    assert result.exit_code == 0, result.output
    folder = site / "models" / "candidates"
    assert sorted(path.name for path in folder.iterdir()) == [
        "cobros_2026-10.html",
        "cobros_2026-10.json",
        "cobros_2026-10.pkl",
    ]
    sidecar = json.loads((folder / "cobros_2026-10.json").read_text(encoding="utf-8"))
    assert sidecar["metricas"]["auc"]["desde"] < sidecar["metricas"]["auc"]["valor"]
    assert f"{sidecar['metricas']['auc']['valor']:.4f}".replace(".", ",") in result.output
    assert not any((site / "var" / "training").iterdir()), "a finished search leaves nothing"


def test_the_pkl_loads_without_propensia_and_says_what_the_service_says(
    site: Path, table: Path, contract: Contract
) -> None:
    """Loaded by another process that cannot import the package at all."""
    assert quick(table, "--out", "m", "--publish").exit_code == 0
    frame = pd.DataFrame({p.feature: [_value(p, p.example)] for p in contract.parameters})
    frame.to_pickle(site / "row.pkl")
    program = (
        "import sys; sys.modules['propensia'] = None\n"
        "import joblib, pandas\n"
        "model = joblib.load('models/m.pkl')\n"
        "print(repr(float(model.predict_proba(pandas.read_pickle('row.pkl'))[0, 1])))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=site, capture_output=True, text=True, check=True
    )
    registry = Registry(site / "var")
    release = registry.current()
    assert release is not None
    manifest = registry.manifest(release.version)
    view = contract.view(manifest["columns"])
    assert view is not None
    features = Features(view)
    values, _ = features.read(contract.example())
    scorer = Scorer(registry.model(release.version), manifest["onnx_sha256"])
    served = scorer.many(np.array([features.row(values)]))[0]
    assert float(told.stdout) == pytest.approx(served, abs=1e-9)


def _value(parameter: object, text: str) -> object:
    raw = Features(contracts.load("cobranza")).read(contracts.load("cobranza").example())[0]
    names = [p.name for p in contracts.load("cobranza").parameters]
    value = raw[names.index(parameter.name)]  # type: ignore[attr-defined]
    return np.nan if value is None else value


def test_publish_passes_every_check_without_a_warning(site: Path, table: Path) -> None:
    """The figures of the sidecar, names of columns, golden rows, parity: nothing to remark."""
    result = quick(table, "--out", "m", "--publish")
    assert result.exit_code == 0, result.output
    assert "ACEPTADO m.pkl" in result.output and "Publicada la versión" in result.output
    marks = [line.strip()[0] for line in result.output.splitlines() if line.startswith("  ")]
    assert "!" not in marks and "✗" not in marks, result.output
    assert marks.count("✓") >= 10


@pytest.mark.slow
def test_the_whole_committee_passes_without_a_warning(site: Path, table: Path) -> None:
    result = run("train", table, "--minutes", "0.2", "--tracking", "no", "--out", "m", "--publish")
    assert result.exit_code == 0, result.output
    assert not [line for line in result.output.splitlines() if line.startswith(("  !", "  ✗"))]


def test_what_is_wrong_with_a_table_is_told_and_nothing_is_written(
    site: Path, contract: Contract
) -> None:
    table = learnable_rows.write(site / "t.csv", contract, learnable_rows.rows(contract, 20))
    result = quick(table, "--out", "m")
    assert result.exit_code == 1
    assert "hacen falta al menos 200" in result.output
    assert not (site / "models").exists() or not list((site / "models").rglob("*.pkl"))


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--families", "svm"], 2, "no hay svm"),
        (["--threshold", "mucho"], 2, "regla de umbral"),
        (["--out", "../m"], 2, "sin carpetas"),
        (["--out", "CON"], 2, "Windows"),
        (["--out", "a:b"], 2, "Windows"),
        (["--contract", "telco_churn", "--threshold", "cost=2", "--publish"], 2, "--publish"),
        (["--column", "DEUDA_TOTAL"], 2, "NOMBRE=COLUMNA"),
        (["--allow", "NOEXISTE"], 1, "«NOEXISTE» no es una columna"),
        (["--contract", "nadie"], 3, "no hay contrato"),
    ],
)
def test_wrong_use_says_what_it_takes(
    table: Path, arguments: list[str], code: int, told: str
) -> None:
    result = run("train", table, "--minutes", "0.05", *arguments)
    assert result.exit_code == code and told in result.output, result.output


def test_a_table_that_is_not_there_is_named(site: Path) -> None:
    result = quick(site / "nada.csv")
    assert result.exit_code == 1 and "nada.csv" in result.output


def test_a_candidate_is_not_overwritten_unless_told(site: Path, table: Path) -> None:
    model = site / "models" / "candidates" / "m.pkl"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"mine")
    result = quick(table, "--out", "m")
    assert result.exit_code == 1 and "--force" in result.output
    assert model.read_bytes() == b"mine"
    dropped = site / "models" / "m.pkl"
    dropped.write_bytes(b"mine")
    assert quick(table, "--out", "m", "--force", "--publish").exit_code == 0
    assert joblib.load(model).n_features_in_ == 13
    assert dropped.read_bytes() == model.read_bytes()


def test_publishing_overwrites_nothing_that_a_person_dropped(site: Path, table: Path) -> None:
    dropped = site / "models" / "m.pkl"
    dropped.parent.mkdir()
    dropped.write_bytes(b"mine")
    result = quick(table, "--out", "m", "--publish")
    assert result.exit_code == 1 and "m.pkl" in result.output
    assert dropped.read_bytes() == b"mine"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Let somebody do something while a model is learnt, before it is delivered."""

    def arrange(act: Callable[[], object]) -> None:
        def train(
            job: running.Job, listener: running.Listener, deliver: Callable[[Trained], None]
        ) -> Trained:
            def late(trained: Trained) -> None:
                act()
                deliver(trained)

            return real(job, listener, late)

        real = running.train
        monkeypatch.setattr(running, "train", train)

    return arrange


@pytest.mark.slow
def test_publishing_overwrites_nothing_that_was_dropped_meanwhile(
    site: Path, table: Path, meanwhile: Meanwhile
) -> None:
    dropped = site / "models" / "m.pkl"
    dropped.parent.mkdir()
    meanwhile(lambda: dropped.write_bytes(b"mine"))
    result = quick(table, "--out", "m", "--publish")
    candidate = site / "models" / "candidates" / "m.pkl"
    assert result.exit_code == 1, result.output
    assert f"ya existe {dropped}" in result.output
    assert f"«propensia admit {candidate}»" in result.output
    assert dropped.read_bytes() == b"mine" and not dropped.with_suffix(".json").exists()
    assert run("admit", candidate).exit_code == 0
    assert dropped.read_bytes() == b"mine"


@pytest.mark.slow
def test_publishing_does_not_pass_over_a_pin(
    site: Path, table: Path, contract: Contract, meanwhile: Meanwhile
) -> None:
    Desk(site, contract).publish(0.5)
    meanwhile(lambda: run("pin"))
    result = quick(table, "--out", "b", "--publish")
    assert result.exit_code == 1, result.output
    assert "fijada" in result.output
    candidate = site / "models" / "candidates" / "b.pkl"
    assert f"«propensia admit {candidate}»" in result.output
    assert candidate.exists() and not (site / "models" / "b.pkl").exists()
    result = quick(table, "--out", "c", "--publish")
    assert result.exit_code == 1 and "fijada" in result.output
    assert not candidate.with_name("c.pkl").exists(), "told before the work"


@pytest.mark.slow
def test_a_pin_that_was_made_while_the_file_is_judged_holds(
    site: Path, table: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = Desk(site, contract).publish(0.5)

    def read(*given: Any) -> Any:
        assert run("pin").exit_code == 0
        return real(*given)

    real = commands.read
    monkeypatch.setattr(commands, "read", read)
    result = quick(table, "--out", "b", "--publish")
    assert result.exit_code == 1, result.output
    assert "se publicó otra cosa mientras tanto" in result.output
    current = Registry(site / "var").current()
    assert current is not None and current.pinned and current.version == pinned


@pytest.mark.slow
def test_a_candidate_that_appeared_meanwhile_stays_and_the_search_is_kept(
    site: Path, table: Path, meanwhile: Meanwhile
) -> None:
    model = site / "models" / "candidates" / "m.pkl"
    model.parent.mkdir(parents=True)
    meanwhile(lambda: model.write_bytes(b"mine"))
    result = quick(table, "--out", "m")
    assert result.exit_code == 1 and f"ya existe {model}" in result.output
    assert model.read_bytes() == b"mine"
    result = quick(table, "--out", "n")
    assert result.exit_code == 0 and "Sigue una búsqueda" in result.output, result.output


def _interrupted(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_interrupting_the_search_says_that_no_model_was_written(
    site: Path, table: Path, meanwhile: Meanwhile
) -> None:
    meanwhile(_interrupted)
    result = quick(table, "--out", "m")
    assert result.exit_code == 1
    assert "Interrumpido, sin escribir ningún modelo. La misma orden sigue" in result.output
    assert not list((site / "models").rglob("*.*"))


@pytest.mark.slow
def test_interrupting_the_record_says_that_the_model_is_there(
    site: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "log", _interrupted)
    arguments = ["--minutes", "0.05", "--families", "logistica", "--out", "m", "--publish"]
    result = run("train", table, *arguments)
    model = site / "models" / "candidates" / "m.pkl"
    assert result.exit_code == 1
    assert f"Interrumpido, con el modelo ya escrito en {model}; falta su registro" in result.output
    assert f"«propensia admit {model}»" in result.output
    assert joblib.load(model).n_features_in_ == 13


@pytest.mark.slow
def test_another_contract_needs_no_other_code(site: Path) -> None:
    churn = contracts.load("telco_churn")
    table = learnable_rows.write(site / "c.csv", churn, learnable_rows.rows(churn, COUNT))
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace(";SI\n", ";Yes\n").replace(";NO\n", ";No\n"), encoding="utf-8")
    result = quick(table, "--contract", "telco_churn", "--out", "bajas", "--threshold", "top=0.2")
    assert result.exit_code == 0, result.output
    assert re.search(r"20,0\s% de mayor probabilidad", result.output)


@pytest.mark.slow
def test_a_killed_search_leaves_no_model_and_goes_on(site: Path, table: Path) -> None:
    """Killed as a power cut would; the next run begins with what was tried."""
    command = [sys.executable, "-m", "propensia", "train", str(table), "--out", "m"]
    command += ["--tracking", "no", "--families", "logistica,xgboost", "--minutes"]
    child = subprocess.Popen([*command, "5"], cwd=site, stdout=subprocess.DEVNULL)
    training = site / "var" / "training"
    wait_for(lambda: len(list(training.rglob("*.npz"))) >= 3, "three trials")
    child.kill()
    child.wait()
    (folder,) = training.iterdir()
    families = ("logistica", "xgboost")
    ended = [one for name in families for one in trials.read(folder, name, COUNT)]
    kept = sum(one.chances is not None for one in ended)
    assert kept >= 2 and not list((site / "models").rglob("*.pkl"))
    again = subprocess.run(
        [*command, "0.05"], cwd=site, capture_output=True, encoding="utf-8", check=False
    )
    assert again.returncode == 0, again.stdout + again.stderr
    sidecar = json.loads((site / "models" / "candidates" / "m.json").read_text("utf-8"))
    assert sidecar["entrenamiento"]["probados"] >= kept


@pytest.mark.slow
def test_the_same_training_twice_at_once_is_refused(site: Path, table: Path) -> None:
    command = [sys.executable, "-m", "propensia", "train", str(table), "--out", "m"]
    command += ["--tracking", "no", "--families", "logistica", "--minutes", "5"]
    child = subprocess.Popen(command, cwd=site, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: list((site / "var").rglob("*.npz")), "a trial")
        (lock,) = (site / "var" / "training").glob("*/lock")
        assert not Lock(lock).acquire()
        result = quick(table, "--out", "m")
        assert result.exit_code == 1 and "en marcha un entrenamiento" in result.output
        result = quick(table, "--out", "n")
        assert result.exit_code == 1 and "este mismo entrenamiento" in result.output
    finally:
        child.kill()
        child.wait()


@pytest.mark.slow
def test_two_trainings_at_once_take_two_names(site: Path, table: Path, contract: Contract) -> None:
    """Who ends last would otherwise overwrite the candidate of who ended first."""
    other = learnable_rows.write(
        site / "noviembre.csv", contract, learnable_rows.rows(contract, COUNT + 1)
    )
    words = ["train", "{}", "--minutes", "0.05", "--families", "logistica", "--tracking", "no"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "propensia", *(word.format(data) for word in words)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for data in (table, other)
    ]
    assert [process.wait(timeout=600) for process in started] == [0, 0]
    assert len(list((site / "models" / "candidates").glob("*.pkl"))) == 2


def test_a_name_that_another_training_is_about_to_use_is_refused(site: Path, table: Path) -> None:
    folder = site / "var" / "training_names"
    folder.mkdir(parents=True)
    with Lock(folder / "m.lock"):
        result = quick(table, "--out", "m")
    assert result.exit_code == 1
    assert "un entrenamiento que hará m" in result.output
    assert "--out" in result.output


@pytest.mark.slow
def test_a_contract_whose_columns_are_named_as_its_features_is_learnt_by_its_columns(
    site: Path, contract: Contract
) -> None:
    """A file tells its view by names alone; these have the same, and other numbers."""
    text = (resources.files("propensia") / "contracts" / "cobranza.toml").read_text("utf-8")
    kept = ("er", "dt", "nl")
    head, *parts = re.split(r"(?=^\[\[parameters\]\])", text, flags=re.MULTILINE)
    parts[-1], columns = re.split(r"(?=^\[\[columns\]\])", parts[-1], maxsplit=1, flags=re.M)
    chosen = [part for part in parts if re.search(r'name = "(\w+)"', part)[1] in kept]  # type: ignore[index]
    blocks = re.split(r"(?=^\[\[columns\]\]|^\[demonstration\]|^# )", columns, flags=re.MULTILINE)
    wanted = [b for b in blocks if any(f'from = "{name}"' in b for name in kept)]
    own = site / "own.toml"
    own.write_text(head + "".join(chosen) + "".join(wanted), encoding="utf-8")
    made = contracts.load(str(own))
    assert set(made.column_names) == {p.feature for p in made.parameters}
    rows = learnable_rows.rows(contract, COUNT)
    table = learnable_rows.write(site / "t.csv", contract, rows)
    result = quick(table, "--contract", own, "--out", "m")
    assert result.exit_code == 0, result.output
    checked = CliRunner(env={"PROPENSIA_CONTRACT": str(own)}).invoke(
        cli, ["check", str(site / "models" / "candidates" / "m.pkl")]
    )
    assert checked.exit_code == 0, checked.output
    assert "!" not in [line.strip()[:1] for line in checked.output.splitlines()]
