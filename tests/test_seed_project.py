"""The seed project's recipe flatters its models, in the way and the direction that it must."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmarks import seed_project, seed_report
from benchmarks.rows import COLUMNS
from benchmarks.seed_project import Sizes
from benchmarks.seed_report import BEGIN, END, PUBLISHED, Figures
from propensia import contract as contracts
from propensia.features import Features

PAGE = Path(__file__).resolve().parents[1] / "docs" / "semilla.md"
SMALL = Sizes(rows=2000, further=4000, trees=40, searched_trees=20, epochs=4, cores=1)
_JUDGED = ("recipe", "inside", "real", "truth")
WAYS = (*_JUDGED, *(f"{way}_new" for way in _JUDGED))
Judged = Mapping[str, Mapping[str, list[Figures]]]


@pytest.fixture(scope="module")
def judged() -> Judged:
    return seed_project.measure(["base", "searched"], SMALL, [1, 2], lambda text: None)


def mean(figures: list[Figures], name: str) -> float:
    """The mean of a figure over the tables."""
    return statistics.fmean(getattr(one, name) for one in figures)


@pytest.mark.parametrize("name", ["base", "searched"])
def test_balancing_before_the_split_flatters(judged: Judged, name: str) -> None:
    """Half of the payers in its test part were made from rows that the model had learnt."""
    ways = {way: mean(figures, "auc") for way, figures in judged[name].items()}

    # The same models, on 8,000 further debtors in all: only the rows they are judged on differ,
    # and the standard error of such an AUC is 0.007.
    assert ways["recipe"] > ways["recipe_new"] + 0.05
    # Whoever split first was told the truth by its test part: two of 400 rows, error 0.02.
    for way in ("inside", "real"):
        assert ways[way] == pytest.approx(ways[f"{way}_new"], abs=0.06)


@pytest.mark.parametrize("name", ["base", "searched"])
def test_its_probabilities_are_those_of_another_world(judged: Judged, name: str) -> None:
    ways = judged[name]

    for way in ("recipe_new", "inside", "inside_new"):
        assert mean(ways[way], "mean_chance") > mean(ways[way], "rate") + 0.08
        assert mean(ways[way], "calibration") > mean(ways["real_new"], "calibration")
    # Three standard errors of the rates of 8,000 rows and of the 3,200 that were learnt from.
    for way in ("real", "real_new"):
        assert mean(ways[way], "mean_chance") == pytest.approx(mean(ways[way], "rate"), abs=0.05)
    assert mean(ways["recipe"], "rate") == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", ["base", "searched"])
def test_only_the_recipe_seems_to_beat_the_truth(judged: Judged, name: str) -> None:
    """No model can rank better than the probabilities that the labels were drawn from."""
    ways = {way: mean(figures, "auc") for way, figures in judged[name].items()}

    assert ways["recipe"] > ways["truth"]
    for way in ("real", "inside"):
        assert ways[way] < ways["truth"]
    for way in ("recipe", "real", "inside"):
        assert ways[f"{way}_new"] < ways["truth_new"]


def test_the_rows_are_encoded_as_the_recipe_did(contract: contracts.Contract) -> None:
    rows = seed_project.debtors(400, seed=3)

    assert tuple(rows.columns) == COLUMNS == contract.column_names
    kinds = {name: kind.kind for name, kind in rows.columns.dtypes.items()}
    assert [name for name in COLUMNS if kinds[name] == "i"] == [
        *("ESCENARIO_RECOBRO", "PORTADO", "VPT", "ESTADO_CLIENTE", "VAP_SCF", "VAP_OB", "BAJA")
    ]
    assert rows.columns.to_numpy().min() >= 0 and rows.columns.to_numpy().max() <= 1
    assert (rows.columns[["0_30", "31_50", "51_65", "MAYOR_65"]].sum(axis=1) == 1).all()
    assert set(rows.labels) == {0, 1}
    # The published first row of the data, read by the same contract.
    texts = {name: [text] for name, text in contract.example().items()}
    values, faults = Features(contract).read_many(texts)
    assert not faults
    published = [0.857143, 0.839104, 0, 1, 0, 1, 0.153846, 1, 1, 0, 0, 1, 0, 0, 1, 0]
    assert Features(contract).matrix(values)[0] == pytest.approx(published, abs=1e-6)


def test_balancing_cuts_new_flags_back_to_whole_numbers() -> None:
    rows = seed_project.debtors(400, seed=3)

    columns, labels = seed_project.balanced(rows.columns, rows.labels, seed=1)

    assert labels.mean() == 0.5
    assert len(labels) == 2 * int((rows.labels == 0).sum())
    assert set(np.unique(columns["BAJA"])) <= {0, 1}
    provinces = columns["CODIGO_POSTAL"].to_numpy() * 52
    assert not np.allclose(provinces, provinces.round())  # between two provinces, as published


def test_the_figures_are_those_of_a_computation_by_hand() -> None:
    chances = np.array([0.2, 0.8, 0.6, 0.4])
    labels = np.array([0, 1, 0, 1])

    found = seed_project.judged(lambda _: chances, seed_project.debtors(4, 1).columns, labels, 0.9)

    assert (found.train_accuracy, found.accuracy, found.rate) == (0.9, 0.5, 0.5)
    assert found.auc == pytest.approx(3 / 4)  # of four pairs, only 0.4 under 0.6 is wrong
    assert found.log_loss == pytest.approx(-(2 * np.log(0.8) + 2 * np.log(0.4)) / 4)
    assert found.brier == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 4)
    assert found.calibration == pytest.approx((2 * 0.2 + 2 * 0.6) / 4)  # each in a bin alone
    assert found.mean_chance == pytest.approx(0.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TensorFlow and Keras warn of each other
def test_the_network_of_the_recipe_learns_and_is_judged() -> None:
    found = seed_project.measure(["network"], SMALL, [1], lambda text: None)["network"]

    assert found["recipe"][0].auc > 0.6
    assert found["recipe_new"][0].mean_chance > found["recipe_new"][0].rate + 0.08


def _some(value: float) -> Figures:
    return Figures(None, *[value] * 7)


def test_the_tables_tell_mean_and_spread_in_spanish() -> None:
    ways = {way: [_some(0.2), _some(0.4)] for way in WAYS}
    found = {"base": {**ways, "recipe": [_some(0.9), _some(0.9)]}}

    text = seed_report.document(found, rows=7339, further=20_000, repeats=2)

    assert "Media de 2 tablas generadas de 7.339 filas" in text
    assert "otra tabla de 20.000 filas" in text
    assert "| deudores nuevos: el modelo de la receta |  | 30,0 ± 14,1 % | 0,300 ± 0,141 |" in text
    assert "−60,0 ± 14,1 puntos | −0,600 ± 0,141 |" in text  # noqa: RUF001 - a minus sign
    # Both ways move alike from table to table, so their difference does not.
    assert "deudores nuevos: de las filas reales al techo | +0,0 ± 0,0 puntos |" in text
    assert "| deudores nuevos: decir «nadie paga» |  | 70,0 % |" in text


def test_the_tables_go_between_the_marks_of_a_page() -> None:
    page = f"Antes\n{BEGIN}\nviejo\n{END}\ndespués\n"

    changed = seed_report.replaced(page, "nuevo")

    assert changed == f"Antes\n{BEGIN}\n\nnuevo\n\n{END}\ndespués\n"
    assert seed_report.replaced(changed, "nuevo") == changed
    with pytest.raises(seed_report.MarksMissing):
        seed_report.replaced("sin marcas", "nuevo")


def test_the_page_holds_the_tables_that_the_command_writes() -> None:
    """All models, all ways of judging, and the published figures as they are in the program."""
    page = PAGE.read_text(encoding="utf-8")
    written = page.partition(BEGIN)[2].partition(END)[0]
    ways = {way: [_some(0.5)] for way in WAYS}
    fresh = seed_report.document(dict.fromkeys(PUBLISHED, ways), 7339, 20_000, repeats=5)

    def frame(text: str) -> list[str]:
        """Headings, the first cell of each row, and the rows of published figures."""
        lines = [line for line in text.splitlines() if line.startswith(("|", "#"))]
        return [x if "publicado" in x else x.partition(" | ")[0] for x in lines]

    assert frame(written) == frame(fresh)
    measured = re.search(r"Media de (\d+) tablas generadas de 7\.339 filas", written)
    assert measured is not None and "otra tabla de 20.000 filas" in written
    assert f"python -m benchmarks seed --repeats {measured[1]} --out docs/semilla.md" in page
