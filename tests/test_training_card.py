"""The card of a model: a page that stands alone, and every figure on it counted again by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.inspection import partial_dependence, permutation_importance
from test_training_sidecars import COUNT, JUDGED, made

from propensia.contract import Contract, Parameter
from propensia.training import blending, card, importance, plots, running
from propensia.training.results import Figure, Finding, Trained


class Page(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).replace("\u202f", " ").split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return made()


@pytest.fixture(scope="module")
def html(trained: Trained) -> str:
    return card.render(trained)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


# The page


def test_the_page_stands_alone(page: Page, html: str) -> None:
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    outside = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(value and value.startswith("#") for value in outside)
    assert "http:" not in html and "https:" not in html and "@import" not in html
    assert len(html.encode()) < 2_000_000
    assert page.open == []
    assert ("lang", "es") in page.attributes


def test_a_name_within_the_page_means_one_thing(html: str) -> None:
    """Clip paths and marks may come twice: then their names are of the same shape."""
    shapes: dict[str, set[str]] = {}
    for kind, name, shape in re.findall(r'<(clipPath|path) id="(\w+)"(.*?)/>', html, re.DOTALL):
        shapes.setdefault(name, set()).add(kind + shape)
    assert {len(kinds) for kinds in shapes.values()} == {1}
    assert set(re.findall(r'\bid="(\w+)"', html)) == set(shapes)
    assert set(re.findall(r'url\(#(\w+)\)|href="#(\w+)"', html)) <= {
        pair for name in shapes for pair in ((name, ""), ("", name))
    }


@pytest.mark.parametrize(
    "told",
    [
        "prueba_2026-10",
        "clientes.csv",
        "ab" * 32,
        "903 leídas, 900 usadas",
        "EDAD edad_no_valida: 3",
        "Umbral: 31,0 %",
        "Regla: El umbral de mejor F1. Un caso",
        "0,810",
        "0,750 a 0,860",
        "logistic",
        "C = 1; bins = 0",
        "n_estimators = 100; extra_trees = sí; max_features = nada",
        "learning_rate = 1·10⁻⁵; reg_alpha = 3,21·10⁻⁸; units = 27, 64",
        "scikit-learn 1.9.1",
        "semilla 3",
        "una tabla nueva de 75 filas",
        "INFORME DEL MODELO",
        "3 intentos, 0,7 minutos",
        "Recibe 13 valores tal como llegan",
        "La tabla se repartió en 5 partes",
    ],
)
def test_the_page_tells_what_is_known(told: str, page: Page) -> None:
    assert told in page.text


def test_a_model_judged_on_the_newest_rows_says_since_when() -> None:
    one = made(dates=True)
    page = Page(card.render(replace(one, evaluation=replace(one.evaluation, purged=12))))
    assert "las filas más nuevas, desde el 02/03/2023: 300." in page.text
    assert "se quitaron 12 porque su cliente" in page.text
    assert "del 01/01/2023 al 31/03/2023" in page.text


def test_what_others_wrote_is_text_and_a_password_is_nobodys(trained: Trained) -> None:
    finding = Finding("raro", "X", "<script>alert(1)</script> & «eso»")
    source = "postgresql://ana:se/c@reto@10.0.0.1/cobros"
    one = replace(trained, findings=(finding,), data=replace(trained.data, source=source))
    html = card.render(one)
    assert "<script" not in html
    assert "<script>alert(1)</script> & «eso». raro" in Page(html).text
    assert "reto" not in html and "//10.0.0.1/cobros" in html


@pytest.mark.parametrize("folder", ["/srv/datos/ana/", "C:\\Users\\ana\\", ""])
def test_a_file_is_told_by_its_name(folder: str) -> None:
    assert card._source(f"{folder}cobros.csv") == "cobros.csv"


def test_a_figure_without_a_number_and_one_without_a_name(trained: Trained) -> None:
    figures = {
        "auc": Figure(float("nan"), float("nan"), float("nan"), float("nan")),
        "ks": Figure(0.4321, 0.4, 0.5, 0.1),
        "ece": Figure(0.0123, 0.01, 0.015, 0.001),
        "ece_sin_sesgo": Figure(0.0047, 0.0, 0.0091, 0.002),
        "lift_10": Figure(2.5, 2.0, 3.0, 0.1),
        "euros_por_fila": Figure(-0.25, -1.0, 0.5, 0.4),
    }
    one = replace(trained, evaluation=replace(trained.evaluation, figures=figures))
    text = Page(card.render(one)).text
    assert "sin dato sin dato a sin dato AUC" in text
    assert "0,432 0,400 a 0,500 ks" in text
    assert "1,2 puntos 1,0 a 1,5 Error de calibración distancia" in text
    assert "0,5 puntos 0,0 a 0,9 Error de calibración sin azar" in text
    assert "\N{MULTIPLICATION SIGN} 2,50 2,00 a 3,00 Elevación" in text
    assert "\N{MINUS SIGN}0,25 € \N{MINUS SIGN}1,00 a 0,50 Ganancia por fila" in text


def test_a_model_of_columns_is_told_by_how_many_it_takes() -> None:
    one = made(view="columns")
    page = Page(card.render(replace(one, candidates=one.candidates[:1])))
    assert "Recibe 16 columnas del contrato" in page.text
    assert "1 intento, 0,7 minutos" in page.text


def test_what_was_asked_for_is_told_where_it_is_not_the_usual(trained: Trained) -> None:
    usual = {
        **{"minutes": 10.0, "families": list(running.KINDS), "balance": "none"},
        **{"threshold": "f1", "recovery": 1.0, "allow": [], "column": {}, "date": None},
        "key": None,
    }
    assert "Opciones" not in Page(card.render(replace(trained, options=usual))).text
    asked = {
        **{"balance": "smote", "recovery": 0.25, "allow": ["CP", "EDAD"]},
        **{"column": {"EDAD": "LA EDAD"}, "date": "", "families": ["logistica", "red"]},
    }
    text = Page(card.render(replace(trained, options=usual | asked))).text
    assert (
        "Opciones --families logistica,red , --balance smote , --recovery 0,25 , --allow CP , "
        '--allow EDAD , --column "EDAD=LA EDAD" , --date "" '
    ) in text


def test_the_same_model_gives_the_same_curves(trained: Trained) -> None:
    labels = trained.rows.labels[-JUDGED:]
    assert card._curves(trained, labels) == card._curves(trained, labels)


@pytest.mark.parametrize("calibrator", blending.CALIBRATORS)
def test_a_calibrator_is_told_in_spanish(trained: Trained, calibrator: str) -> None:
    told = card.render(replace(trained, calibrator=calibrator))
    assert f"<dd>{calibrator}</dd>" not in told and "<dt>Calibración</dt>" in told


def test_the_deciles_are_those_of_a_sorted_list(trained: Trained, page: Page) -> None:
    chances = trained.evaluation.chances.tolist()
    labels = trained.rows.labels[-JUDGED:].tolist()
    best = [label for _, label in sorted(zip(chances, labels, strict=True), reverse=True)]
    tenth = JUDGED // 10
    first, second = sum(best[:tenth]), sum(best[tenth : 2 * tenth])
    rate = f"{100 * second / tenth:.1f}".replace(".", ",")
    lift = f"{second / tenth / (sum(best) / JUDGED):.2f}".replace(".", ",")
    reached = f"{100 * (first + second) / sum(best):.1f}".replace(".", ",")
    assert f" 2 {tenth} {rate} % {lift} {reached} % 3 {tenth} " in page.text


def test_the_errors_of_a_group_are_counted_by_row(trained: Trained, page: Page) -> None:
    ages = trained.rows.values["ed"][-JUDGED:].tolist()
    chances, labels = trained.evaluation.chances.tolist(), trained.rows.labels[-JUDGED:].tolist()
    thresholds = trained.evaluation.thresholds.tolist()
    assert len(set(thresholds)) > 1, "each row has its own"
    young = [
        (chance >= threshold, label == 1)
        for age, chance, label, threshold in zip(ages, chances, labels, thresholds, strict=True)
        if 30 < age <= 50
    ]
    shares = [
        sum(yes != real for yes, real in young) / len(young),
        sum(yes for yes, _ in young) / len(young),
        sum(real for _, real in young) / len(young),
    ]
    written = " ".join(f"{100 * share:.1f} %".replace(".", ",") for share in shares)
    assert f"31-50 {len(young)} {written}" in page.text


# Groups


def named(contract: Contract, name: str, values: list[Any]) -> list[str]:
    parameter = contract.parameter(name)
    kind = object if parameter.is_category else np.float64
    return card.groups(contract, parameter, np.array(values, dtype=kind)).tolist()


def test_a_number_with_labels_is_grouped_by_its_bands(contract: Contract) -> None:
    found = named(contract, "ed", [0.0, 30.0, 31.0, 50.0, 65.0, 66.0, 120.0, np.nan])
    assert found == [
        "0-30", "0-30", "31-50", "31-50", "51-65", "MAYOR 65", "MAYOR 65", "sin dato",
    ]  # fmt: skip


def test_a_number_that_is_divided_whole_is_grouped_by_the_quotient(contract: Contract) -> None:
    assert named(contract, "cp", [8029.0, 8999.0, 28001.0]) == ["8", "8", "28"]


def test_any_other_number_is_grouped_by_quarters(contract: Contract) -> None:
    found = named(contract, "dt", [*map(float, range(1, 101)), np.nan])
    assert found[0] == found[24] == "hasta 25,75"
    assert found[25] == found[49] == "25,75 a 50,5"
    assert found[99] == "más de 75,25"
    assert found[100] == "sin dato"
    assert named(contract, "dt", [np.nan, np.nan]) == ["sin dato", "sin dato"]


def test_a_category_is_grouped_by_its_text(contract: Contract) -> None:
    assert named(contract, "er", ["EMP", "PER", None]) == ["EMP", "PER", "sin dato"]


def pooled(names: list[str], parameter: Parameter) -> dict[str, npt.NDArray[np.bool_]]:
    return card.pooled(np.array(names, dtype=object), parameter)


def test_small_groups_are_one(contract: Contract) -> None:
    names = ["a"] * 29 + ["b"] * 30 + ["c"] * 31 + ["d"]
    found = pooled(names, contract.parameter("cp"))
    assert {name: int(places.sum()) for name, places in found.items()} == {
        "c": 31, "b": 30, "resto": 30,
    }  # fmt: skip
    assert list(found) == ["c", "b", "resto"]
    assert (np.sum(list(found.values()), axis=0) == 1).all()


def test_bands_keep_their_order_and_too_many_groups_are_cut(contract: Contract) -> None:
    bands = ["51-65"] * 90 + ["0-30"] * 40 + ["31-50"] * 50
    assert list(pooled(bands, contract.parameter("ed"))) == ["0-30", "31-50", "51-65"]
    many = pooled([f"{group}" for group in range(40) for _ in range(30)], contract.parameter("cp"))
    assert len(many) == 31
    assert many["resto"].sum() == 10 * 30


# What the model pays attention to


def test_the_importance_is_that_of_scikit_learn(trained: Trained) -> None:
    """Both shuffle by lot: means over 10 repeats differ by some of their standard errors."""
    found = {one.name: one for one in importance.permutation(trained, trained.rows, 10, seed=1)}
    data = trained.rows.table(trained.contract, "raw")
    theirs = permutation_importance(
        trained.model, data, trained.rows.labels, scoring="roc_auc", n_repeats=10, random_state=2
    )
    for place, parameter in enumerate(trained.contract.parameters):
        one = found[parameter.name]
        error = np.hypot(one.spread, theirs.importances_std[place]) / np.sqrt(10)
        assert one.drop == pytest.approx(theirs.importances_mean[place], abs=5 * error + 1e-12)


def test_all_columns_of_a_parameter_are_shuffled_together() -> None:
    """The model of columns hears of an age in four of them, and may never hear of two ages."""
    one = made(view="columns")
    asked: list[npt.NDArray[np.float64]] = []

    class Listening:
        def predict_proba(self, data: Any) -> npt.NDArray[np.float64]:
            asked.append(data[["0_30", "31_50", "51_65", "MAYOR_65"]].to_numpy())
            return one.model.predict_proba(data)

    found = importance.permutation(replace(one, model=Listening()), one.rows, 2, seed=1)
    assert [item.drop for item in found] == sorted((item.drop for item in found), reverse=True)
    assert (np.concatenate(asked).sum(axis=1) == 1).all()
    # One call as it is, and one of two shuffled tables for each parameter.
    assert [len(part) for part in asked] == [COUNT, *[2 * COUNT] * len(one.contract.parameters)]


def test_what_is_never_used_has_no_importance(trained: Trained) -> None:
    """VAP_SCF is N in every row: nothing can be shuffled."""
    found = {i.name: i for i in importance.permutation(trained, trained.rows, 2, seed=1)}
    assert (found["vf"].drop, found["vf"].spread) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["dt", "er", "cf", "fb"])
def test_the_dependence_is_that_of_scikit_learn(name: str, trained: Trained) -> None:
    few = trained.rows.take(np.arange(100))
    found = importance.dependence(trained, few, name)
    feature = trained.contract.parameter(name).feature
    kind = object if isinstance(found.values[0], str) else np.float64
    theirs = partial_dependence(
        trained.model,
        few.table(trained.contract, "raw"),
        [feature],
        method="brute",
        custom_values={feature: np.array(found.values, dtype=kind)},
    )
    assert found.chances == pytest.approx(theirs["average"][0], abs=1e-12)
    assert (found.missing is not None) == (name == "fb")


def test_a_missing_value_has_a_dependence_of_its_own(trained: Trained) -> None:
    few = trained.rows.take(np.arange(100))
    data = few.table(trained.contract, "raw").assign(FECHA_BPI=np.nan)
    expected = trained.model.predict_proba(data)[:, 1].mean()
    assert importance.dependence(trained, few, "fb").missing == pytest.approx(expected, abs=1e-12)


def test_the_grid_of_a_number_has_values_that_occur() -> None:
    values = np.random.default_rng(1).integers(0, 5_000, 10_000) / 4
    grid = importance.numbers_of(values)
    assert 10 <= len(grid) <= 15
    assert set(grid) <= set(values.tolist())
    assert np.mean(values < grid[0]) == pytest.approx(0.02, abs=0.001)
    assert importance.numbers_of(np.array([2.0, np.nan, 1.0, 2.0])) == [1.0, 2.0]


def test_a_sample_keeps_the_shares_and_enough_of_the_rare_class() -> None:
    labels = np.zeros(100_000, dtype=np.int64)
    labels[:20_000] = 1
    picked = importance.sample(labels, 1_000, seed=1)
    assert (len(picked), int(labels[picked].sum())) == (1_000, 200)
    assert len(np.unique(picked)) == 1_000
    rare = np.zeros(100_000, dtype=np.int64)
    rare[:80] = 1
    assert rare[importance.sample(rare, 1_000, seed=1)].sum() == 50
    assert len(importance.sample(labels[19_990:20_010], 1_000, seed=1)) == 20


def test_a_slow_model_is_asked_about_fewer_rows(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    class Slow:
        """Each call takes a second, and 0.4 ms a row more."""

        def predict_proba(self, data: Any) -> npt.NDArray[np.float64]:
            now[0] += 1 + 0.0004 * len(data)
            return np.full((len(data), 2), 0.5)

    monkeypatch.setattr(importance, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    slow = replace(trained, model=Slow())
    assert importance.affordable(slow, 10, budget_s=2.0) == pytest.approx(500, abs=1)
    assert importance.affordable(slow, 10**6, budget_s=2.0) == importance.FEWEST


# Plots


ONE, TWO = np.array([0.0, 1.0]), np.array([0.2, 0.4])
PICTURES = {
    "roc": plots.roc(ONE, ONE, ("no", "sí")),
    "recall": plots.precision_recall(ONE, TWO, 0.3, "sí"),
    "calibration": plots.calibration(TWO, TWO, (TWO - 0.1, TWO + 0.1), "sí"),
    "one bin": plots.calibration(TWO[:1], ONE[:1], (ONE[:1], TWO[:1]), "sí"),
    "gain": plots.gain(np.array([0.0, 0.7, 1.0]), 0.3, "sí"),
    "lift": plots.lift(np.array([2.5, 0.0])),
    "histogram": plots.histogram({"no": TWO, "sí": TWO}, 0.31),
    "nobody": plots.histogram({"no": TWO, "sí": TWO[:0]}, 1.0),
    "importance": plots.importance(["Cuota ($)", "Cargos ($)"], np.array([0.1, -0.01]), TWO / 100),
    "line": plots.dependence_line("Edad", ONE, TWO, 0.3, 0.5),
    "one value": plots.dependence_line("Edad", ONE[:1], TWO[:1], None, 0.5),
    "steps": plots.dependence_steps("Pago", ["x" * 40, "<b>&"], TWO, 0.3, 0.5),
    "segments": plots.segments(["0-30", "resto"], {"Mal": (TWO, TWO - 0.1, TWO + 0.1, 0.3)}),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_sound_says_what_it_is_and_holds_its_letters(name: str) -> None:
    svg = PICTURES[name]
    assert re.match(r'<svg role="img" aria-label="[^"]+" viewBox="0 0 [\d.]+ [\d.]+">', svg)
    root = ElementTree.fromstring(svg.replace("<svg", '<svg xmlns:xlink="x"', 1))
    words = [element.text for element in root.iter("text")]
    assert len(words) > 2 and all(words)
    numbers = re.sub(r">[^<]*<", "><", svg)
    assert not re.search(r"\b(nan|inf)\b", numbers)
    assert not any(re.search(r"\d\.\d", word or "") for word in words)
    assert "font-family" not in svg  # it is the page's


def test_a_picture_keeps_the_words_it_was_given() -> None:
    """Two dollar signs would be a formula to matplotlib."""
    assert "Cuota ($)" in PICTURES["importance"]
    assert "&lt;b&gt;&amp;" in PICTURES["steps"]
    assert "umbral 31,0\u202f%" in PICTURES["histogram"]
