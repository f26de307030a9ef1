"""LightGBM classifiers answer as the library does, and broken or hostile texts are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from booster_rows import LABELS, ROWS, UNSEEN, at_splits, check_same, compiled, holed
from compiled_models import COLUMNS, NEGATIVE, POSITIVE, answers, node_of
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from propensia.admission import graph, parity
from propensia.admission.compiler import compile_on
from propensia.admission.families.parts import Column
from propensia.admission.nodes import Global, Node
from propensia.admission.parity import materialise
from propensia.admission.refusal import Refusal

# Sums of a few hundred doubles.
CLOSE = 1e-14
ZERO = float(np.float32(1e-35))


def fitted(rows: np.ndarray = ROWS, labels: np.ndarray = LABELS, **settings: Any) -> Any:
    given = {"n_estimators": 40, "num_leaves": 20, "n_jobs": 1, "verbose": -1, **settings}
    return LGBMClassifier(**given).fit(rows, labels)


def splits_of(model: Any) -> list[tuple[int, float]]:
    """Column and threshold of the first splits of the first trees, by the library itself."""
    frame = model.booster_.trees_to_dataframe()
    inner = frame[frame.left_child.notna() & (frame.decision_type == "<=")]
    inner = inner[inner.tree_index < 10].groupby("tree_index").head(30)
    places = inner.split_feature.str.removeprefix("Column_").astype(int)
    pairs = zip(places, inner.threshold.astype(float), strict=True)
    return [(place, split) for place, split in pairs if np.isfinite(split)]


MODELS: dict[str, dict[str, Any]] = {
    "boosting": {},
    "DART": {"boosting_type": "dart", "drop_rate": 0.5, "skip_drop": 0.0},
    "a random forest": {"boosting_type": "rf", "subsample": 0.6, "subsample_freq": 1},
    "GOSS": {"data_sample_strategy": "goss"},
    "cross entropy": {"objective": "cross_entropy"},
    "a steeper logistic function": {"sigmoid": 2.5},
    "unbalanced classes": {"is_unbalance": True},
    "weighted classes": {"class_weight": "balanced"},
    "softmax of two": {"objective": "multiclass", "num_class": 2},
    "random splits": {"extra_trees": True},
    "stumps": {"num_leaves": 2},
    "single leaves": {"min_child_samples": 1400},
    "many trees": {"n_estimators": 500},
    "no missing values": {"use_missing": False},
    "zeros are missing": {"zero_as_missing": True},
}


@pytest.mark.parametrize("name", MODELS)
def test_trees_answer_as_the_library_on_unseen_rows_and_at_every_split(name: str) -> None:
    model = fitted(**MODELS[name])
    splits = [] if name == "single leaves" else splits_of(model)
    result = check_same(model, at_splits(splits, UNSEEN), CLOSE)
    assert result.family == "LGBMClassifier" and result.libraries == {"lightgbm": "v4"}
    assert result.facts["trees"] == model.booster_.num_trees()


@pytest.mark.parametrize("name", ["boosting", "no missing values", "zeros are missing"])
def test_a_missing_value_takes_the_side_that_was_learnt(name: str) -> None:
    labels = LABELS | np.isnan(holed(ROWS, 1)[:, 0])
    model = fitted(holed(ROWS, 1), labels, **MODELS[name])
    rows = at_splits(splits_of(model), holed(UNSEEN, 2))
    check_same(model, np.concatenate([rows, rows - 4]), CLOSE, missing=True)
    # Trained without any, the library reads NaN as 0 or as it says.
    check_same(fitted(**MODELS[name]), rows, CLOSE, missing=True)


@pytest.mark.parametrize("zeros", [False, True])
def test_what_is_nearly_zero_is_zero(zeros: bool) -> None:
    model = fitted(ROWS - 3, zero_as_missing=zeros)
    random = np.random.default_rng(4)
    tiny = [0.0, 1e-36, 5e-324, ZERO, np.nextafter(ZERO, 1), 1e-34]
    rows = UNSEEN.copy()
    rows[:, 2:] = random.choice([*tiny, *(-number for number in tiny)], (len(rows), 4))
    check_same(model, rows, CLOSE)
    root = node_of(model)
    text = root.state["_Booster"].state["_handle"]
    first = next(line for line in text.split("\n") if line.startswith("threshold="))
    nearer = "threshold=" + " ".join(["0"] * len(first.split(" ")))
    moved = resized(text.replace(first, nearer, 1))
    booster = lightgbm.Booster(model_str=moved)
    root.state["_Booster"].state["_handle"] = moved
    assert np.abs(answers(compiled(root), rows) - booster.predict(rows)).max() <= CLOSE


def test_a_scaler_before_it_flips_no_class() -> None:
    model = make_pipeline(StandardScaler(), LGBMClassifier(n_estimators=40, verbose=-1, n_jobs=1))
    model.fit(ROWS, LABELS)
    result = check_same(model, np.concatenate([ROWS, UNSEEN]), CLOSE)
    assert result.family == "Pipeline(StandardScaler, LGBMClassifier)"


@pytest.mark.parametrize("onehot", [1, 100])
def test_splits_of_categories_send_each_code_as_the_library_does(onehot: int) -> None:
    model = LGBMClassifier(
        n_estimators=30,
        n_jobs=1,
        verbose=-1,
        cat_smooth=1,
        min_data_per_group=1,
        max_cat_to_onehot=onehot,
    ).fit(holed(ROWS, 1), LABELS, categorical_feature=[2, 3, 5])
    odd = np.array([-1.0, -0.5, 2.7, 31, 32, 52.9, 53, 63, 64, 65_536, 3e9, -3e9, np.nan])
    rows = [holed(UNSEEN, 2)]
    for column in (2, 3, 5):
        block = UNSEEN[: len(odd)].copy()
        block[:, column] = odd
        rows.append(block)
    check_same(model, np.concatenate(rows), CLOSE, missing=True)


TEXTS = ("NO", "SI", "N", "BAJAS")


def frame_of(rows: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["D"] = pd.Categorical(frame["D"].astype(int))
    frame["F"] = pd.Categorical(np.array(TEXTS)[rows[:, 5].astype(int)])
    return frame


def test_categories_of_a_data_frame_are_found_by_what_they_stand_for() -> None:
    labels = LABELS ^ (ROWS[:, 5] == 2)
    model = fitted(
        frame_of(ROWS[(ROWS[:, 3] != 7) & (ROWS[:, 5] != 3)]),  # type: ignore[arg-type]
        labels[(ROWS[:, 3] != 7) & (ROWS[:, 5] != 3)],
        cat_smooth=1,
        min_data_per_group=5,
    )
    inputs = tuple(Column(name, TEXTS if name == "F" else None) for name in COLUMNS)
    node = node_of(model)
    result = compile_on(node, inputs, POSITIVE, NEGATIVE)
    # The library takes what the training did not see for a missing value, and so do we.
    expected = model.predict_proba(frame_of(UNSEEN))[:, 1]
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE
    mixed = UNSEEN.astype(object)
    mixed[:, 5] = np.array(TEXTS, dtype=object)[UNSEEN[:, 5].astype(int)]
    assert np.abs(materialise(node).predict_proba(mixed)[:, 1] - expected).max() <= CLOSE
    with pytest.raises(Refusal) as refusal:
        compiled(node)
    assert refusal.value.code == "valores_distintos" and " F " in refusal.value.detail


def test_a_model_stops_at_its_best_iteration() -> None:
    model = LGBMClassifier(n_estimators=200, learning_rate=0.05, n_jobs=1, verbose=-1)
    model.fit(
        ROWS[:900],
        LABELS[:900],
        eval_X=ROWS[900:],
        eval_y=LABELS[900:],
        eval_metric=["auc", "binary_logloss"],
        callbacks=[lightgbm.early_stopping(7, verbose=False)],
    )
    assert 1 < model.best_iteration_ < 200
    assert check_same(model, UNSEEN, CLOSE).facts["trees"] == model.best_iteration_


@pytest.mark.parametrize(("best", "used"), [(7, 7), (0, 25), (-1, 25), (99, 25)])
def test_later_iterations_than_the_best_are_not_used(best: int, used: int) -> None:
    """Continued training keeps them in the text."""
    given = {"objective": "binary", "verbose": -1, "num_threads": 1}
    model = lightgbm.train(given, lightgbm.Dataset(ROWS, LABELS), 25)
    model.best_iteration = best
    result = check_same(model, UNSEEN, CLOSE, expected=model.predict(UNSEEN))
    assert result.facts["trees"] == used


def test_a_bare_booster_of_two_classes_is_served() -> None:
    given = {"objective": "binary", "verbose": -1, "boosting": "dart", "num_threads": 1}
    model = lightgbm.train(given, lightgbm.Dataset(ROWS, LABELS), 25)
    result = check_same(model, UNSEEN, CLOSE, expected=model.predict(UNSEEN))
    assert result.family == "LightGBM Booster" and result.positive == 1


def test_columns_are_found_by_name_where_lightgbm_has_written_blanks_otherwise() -> None:
    names = ["deuda total", *COLUMNS[1:]]
    frame = pd.DataFrame(ROWS, columns=names)[[names[3], *names[:3], *names[4:]]]
    model = fitted(frame)  # type: ignore[arg-type]
    inputs = tuple(Column(name) for name in names)
    result = compile_on(node_of(model), inputs, POSITIVE, NEGATIVE)
    unseen = pd.DataFrame(UNSEEN, columns=names)[list(frame.columns)]
    expected = model.predict_proba(unseen)[:, 1]
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE
    assert result.named_columns and result.order == (3, 0, 1, 2, 4, 5)


def test_other_columns_are_refused() -> None:
    frame = pd.DataFrame(ROWS, columns=["Z", *COLUMNS[1:]])
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(fitted(frame)))  # type: ignore[arg-type]
    assert refusal.value.detail == "faltan A; sobran Z"
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(fitted(ROWS[:, :5])))
    assert refusal.value.code == "columnas_distintas"


@pytest.mark.parametrize("labels", [("NO", "SI"), (False, True), ("SI", "NO")])
def test_the_positive_class_is_found_by_its_label(labels: tuple[object, object]) -> None:
    model = fitted(labels=np.array([labels[label] for label in LABELS]))
    place = [str(label) in POSITIVE for label in model.classes_].index(True)
    expected = model.predict_proba(UNSEEN)[:, place]
    result = compiled(node_of(model))
    assert result.positive == place
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE


AROUND: dict[str, Callable[[Any], Any]] = {
    "calibrated": lambda booster: CalibratedClassifierCV(booster, cv=2),
    "isotonic": lambda booster: CalibratedClassifierCV(booster, method="isotonic", cv=2),
    "voting": lambda booster: VotingClassifier(
        [("a", booster), ("b", make_pipeline(StandardScaler(), LogisticRegression()))],
        voting="soft",
    ),
    "stacking": lambda booster: StackingClassifier(
        [("a", booster), ("b", make_pipeline(StandardScaler(), booster))], cv=2
    ),
}


@pytest.mark.parametrize("name", AROUND)
def test_inside_another_estimator_it_answers_as_on_its_own(name: str) -> None:
    """Calibration asks for the decision that a wrapper has since 4.7."""
    booster = LGBMClassifier(n_estimators=12, num_leaves=6, n_jobs=1, verbose=-1)
    model = AROUND[name](booster).fit(ROWS, LABELS)
    node = node_of(model)
    result = compiled(node)
    expected = model.predict_proba(UNSEEN)[:, 1]
    assert np.abs(answers(result, UNSEEN) - expected).max() <= 1e-12
    told = parity.reference(node, result)
    assert told.predict is not None, told.reason
    assert np.abs(told.predict(UNSEEN) - expected).max() <= 1e-12


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_the_decision_of_a_random_forest_is_the_sum_of_its_trees(method: str) -> None:
    """Only its probability is of the mean."""
    booster = LGBMClassifier(
        boosting_type="rf", subsample=0.7, subsample_freq=1, n_estimators=9, n_jobs=1, verbose=-1
    )
    model = CalibratedClassifierCV(booster, method=method, cv=2).fit(ROWS, LABELS)
    expected = model.predict_proba(UNSEEN)[:, 1]
    assert np.abs(answers(compiled(node_of(model)), UNSEEN) - expected).max() <= 1e-12


THREE = np.arange(len(ROWS)) % 3
UNFIT: dict[str, tuple[Callable[[], object], str, str]] = {
    "three classes": (lambda: fitted(labels=THREE), "no_es_clasificador_binario", "3 clases"),
    "one sum against the rest": (
        lambda: fitted(objective="multiclassova", num_class=2),
        "no_es_clasificador_binario",
        "multiclassova",
    ),
    "regressions in the leaves": (
        lambda: fitted(linear_tree=True),
        "familia_desconocida",
        "linear_tree",
    ),
    "a regressor": (
        lambda: lightgbm.LGBMRegressor(verbose=-1, n_jobs=1).fit(ROWS, LABELS),
        "no_es_clasificador_binario",
        "LGBMRegressor",
    ),
    "a ranker": (lambda: lightgbm.LGBMRanker(), "familia_desconocida", "LGBMRanker"),
    "a bare regressor": (
        lambda: lightgbm.train(
            {"verbose": -1, "num_threads": 1}, lightgbm.Dataset(ROWS, LABELS), 1
        ),
        "no_es_clasificador_binario",
        "regression",
    ),
    "stopped while predicting": (
        lambda: fitted(pred_early_stop=True),
        "familia_desconocida",
        "pred_early_stop",
    ),
    "not fitted": (lambda: LGBMClassifier(), "no_entrenado", "_Booster"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_no_classifier_of_two_classes_is_refused_by_name(name: str) -> None:
    make, code, detail = UNFIT[name]
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(make()))
    assert (refusal.value.code, detail in refusal.value.detail) == (code, True)


@pytest.mark.parametrize("attribute", ["objective", "_objective", "_fobj"])
def test_an_objective_of_its_own_is_refused(attribute: str) -> None:
    root = node_of(SMALL_MODEL)
    root.state[attribute] = Node(Global("sklearn.preprocessing._label", "LabelEncoder"), ())
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert "objetivo propio" in refusal.value.detail


@pytest.mark.parametrize("value", [True, np.True_, 1, "no", np.zeros(2), [False]], ids=repr)
def test_whatever_may_stop_it_while_predicting_is_refused(value: object) -> None:
    root = node_of(SMALL_MODEL)
    root.state["pred_early_stop"] = value
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert "pred_early_stop" in refusal.value.detail


@pytest.mark.parametrize("value", [None, False, np.False_, 0, 0.0, np.int64(0)], ids=repr)
def test_what_stops_nothing_while_predicting_is_read(value: object) -> None:
    root = node_of(SMALL_MODEL)
    root.state["pred_early_stop"] = value
    compiled(root)


SMALL_MODEL = fitted(n_estimators=3, num_leaves=4)
SMALL = str(SMALL_MODEL.booster_.__getstate__()["_handle"])


def with_text(text: object) -> Any:
    root = node_of(SMALL_MODEL)
    root.state["_Booster"].state["_handle"] = text
    return root


def resized(text: str) -> str:
    """The text with the sizes of its trees told anew."""
    head, _, rest = text.partition("\n\n")
    body, end, tail = rest.partition("end of trees")
    starts = [place for place in range(len(body)) if body.startswith("Tree=", place)]
    sizes = np.diff([*starts, len(body)]).tolist()
    lines = [
        "tree_sizes=" + " ".join(map(str, sizes)) if line.startswith("tree_sizes") else line
        for line in head.split("\n")
    ]
    return "\n".join(lines) + "\n\n" + body + end + tail


def line(name: str, value: str, tree: int = 0) -> Callable[[str], str]:
    """Another value in the line of a tree; of the header where there is but one such line."""

    def edit(text: str) -> str:
        lines = text.split("\n")
        places = [place for place, each in enumerate(lines) if each.startswith(name + "=")]
        lines[places[tree]] = f"{name}={value}"
        return resized("\n".join(lines))

    return edit


SIZES = re.compile("tree_sizes=.*")
HOSTILE: dict[str, tuple[Callable[[str], str], str]] = {
    "a node that is its own child": (line("left_child", "0 -2 -3"), "arbol_imposible"),
    "a way back to the root": (line("right_child", "1 0 -4"), "arbol_imposible"),
    "a child out of range": (line("left_child", "7 -2 -3"), "arbol_imposible"),
    "a split that does not exist": (line("right_child", "2 5 -4"), "arbol_imposible"),
    "a leaf that does not exist": (line("left_child", "1 -2 -9"), "arbol_imposible"),
    "a leaf far below": (line("left_child", "1 -2 -2147483648"), "arbol_imposible"),
    "two parents of one leaf": (line("left_child", "1 -1 -1"), "arbol_imposible"),
    "a column out of range": (line("split_feature", "0 6 0"), "arbol_imposible"),
    "a column below range": (line("split_feature", "0 -1 0"), "arbol_imposible"),
    "a split that is no number": (line("threshold", "nan 1 2"), "pesos_imposibles"),
    "a split below all": (line("threshold", "-inf 1 2"), "arbol_imposible"),
    "a split that Python would read": (line("threshold", "1_0 1 2"), "pesos_imposibles"),
    "a split of two points": (line("threshold", "1.2.3 1 2"), "pesos_imposibles"),
    "a leaf that is infinite": (line("leaf_value", "1 2 inf 4"), "arbol_imposible"),
    "a leaf too large": (line("leaf_value", "1 2 1e999 4"), "arbol_imposible"),
    "a number that is a blank": (line("left_child", "1 -2 "), "pesos_imposibles"),
    "a leaf too few": (line("leaf_value", "1 2 3"), "pesos_imposibles"),
    "a kind of split that is none": (line("decision_type", "2 14 2"), "arbol_imposible"),
    "a split of categories without any": (line("decision_type", "1 2 2"), "arbol_imposible"),
    "a billion leaves": (line("num_leaves", "999999999"), "demasiado_grande"),
    "a leaf count that is no number": (line("num_leaves", "-3"), "pesos_imposibles"),
    "a leaf count of many digits": (line("num_leaves", "9" * 5000), "pesos_imposibles"),
    "regressions in the leaves": (line("is_linear", "1"), "familia_desconocida"),
    "another format": (line("version", "v9"), "familia_desconocida"),
    "another objective": (line("objective", "lambdarank"), "no_es_clasificador_binario"),
    "a slope of nothing": (line("objective", "binary sigmoid:0"), "pesos_imposibles"),
    "no slope": (line("objective", "binary -1"), "no_es_clasificador_binario"),
    "no leaves": (line("num_leaves", "0"), "arbol_imposible"),
    "a slope of words": (line("objective", "binary sigmoid:x"), "pesos_imposibles"),
    "three classes": (line("num_class", "3"), "no_es_clasificador_binario"),
    "other columns": (line("max_feature_idx", "4"), "pesos_imposibles"),
    "a million columns": (line("max_feature_idx", "1000000"), "demasiado_grande"),
    "a line twice": (
        lambda text: text.replace("num_cat=0", "num_cat=0\nnum_cat=0", 1),
        "pesos_imposibles",
    ),
    "a line that is not known": (
        lambda text: resized(text.replace("num_cat=0", "num_cats=0", 1)),
        "pesos_imposibles",
    ),
    "trees of another size": (
        lambda text: text.replace("tree_sizes=", "tree_sizes=1", 1),
        "pesos_imposibles",
    ),
    "a million trees": (
        lambda text: text.replace("tree_sizes=", "tree_sizes=" + "9 " * 1_000_000, 1),
        "demasiado_grande",
    ),
    "no trees": (
        lambda text: SIZES.sub("tree_sizes=", text, count=1),
        "no_entrenado",
    ),
    "a text that is none": (lambda text: "once upon a time", "pesos_imposibles"),
    "nothing": (lambda text: "", "pesos_imposibles"),
    "blank lines without end": (lambda text: "tree" + "\n" * 1_000_000, "familia_desconocida"),
    "a header without end": (lambda text: "tree\n" + "a=1\n" * 1_000_000, "pesos_imposibles"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_that_lies_is_refused(name: str) -> None:
    edit, code = HOSTILE[name]
    assert np.isfinite(answers(compiled(with_text(resized(SMALL))), UNSEEN[:1])).all()
    with pytest.raises(Refusal) as refusal:
        compiled(with_text(edit(SMALL)))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cat_boundaries", "0 99"),
        ("cat_boundaries", "1 0"),
        ("cat_threshold", "4294967296 1 1"),
        ("cat_threshold", "-1 1 1"),
        ("num_cat", "5"),
        ("threshold", "0.5"),
    ],
)
def test_categories_that_lie_are_refused(field: str, value: str) -> None:
    model = LGBMClassifier(
        n_estimators=1, num_leaves=2, n_jobs=1, verbose=-1, min_data_per_group=1
    )
    rows = np.column_stack([ROWS[:, 3], np.zeros((len(ROWS), 5))])
    model.fit(rows, (ROWS[:, 3] % 7 < 3).astype(int), categorical_feature=[0])
    root = node_of(model)
    state = root.state["_Booster"].state
    answers(compiled(root), UNSEEN[:1])
    state["_handle"] = line(field, value)(state["_handle"])
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code in ("arbol_imposible", "pesos_imposibles")


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        ([["a", "b"]], "valores_distintos"),  # of columns that are not known
        (np.array([]), "pesos_imposibles"),
        ((), "pesos_imposibles"),
        (["a"], "pesos_imposibles"),
    ],
)
def test_categories_that_cannot_be_are_refused(listed: object, code: str) -> None:
    root = node_of(SMALL_MODEL)
    root.state["_Booster"].state["pandas_categorical"] = listed
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == code


@pytest.mark.parametrize("best", [True, "3", 1.5])
def test_a_best_iteration_that_is_no_number_is_refused(best: object) -> None:
    root = node_of(SMALL_MODEL)
    root.state["_Booster"].state["best_iteration"] = best
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "pesos_imposibles"


def test_every_prefix_of_a_text_is_refused_until_its_trees_are_whole() -> None:
    end = SMALL.index("end of trees") + len("end of trees\n")
    root = node_of(SMALL_MODEL)
    for length in range(end):
        root.state["_Booster"].state["_handle"] = SMALL[:length]
        with pytest.raises(Refusal):
            compiled(root)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from("019-.e \n=ai\xf1"))).filter(bool)
)
def test_changed_letters_are_refused_or_harmless(changes: list[tuple[int, str]]) -> None:
    end = SMALL.index("end of trees")
    letters = list(SMALL)
    for place, letter in changes[:4]:
        letters[place % end] = letter
    try:
        result = compiled(with_text("".join(letters)))
    except Refusal:
        return
    graph.check(result.onnx, len(COLUMNS))
    assert np.isfinite(answers(result, UNSEEN[:5])).all()


def test_the_text_says_its_categories_as_json_and_that_is_never_read() -> None:
    """The list that counts is the one of the Python object, as for the library."""
    edit = json.dumps([["x"] * 3] * 9)
    text = SMALL.replace("pandas_categorical:null", f"pandas_categorical:{edit}")
    compiled(with_text(text))
