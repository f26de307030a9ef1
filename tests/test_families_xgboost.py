"""XGBoost classifiers answer as the library does, and broken or hostile boosters are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from booster_rows import LABELS, ROWS, UNSEEN, at_splits, check_same, compiled, holed
from compiled_models import COLUMNS, NEGATIVE, POSITIVE, answers, node_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRFClassifier

from propensia.admission import graph, parity
from propensia.admission.compiler import compile_on
from propensia.admission.families import ubjson
from propensia.admission.families.parts import Column
from propensia.admission.nodes import Global, Node
from propensia.admission.parity import materialise
from propensia.admission.refusal import Refusal

# The sums are the same to the bit; of the exponential, C libraries may round the last one.
CLOSE = 1.2e-7


def fitted(**settings: Any) -> Any:
    given = {"n_estimators": 30, "max_depth": 5, "n_jobs": 1, **settings}
    return XGBClassifier(**given).fit(ROWS, LABELS)


def splits_of(model: Any) -> list[tuple[int, float]]:
    """Column and threshold of the first splits of the first trees, by the library itself."""
    frame = model.get_booster().trees_to_dataframe()
    inner = frame[(frame.Feature != "Leaf") & (frame.Tree < 10)].groupby("Tree").head(30)
    names = model.get_booster().feature_names or [f"f{place}" for place in range(len(COLUMNS))]
    return [
        (names.index(name), split) for name, split in zip(inner.Feature, inner.Split, strict=True)
    ]


MODELS: dict[str, Callable[[], Any]] = {
    "by histograms": lambda: fitted(),
    "pruned, with deleted nodes": lambda: fitted(tree_method="exact", gamma=2),
    "approximate": lambda: fitted(tree_method="approx"),
    "grown leaf by leaf": lambda: fitted(grow_policy="lossguide", max_leaves=40, max_depth=0),
    "DART": lambda: fitted(booster="dart", rate_drop=0.3),
    "DART from a shifted base": lambda: fitted(booster="dart", rate_drop=0.3, base_score=0.9),
    "regression with a logistic function": lambda: fitted(objective="reg:logistic"),
    "softmax of two": lambda: fitted(objective="multi:softprob", num_class=2),
    "softmax that says a class": lambda: fitted(objective="multi:softmax", num_class=2),
    "small forests in each round": lambda: fitted(num_parallel_tree=4, subsample=0.6),
    "a base score far out": lambda: fitted(base_score=0.99, learning_rate=0.02),
    "weighted classes": lambda: fitted(scale_pos_weight=9, reg_alpha=1, min_child_weight=5),
    "single leaves": lambda: fitted(gamma=1e9),
    "a forest": lambda: XGBRFClassifier(n_jobs=1, n_estimators=60).fit(ROWS, LABELS),
    "more trees than are added up at once": lambda: fitted(n_estimators=600, max_depth=3),
}


@pytest.mark.parametrize("name", MODELS)
def test_trees_answer_as_the_library_on_unseen_rows_and_at_every_split(name: str) -> None:
    model = MODELS[name]()
    splits = [] if name == "single leaves" else splits_of(model)
    result = check_same(model, at_splits(splits, UNSEEN), CLOSE)
    assert result.family == type(model).__name__
    assert result.libraries == {"xgboost": xgboost.__version__}
    booster = model.get_booster()
    assert result.facts["trees"] == len(booster.get_dump())


@pytest.mark.parametrize("kind", [{}, {"objective": "multi:softprob", "num_class": 2}])
def test_a_linear_booster_answers_as_the_library(kind: dict[str, Any]) -> None:
    model = XGBClassifier(n_jobs=1, booster="gblinear", n_estimators=20, **kind).fit(ROWS, LABELS)
    wide = UNSEEN * np.array([30.0, -3.0, 1.0, 1.0, 1.0, 1.0])
    result = check_same(model, np.concatenate([UNSEEN, wide]), CLOSE)
    assert result.facts["parameters"] == (14 if kind else 7)
    holes = XGBClassifier(n_jobs=1, booster="gblinear", n_estimators=9).fit(holed(ROWS, 1), LABELS)
    check_same(holes, holed(UNSEEN, 2), CLOSE, missing=True)


def test_a_scaler_before_it_flips_no_class() -> None:
    """The usual converters compute the scaler in float32, and rows pass over the splits.

    With the exact method every split is a value of the training, or just beside one.
    """
    settings = {"tree_method": "exact", "n_estimators": 40}
    model = make_pipeline(StandardScaler(), XGBClassifier(**settings, n_jobs=1)).fit(ROWS, LABELS)
    rows = np.concatenate([ROWS, UNSEEN])
    assert (np.diff(np.sort(ROWS[:, 2])) == 0).any()
    result = check_same(model, rows, CLOSE)
    assert result.family == "Pipeline(StandardScaler, XGBClassifier)"


@pytest.mark.parametrize("method", ["hist", "exact", "approx"])
def test_a_missing_value_takes_the_side_that_was_learnt(method: str) -> None:
    labels = LABELS | np.isnan(holed(ROWS, 1)[:, 0])
    model = XGBClassifier(n_jobs=1, n_estimators=30, tree_method=method).fit(
        holed(ROWS, 1), labels
    )
    rows = at_splits(splits_of(model), holed(UNSEEN, 2))
    check_same(model, rows, CLOSE, missing=True)


@pytest.mark.parametrize("missing", [0, 3.0, -999.0, 0.1])
@pytest.mark.parametrize("booster", ["gbtree", "gblinear"])
def test_the_value_that_stands_for_a_missing_one_is_one(missing: float, booster: str) -> None:
    rows = np.where(np.isnan(holed(ROWS, 1)), missing, ROWS)
    model = XGBClassifier(n_jobs=1, n_estimators=30, missing=missing, booster=booster).fit(
        rows, LABELS
    )
    unseen = np.where(np.isnan(holed(UNSEEN, 2)), missing, UNSEEN)
    near = np.concatenate([unseen, np.nextafter(unseen, np.inf)])
    check_same(model, np.concatenate([near, UNSEEN]), CLOSE)


@pytest.mark.parametrize("onehot", [1, 100])
def test_splits_of_categories_send_each_code_as_the_library_does(onehot: int) -> None:
    kinds = ["q", "q", "c", "c", "q", "c"]
    model = XGBClassifier(
        n_jobs=1,
        n_estimators=25,
        enable_categorical=True,
        feature_types=kinds,
        max_cat_to_onehot=onehot,
    ).fit(holed(ROWS, 1), LABELS)
    rows = holed(UNSEEN, 2)
    odd = np.array([-1.0, -0.5, 2.7, 31, 32, 52.9, 53, 63, 64, 65_536, 2.0**24, 1e9, -1e9])
    for column in (2, 3, 5):
        block = UNSEEN[: len(odd)].copy()
        block[:, column] = odd
        rows = np.concatenate([rows, block])
    check_same(model, rows, CLOSE, missing=True)


TEXTS = ("NO", "SI", "N", "BAJAS")


def frame_of(rows: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["D"] = pd.Categorical(frame["D"].astype(int))
    frame["F"] = pd.Categorical(np.array(TEXTS)[rows[:, 5].astype(int)])
    return frame


def test_categories_of_a_data_frame_are_found_by_what_they_stand_for() -> None:
    labels = LABELS ^ (ROWS[:, 5] == 2)
    kept = ROWS[(ROWS[:, 3] != 7) & (ROWS[:, 5] != 3)]
    labels = labels[(ROWS[:, 3] != 7) & (ROWS[:, 5] != 3)]
    model = XGBClassifier(n_jobs=1, n_estimators=25, enable_categorical=True).fit(
        frame_of(kept), labels
    )
    inputs = tuple(Column(name, TEXTS if name == "F" else None) for name in COLUMNS)
    node = node_of(model)
    result = compile_on(node, inputs, POSITIVE, NEGATIVE)
    rows = UNSEEN[(UNSEEN[:, 3] != 7) & (UNSEEN[:, 5] != 3)]
    expected = model.predict_proba(frame_of(rows))[:, 1]
    assert np.abs(answers(result, rows) - expected).max() <= CLOSE
    mixed = rows.astype(object)
    mixed[:, 5] = np.array(TEXTS, dtype=object)[rows[:, 5].astype(int)]
    assert np.abs(materialise(node).predict_proba(mixed)[:, 1] - expected).max() <= CLOSE
    # What the training did not see is missing for us; the library fails.
    strange, nothing = rows[:50].copy(), rows[:50].copy()
    strange[:, 3], nothing[:, 3] = 7, np.nan
    assert (answers(result, strange) == answers(result, nothing)).all()


def test_categories_that_an_older_version_did_not_keep_are_refused() -> None:
    model = XGBClassifier(n_jobs=1, n_estimators=2, enable_categorical=True).fit(
        frame_of(ROWS), LABELS
    )

    def older(document: Any) -> None:
        document["Model"]["version"] = [3, 0, 5]

    inputs = tuple(Column(name, TEXTS if name == "F" else None) for name in COLUMNS)
    with pytest.raises(Refusal) as refusal:
        compile_on(edited(model, older), inputs, POSITIVE, NEGATIVE)
    assert refusal.value.code == "valores_distintos" and "3.0.5" in refusal.value.detail


def test_categories_of_another_kind_than_the_column_are_refused() -> None:
    model = XGBClassifier(n_jobs=1, n_estimators=2, enable_categorical=True).fit(
        frame_of(ROWS), LABELS
    )
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(model))
    assert refusal.value.code == "valores_distintos" and " F " in refusal.value.detail


@pytest.mark.parametrize("rounds", [3, 10])
def test_a_wrapper_stops_at_its_best_round(rounds: int) -> None:
    model = XGBClassifier(
        n_jobs=1,
        n_estimators=80,
        early_stopping_rounds=rounds,
        learning_rate=1.0,
        eval_metric="logloss",
    )
    model.fit(ROWS[:900], LABELS[:900], eval_set=[(ROWS[900:], LABELS[900:])], verbose=False)
    assert 0 < model.best_iteration < model.get_booster().num_boosted_rounds() - 1
    result = check_same(model, UNSEEN, CLOSE)
    assert result.facts["trees"] == model.best_iteration + 1
    whole = check_same(
        model.get_booster(),
        UNSEEN,
        CLOSE,
        expected=model.get_booster().predict(xgboost.DMatrix(UNSEEN)),
    )
    assert whole.facts["trees"] == model.get_booster().num_boosted_rounds()


@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_a_bare_booster_of_two_classes_is_served(booster: str) -> None:
    settings = {"objective": "binary:logistic", "nthread": 1, "booster": booster, "rate_drop": 0.4}
    if booster != "dart":
        del settings["rate_drop"]
    model = xgboost.train(settings, xgboost.DMatrix(ROWS, LABELS), 25)
    expected = model.predict(xgboost.DMatrix(UNSEEN))
    result = check_same(model, UNSEEN, CLOSE, expected=expected)
    assert result.family == "XGBoost Booster" and result.positive == 1


def test_columns_are_found_by_the_names_inside_the_booster() -> None:
    frame = pd.DataFrame(ROWS, columns=list(COLUMNS))[list("DBFACE")]
    model = XGBClassifier(n_jobs=1, n_estimators=20).fit(frame, LABELS)
    node = node_of(model)
    result = compiled(node)
    unseen = pd.DataFrame(UNSEEN, columns=list(COLUMNS))[list("DBFACE")]
    expected = model.predict_proba(unseen)[:, 1]
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE
    assert result.named_columns and result.order == (3, 1, 5, 0, 2, 4)
    told = parity.reference(node, result)
    assert told.predict is not None
    assert np.abs(told.predict(UNSEEN) - expected).max() <= CLOSE
    assert told.library == f"xgboost {xgboost.__version__}"


def test_other_columns_are_refused() -> None:
    frame = pd.DataFrame(ROWS, columns=["Z", *COLUMNS[1:]])
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(XGBClassifier(n_jobs=1, n_estimators=2).fit(frame, LABELS)))
    assert refusal.value.detail == "faltan A; sobran Z"
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(XGBClassifier(n_jobs=1, n_estimators=2).fit(ROWS[:, :5], LABELS)))
    assert refusal.value.code == "columnas_distintas"


AROUND: dict[str, Callable[[Any], Any]] = {
    "search": lambda booster: GridSearchCV(booster, {"max_depth": [2, 4]}, cv=2),
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
    model = AROUND[name](XGBClassifier(n_jobs=1, n_estimators=12, max_depth=3)).fit(ROWS, LABELS)
    node = node_of(model)
    result = compiled(node)
    expected = model.predict_proba(UNSEEN)[:, 1]
    assert np.abs(answers(result, UNSEEN) - expected).max() <= 1e-6
    told = parity.reference(node, result)
    assert told.predict is not None, told.reason
    assert np.abs(told.predict(UNSEEN) - expected).max() <= 1e-7


def test_what_training_leaves_in_a_wrapper_is_no_hindrance() -> None:
    stop = xgboost.callback.EarlyStopping(rounds=5, save_best=True)
    model = XGBClassifier(
        n_jobs=1,
        n_estimators=30,
        callbacks=[stop],
        eval_metric=["logloss", "auc"],
        random_state=np.random.RandomState(3),
        monotone_constraints=(1, 0, 0, 0, 0, 0),
    )
    model.fit(ROWS, LABELS, eval_set=[(ROWS, LABELS)], verbose=False)
    check_same(model, UNSEEN, CLOSE)


THREE = np.arange(len(ROWS)) % 3
UNFIT: dict[str, tuple[Callable[[], object], str, str]] = {
    "three classes": (
        lambda: XGBClassifier(n_jobs=1, n_estimators=1).fit(ROWS, THREE),
        "no_es_clasificador_binario",
        "3 clases",
    ),
    "raw margins": (
        lambda: fitted(objective="binary:logitraw"),
        "no_es_clasificador_binario",
        "binary:logitraw",
    ),
    "hinge": (lambda: fitted(objective="binary:hinge"), "no_es_clasificador_binario", "hinge"),
    "squares": (
        lambda: fitted(objective="reg:squarederror"),
        "no_es_clasificador_binario",
        "squarederror",
    ),
    "two labels": (
        lambda: XGBClassifier(n_jobs=1, n_estimators=1).fit(
            ROWS, np.column_stack([LABELS, 1 - LABELS])
        ),
        "no_es_clasificador_binario",
        "2 ",
    ),
    "two labels in one tree": (
        lambda: XGBClassifier(n_jobs=1, n_estimators=1, multi_strategy="multi_output_tree").fit(
            ROWS, np.column_stack([LABELS, 1 - LABELS])
        ),
        "no_es_clasificador_binario",
        "2 ",
    ),
    "a regressor": (
        lambda: xgboost.XGBRegressor(n_estimators=1).fit(ROWS, LABELS),
        "no_es_clasificador_binario",
        "XGBRegressor",
    ),
    "a ranker": (lambda: xgboost.XGBRanker(), "familia_desconocida", "XGBRanker"),
    "a bare regressor": (
        lambda: xgboost.train({"nthread": 1}, xgboost.DMatrix(ROWS, LABELS), 1),
        "no_es_clasificador_binario",
        "squarederror",
    ),
    "not fitted": (lambda: XGBClassifier(n_jobs=1), "no_entrenado", "_Booster"),
    "no trees": (lambda: fitted(n_estimators=0), "no_entrenado", "sin árboles"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_no_classifier_of_two_classes_is_refused_by_name(name: str) -> None:
    make, code, detail = UNFIT[name]
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(make()))
    assert (refusal.value.code, detail in refusal.value.detail) == (code, True)


def test_an_objective_of_its_own_is_refused() -> None:
    root = node_of(fitted(n_estimators=1))
    root.state["objective"] = Node(Global("xgboost.callback", "EarlyStopping"), ())
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert "objetivo propio" in refusal.value.detail


def buffer_of(model: Any) -> bytes:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    return bytes(booster.__getstate__()["handle"])


def with_buffer(model: Any, buffer: object) -> Any:
    root = node_of(model)
    root.state["_Booster"].state["handle"] = buffer
    return root


def edited(model: Any, edit: Callable[[Any], None]) -> Any:
    """The node of a model whose buffer says something else."""
    document = ubjson.parse(buffer_of(model))
    edit(document)
    return with_buffer(model, ubjson.dump(document))


def in_tree(name: str, place: int, value: object) -> Callable[[Any], None]:
    def edit(document: Any) -> None:
        tree = document["Model"]["learner"]["gradient_booster"]["model"]["trees"][1]
        array = tree[name].copy()
        array[place] = value
        tree[name] = array

    return edit


def inside(*path: str | int, value: object) -> Callable[[Any], None]:
    def edit(document: Any) -> None:
        place = document["Model"]["learner"]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return edit


MODEL = ("gradient_booster", "model")
FIRST = (*MODEL, "trees", 0)
PARAMETERS = "learner_model_param"
HOSTILE: dict[str, tuple[Callable[[Any], None], str]] = {
    "a node that is its own child": (in_tree("left_children", 1, 1), "arbol_imposible"),
    "a way back to the root": (in_tree("left_children", 1, 0), "arbol_imposible"),
    "a child out of range": (in_tree("left_children", 0, 10**6), "arbol_imposible"),
    "a child before all": (in_tree("left_children", 0, -7), "arbol_imposible"),
    "two parents of one node": (in_tree("left_children", 2, 3), "arbol_imposible"),
    "children apart": (in_tree("right_children", 0, 4), "arbol_imposible"),
    "a leaf with a child": (in_tree("right_children", 6, 3), "arbol_imposible"),
    "a node that nobody leads to": (in_tree("left_children", 2, -1), "arbol_imposible"),
    "a column out of range": (in_tree("split_indices", 0, 6), "arbol_imposible"),
    "a column below range": (in_tree("split_indices", 0, -1), "arbol_imposible"),
    "a split that is no number": (in_tree("split_conditions", 0, np.nan), "arbol_imposible"),
    "an infinite split": (in_tree("split_conditions", 0, np.inf), "arbol_imposible"),
    "a leaf that is no number": (in_tree("split_conditions", 6, np.nan), "arbol_imposible"),
    "an infinite leaf": (in_tree("split_conditions", 6, -np.inf), "arbol_imposible"),
    "a category without a list": (in_tree("split_type", 0, 1), "arbol_imposible"),
    "a kind of split that is none": (in_tree("split_type", 0, 2), "arbol_imposible"),
    "a kind of leaf that is none": (in_tree("split_type", 6, 255), "arbol_imposible"),
    "more nodes than there are": (
        inside(*FIRST, "tree_param", "num_nodes", value="9"),
        "pesos_imposibles",
    ),
    "a billion nodes": (
        inside(*FIRST, "tree_param", "num_nodes", value="999999999"),
        "demasiado_grande",
    ),
    "no nodes": (inside(*FIRST, "tree_param", "num_nodes", value="0"), "arbol_imposible"),
    "a node count that is no number": (
        inside(*FIRST, "tree_param", "num_nodes", value="-3"),
        "pesos_imposibles",
    ),
    "deleted nodes that are none": (
        inside(*FIRST, "tree_param", "num_deleted", value="1"),
        "arbol_imposible",
    ),
    "a vector in each leaf": (
        inside(*FIRST, "tree_param", "size_leaf_vector", value="2"),
        "no_es_clasificador_binario",
    ),
    "a field that is a text": (inside(*FIRST, "left_children", value="no"), "pesos_imposibles"),
    "a tree that is a number": (inside(*FIRST, value=3), "pesos_imposibles"),
    "no trees": (inside(*MODEL, "trees", value=None), "pesos_imposibles"),
    "a tree count that lies": (
        inside(*MODEL, "gbtree_model_param", "num_trees", value="7"),
        "pesos_imposibles",
    ),
    "a class that there is not": (
        inside(*MODEL, "tree_info", value=[0, 1, 0]),
        "pesos_imposibles",
    ),
    "rounds that run backwards": (
        inside(*MODEL, "iteration_indptr", value=[0, 2, 1, 3]),
        "pesos_imposibles",
    ),
    "rounds of texts": (
        inside(*MODEL, "iteration_indptr", value=["0", "3"]),
        "pesos_imposibles",
    ),
    "an unknown booster": (inside("gradient_booster", "name", value="x"), "familia_desconocida"),
    "weights of DART that are not there": (
        inside("gradient_booster", "name", value="dart"),
        "pesos_imposibles",
    ),
    "a base score above one": (
        inside(PARAMETERS, "base_score", value="[2E0]"),
        "pesos_imposibles",
    ),
    "a base score of nothing": (inside(PARAMETERS, "base_score", value="nan"), "pesos_imposibles"),
    "two base scores": (inside(PARAMETERS, "base_score", value="[1E-1,2E-1]"), "pesos_imposibles"),
    "a million columns": (inside(PARAMETERS, "num_feature", value="1000000"), "demasiado_grande"),
    "other columns": (inside(PARAMETERS, "num_feature", value="5"), "columnas_distintas"),
    "fewer names than columns": (inside("feature_names", value=["A"]), "pesos_imposibles"),
    "names that are numbers": (inside("feature_names", value=[1] * 6), "pesos_imposibles"),
    "three classes": (inside(PARAMETERS, "num_class", value="3"), "no_es_clasificador_binario"),
    "a best round beyond the last": (
        inside("attributes", "best_iteration", value="3"),
        "pesos_imposibles",
    ),
    "a best round that is no number": (
        inside("attributes", "best_iteration", value="x"),
        "pesos_imposibles",
    ),
    "an objective that is none": (
        inside("objective", "name", value="evil"),
        "no_es_clasificador_binario",
    ),
    "no objective": (inside("objective", value=[]), "pesos_imposibles"),
}


@pytest.fixture(scope="module")
def small() -> Any:
    return fitted(n_estimators=3, max_depth=2)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_buffer_that_lies_is_refused(name: str, small: Any) -> None:
    edit, code = HOSTILE[name]
    answers(compiled(edited(small, lambda document: None)), UNSEEN[:1])
    with pytest.raises(Refusal) as refusal:
        compiled(edited(small, edit))
    assert refusal.value.code == code


CATEGORIES: dict[str, tuple[str, int, int]] = {
    "a code below 0": ("categories", 0, -1),
    "a code beyond all": ("categories", 0, 1 << 24),
    "a list that begins outside": ("categories_segments", 0, 10**9),
    "a list that begins before": ("categories_segments", 0, -1),
    "a list longer than all": ("categories_sizes", 0, 10**9),
    "a list of less than nothing": ("categories_sizes", 0, -1),
    "a node that is none": ("categories_nodes", 0, 10**6),
}


@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_that_lie_are_refused(name: str) -> None:
    field, place, value = CATEGORIES[name]
    kinds = ["c"] * 6
    rows = np.floor(np.minimum(ROWS, 40))
    model = XGBClassifier(
        n_jobs=1,
        n_estimators=2,
        max_depth=3,
        enable_categorical=True,
        feature_types=kinds,
    ).fit(rows, LABELS)
    with pytest.raises(Refusal) as refusal:
        compiled(edited(model, in_tree(field, place, value)))
    assert refusal.value.code == "arbol_imposible"


def test_every_prefix_of_a_buffer_is_refused(small: Any) -> None:
    whole, root = buffer_of(small), node_of(small)
    for end in range(len(whole)):
        root.state["_Booster"].state["handle"] = whole[:end]
        with pytest.raises(Refusal):
            compiled(root)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes_are_refused_or_harmless(changes: list[tuple[int, int]]) -> None:
    whole = bytearray(SMALL)
    for place, value in changes:
        whole[place % len(whole)] = value
    root = node_of(SMALL_MODEL)
    root.state["_Booster"].state["handle"] = bytes(whole)
    try:
        result = compiled(root)
    except Refusal:
        return
    graph.check(result.onnx, len(COLUMNS))
    assert np.isfinite(answers(result, UNSEEN[:5])).all()


SMALL_MODEL = fitted(n_estimators=2, max_depth=2)
SMALL = buffer_of(SMALL_MODEL)


@pytest.mark.parametrize(
    ("buffer", "code"),
    [
        (None, "no_entrenado"),
        (b"", "fichero_incompleto"),
        (17, "pesos_imposibles"),
        (b"CONFIG-offset:" + bytes(99), "familia_desconocida"),
        (b'{"Config": {}}', "familia_desconocida"),
        (b"[" * 200_000, "pesos_imposibles"),
        (b"T", "pesos_imposibles"),
        (ubjson.dump({"Model": {"version": [1, 5, 0], "learner": {}}}), "pesos_imposibles"),
    ],
)
def test_what_is_no_buffer_of_a_known_version_is_refused(buffer: object, code: str) -> None:
    with pytest.raises(Refusal) as refusal:
        compiled(with_buffer(SMALL_MODEL, buffer))
    assert refusal.value.code == code


def test_a_large_booster_is_compiled_in_time() -> None:
    model = fitted(n_estimators=200, max_depth=10, tree_method="hist", min_child_weight=0)
    node = node_of(model)
    began = time.monotonic()
    result = compiled(node)
    assert time.monotonic() - began < 5
    assert np.abs(answers(result, UNSEEN) - model.predict_proba(UNSEEN)[:, 1]).max() <= CLOSE
