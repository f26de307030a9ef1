"""Histogram gradient boosting answers as scikit-learn does, with its categories and its gaps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compiled_models import COLUMNS, NEGATIVE, POSITIVE, answers, compiled, node_of
from ensemble_rows import (
    CLOSE,
    FRAME,
    LABELS,
    ROWS,
    UNSEEN,
    WEIGHTS,
    assert_equal,
    holed,
    made,
    second_class,
    threshold_rows,
)
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from threadpoolctl import threadpool_limits

from propensia.admission import graph, parity
from propensia.admission.compiler import Compiled, compile_on
from propensia.admission.families import histogram
from propensia.admission.families.parts import Column, Flow
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine take longer than one alone."""
    with threadpool_limits(1):
        yield


def boosted(**settings: Any) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        **{"max_iter": 25, "random_state": 0, "min_samples_leaf": 5, **settings}
    )


MODULE = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting"
PLAIN: dict[str, Callable[[], Any]] = {
    "usual": boosted,
    "stopped early": lambda: boosted(early_stopping=True, max_iter=200, n_iter_no_change=3),
    "shallow and regular": lambda: boosted(max_depth=3, l2_regularization=2.0, max_bins=20),
    "monotonic": lambda: boosted(monotonic_cst={"A": 1, "E": 1}),
    "classes weighted": lambda: boosted(class_weight="balanced"),
    "columns kept apart": lambda: boosted(interaction_cst="no_interactions", max_features=0.5),
}
CATEGORIES: dict[str, Callable[[], Any]] = {
    "by number": lambda: boosted(categorical_features=[3, 5]),
    "by name": lambda: boosted(categorical_features=["F", "C", "D"]),
    "by mask": lambda: boosted(categorical_features=[False] * 4 + [True, True]),
    "all": lambda: boosted(categorical_features=[2, 3, 4, 5, 0, 1], max_bins=255),
    "monotonic beside": lambda: boosted(categorical_features=["D"], monotonic_cst={"A": 1}),
}


def with_missing(root: object) -> Compiled:
    inputs = tuple(Column(name, missing=True) for name in COLUMNS)
    return compile_on(root, inputs, POSITIVE, NEGATIVE)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_columns_answer_as_the_library_also_on_and_beside_thresholds(name: str) -> None:
    model = PLAIN[name]().fit(FRAME, LABELS)
    root = node_of(model)
    result = compiled(root)
    assert_equal(model, root, result, np.concatenate([UNSEEN, threshold_rows(model)]))
    assert result.facts["trees"] == model.n_iter_
    assert b"membership" not in result.onnx and b"missing" not in result.onnx


def test_rows_are_compared_in_double_precision() -> None:
    """A split between two numbers that float32 cannot tell apart."""
    rows = ROWS.copy()
    rows[:, 0] = np.where(LABELS == 1, 1.0 + 1e-12, 1.0)
    model = boosted(max_iter=5).fit(rows, LABELS)
    assert np.array_equal(answers(compiled(node_of(model)), rows) > 0.5, LABELS == 1)


BEFORE: dict[str, Callable[[], Any]] = {
    "powers": PowerTransformer,
    "powers of some columns": lambda: make_column_transformer(
        (PowerTransformer(), [1, 0]), remainder="passthrough"
    ),
    "powers, then products": lambda: make_pipeline(
        PowerTransformer(), PolynomialFeatures(2, include_bias=False)
    ),
    "normal quantiles": lambda: QuantileTransformer(n_quantiles=200, output_distribution="normal"),
    "norms": Normalizer,
    "components": lambda: make_pipeline(StandardScaler(), PCA()),
    "singular": lambda: TruncatedSVD(4, random_state=0),
}


@pytest.mark.parametrize("name", BEFORE)
def test_a_training_row_on_a_threshold_goes_left_though_its_last_digits_differ(name: str) -> None:
    """With more values than bins a threshold is one of them."""
    drawn = made(4000, 12)
    labels = (np.log(drawn[:, 0]) + drawn[:, 4] + made(4000, 13)[:, 2] / 5 > 5.5).astype(int)
    model = make_pipeline(BEFORE[name](), boosted(max_iter=40)).fit(drawn, labels)
    expected = model.predict_proba(drawn)[:, 1]
    got = answers(compiled(node_of(model)), drawn)
    assert np.abs(got - expected).max() <= 1e-9


def test_thresholds_stay_what_they_are_behind_exact_steps() -> None:
    model = make_pipeline(StandardScaler(), boosted()).fit(ROWS, LABELS)
    trees = model[1]._predictors
    nodes = next(tree.nodes for (tree,) in trees if not tree.nodes[0]["is_leaf"])
    column, threshold = int(nodes[0]["feature_idx"]), float(nodes[0]["num_threshold"])
    flow = Flow("x", tuple(Column(inexact=place == column) for place in range(len(COLUMNS))))
    exact = Flow("x", (Column(),) * len(COLUMNS))
    grown = histogram.checked([node_of(tree) for (tree,) in trees], len(COLUMNS))
    assert np.array_equal(histogram._raised(grown, exact).threshold, grown.threshold)
    raised = histogram._raised(grown, flow).threshold
    changed = raised != grown.threshold
    assert set(grown.feature[changed]) == {column}
    assert (np.abs(raised - threshold) <= 2e-12 * (1 + abs(threshold))).any()


def test_early_stopping_by_a_scorer_leaves_a_method_behind_that_is_no_obstacle() -> None:
    model = boosted(early_stopping=True, scoring="roc_auc", max_iter=30).fit(FRAME, LABELS)
    root = node_of(model)
    assert_equal(model, root, compiled(root), UNSEEN)


def test_another_method_of_the_same_class_is_refused() -> None:
    root = node_of(boosted(max_iter=3).fit(ROWS, LABELS))
    own, getter = Global(MODULE, "HistGradientBoostingClassifier"), Global("builtins", "getattr")
    root.state["left_behind"] = Node(getter, args=(own, "_raw_predict"))
    compiled(root)
    root.state["left_behind"] = Node(getter, args=(own, "fit"))
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == "familia_desconocida"


@pytest.mark.parametrize("labels", [("NO", "1"), ("1", "NO")])
def test_weights_and_either_order_of_the_classes(labels: tuple[str, str]) -> None:
    model = boosted().fit(ROWS, np.array(labels)[LABELS], sample_weight=WEIGHTS)
    root = node_of(model)
    result = compiled(root)
    place = list(model.classes_).index("1")
    expected = model.predict_proba(UNSEEN)[:, place]
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE
    found = parity.reference(root, result)
    assert found.predict is not None
    assert np.abs(found.predict(UNSEEN) - expected).max() <= 1e-15


@pytest.mark.parametrize("name", PLAIN)
def test_missing_values_take_the_side_that_the_tree_learnt(name: str) -> None:
    gone = holed(ROWS, 8)
    labels = (LABELS ^ (np.isnan(gone[:, 0]) & (ROWS[:, 2] > 2))).astype(int)
    model = PLAIN[name]().fit(pd.DataFrame(gone, columns=list(COLUMNS)), labels)
    rows = np.concatenate([holed(UNSEEN, 9), threshold_rows(model, missing=True)])
    root = node_of(model)
    assert_equal(model, root, with_missing(root), rows)


def test_a_split_of_missing_from_known_values_is_kept() -> None:
    gone = holed(ROWS, 8)
    labels = np.isnan(gone[:, 0]).astype(int)
    model = boosted(max_iter=3).fit(gone, labels)
    thresholds = [tree.nodes["num_threshold"] for (tree,) in model._predictors]
    assert np.isinf(np.concatenate(thresholds)).any()
    rows = np.concatenate([holed(UNSEEN, 9), [[np.inf] * 6, [-np.inf] * 6]])
    expected = model.predict_proba(rows)[:, 1]
    assert np.abs(answers(with_missing(node_of(model)), rows) - expected).max() <= CLOSE


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_go_where_their_sets_say_also_unknown_and_missing_ones(
    name: str, missing: bool
) -> None:
    rows = ROWS[:, :].copy()
    rows[:, :2] = np.floor(np.log(rows[:, :2] + 1) * 3)
    rows = holed(rows, 8) if missing else rows
    model = CATEGORIES[name]().fit(pd.DataFrame(rows, columns=list(COLUMNS)), LABELS)
    sets = [tree.nodes["is_categorical"] for (tree,) in model._predictors]
    assert np.concatenate(sets).any(), "no split by category to test"
    unseen = UNSEEN.copy()
    unseen[:, :2] = np.floor(np.log(unseen[:, :2] + 1) * 3)
    random = np.random.default_rng(3)
    odd = np.array([-1.0, -0.5, 0.5, 7.25, 53.0, 255.0, 256.0, 1e9, 1e300])
    strange = random.random(unseen.shape) < 0.1
    unseen = np.where(strange, random.choice(odd, unseen.shape), unseen)
    if name != "all":
        unseen = np.concatenate([unseen, threshold_rows(model)])
    root = node_of(model)
    if missing:
        assert_equal(model, root, with_missing(root), holed(unseen, 9))
    else:
        assert_equal(model, root, compiled(root), unseen)


@pytest.mark.parametrize("missing", [False, True])
def test_codes_as_they_are_answer_as_up_to_version_1_3(missing: bool) -> None:
    """There the columns are no more than the codes: the library itself shows it without its
    preprocessor, since the categories come first here and are numbered from 0."""
    rows = ROWS[:, [5, 2, 0, 1, 3, 4]]
    rows = holed(rows, 8) if missing else rows
    model = boosted(categorical_features=[0, 1]).fit(rows, LABELS)
    model._preprocessor = None
    unseen = UNSEEN[:, [5, 2, 0, 1, 3, 4]].copy()
    random = np.random.default_rng(3)
    odd = np.array([-3.0, -0.5, -0.0, 0.5, 1.999, 6.0, 9.5, 10.0, 100.0, 255.0, 255.9])
    strange = random.random((len(unseen), 2)) < 0.3
    unseen[:, :2] = np.where(strange, random.choice(odd, strange.shape), unseen[:, :2])
    unseen = holed(unseen, 9) if missing else unseen
    root = node_of(model)
    assert root.state["_preprocessor"] is None
    assert_equal(model, root, with_missing(root) if missing else compiled(root), unseen)


TEXTS = ("PER", "FU", "EMP", "N/A", "SI", "NO")


def in_words(rows: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["F"] = np.array(TEXTS, dtype=object)[rows[:, 5].astype(int)]
    return frame


@pytest.mark.parametrize("how", ["named", "category type", "category type, some unknown"])
def test_texts_are_categories_too(how: str) -> None:
    """The contract has the text as its place among the texts it knows; so has the graph."""
    rows = ROWS[ROWS[:, 5] != 4] if "unknown" in how else ROWS
    labels = LABELS[ROWS[:, 5] != 4] if "unknown" in how else LABELS
    labels = labels ^ (rows[:, 5] == 2)
    frame = in_words(rows)
    if how == "named":
        model = boosted(categorical_features=["F"]).fit(frame, labels)
    else:
        frame["F"] = frame["F"].astype("category")
        model = boosted(categorical_features="from_dtype").fit(frame, labels)
    root = node_of(model)
    inputs = tuple(Column(name, texts=TEXTS if name == "F" else None) for name in COLUMNS)
    result = compile_on(root, inputs, POSITIVE, NEGATIVE)
    graph.check(result.onnx, len(COLUMNS))
    expected = model.predict_proba(in_words(UNSEEN))[:, 1]
    assert np.abs(answers(result, UNSEEN) - expected).max() <= CLOSE
    found = parity.reference(root, result)
    assert found.predict is not None, found.reason
    assert np.abs(found.predict(UNSEEN) - expected).max() <= 1e-15


def test_texts_that_no_category_was_made_of_are_refused() -> None:
    root = node_of(boosted().fit(ROWS, LABELS))
    inputs = tuple(Column(name, texts=TEXTS if name == "F" else None) for name in COLUMNS)
    with pytest.raises(Refusal) as refusal:
        compile_on(root, inputs, POSITIVE, NEGATIVE)
    assert refusal.value.code == "valores_distintos"


def test_boosting_behind_an_imputer_has_no_missing_values_left() -> None:
    model = make_pipeline(SimpleImputer(), boosted()).fit(holed(ROWS, 8), LABELS)
    rows = holed(UNSEEN, 9)
    result = with_missing(node_of(model))
    expected = second_class(model, rows)
    assert np.abs(answers(result, rows) - expected).max() <= CLOSE


def tree_of(root: Any) -> Any:
    return root.state["_predictors"][2][0]


def in_nodes(field: str, place: int, value: object) -> Callable[[Any], None]:
    def change(root: Any) -> None:
        state = tree_of(root).state
        state["nodes"] = state["nodes"].copy()
        if field == "bitset_idx":
            place_of = np.flatnonzero(state["nodes"]["is_categorical"] != 0)[0]
            state["nodes"][field][place_of] = value
        else:
            state["nodes"][field][place] = value

    return change


def given(attribute: str, value: object) -> Callable[[Any], None]:
    return lambda root: root.state.update({attribute: value})


def in_tree(attribute: str, value: object) -> Callable[[Any], None]:
    return lambda root: tree_of(root).state.update({attribute: value})


def retyped(name: str, kind: str) -> Callable[[Any], None]:
    """The nodes with one field of another type, or without it."""

    def change(root: Any) -> None:
        state = tree_of(root).state
        fields = [(key, kind if key == name else told) for key, told in state["nodes"].dtype.descr]
        other = np.zeros(len(state["nodes"]), [pair for pair in fields if pair[1]])
        state["nodes"] = other

    return change


TREE = "arbol_imposible"
WEIGHTED = "pesos_imposibles"
DAMAGED: dict[str, tuple[Callable[[Any], None], str]] = {
    "points at itself": (in_nodes("left", 0, 0), TREE),
    "points outside": (in_nodes("right", 0, 0xFFFFFFFF), TREE),
    "two parents": (in_nodes("right", 0, 2), TREE),
    "a leaf in the middle": (in_nodes("is_leaf", 1, 1), TREE),
    "a column outside": (in_nodes("feature_idx", 0, 6), TREE),
    "a negative column": (in_nodes("feature_idx", 0, -1), TREE),
    "no number in a leaf": (in_nodes("value", -1, np.nan), TREE),
    "a set that is not there": (in_nodes("bitset_idx", 0, 1 << 20), TREE),
    "sets of another type": (in_tree("raw_left_cat_bitsets", np.zeros((9, 8))), TREE),
    "sets of another shape": (in_tree("raw_left_cat_bitsets", np.zeros((9, 7), "u4")), TREE),
    "no sets": (in_tree("raw_left_cat_bitsets", None), "no_entrenado"),
    "no nodes": (in_tree("nodes", np.zeros(0)), TREE),
    "text as threshold": (retyped("num_threshold", "<U3"), TREE),
    "no threshold": (retyped("num_threshold", ""), TREE),
    "numbers with a fraction as children": (retyped("left", "<f8"), TREE),
    "two trees in a stage": (
        lambda root: root.state["_predictors"].append([None, None]),
        "no_es_clasificador_binario",
    ),
    "a stage that is none": (
        lambda root: root.state["_predictors"].append(None),
        "no_es_clasificador_binario",
    ),
    "a stage of something else": (lambda root: root.state["_predictors"].append([root]), TREE),
    "no stages": (given("_predictors", []), "no_entrenado"),
    "no baseline": (given("_baseline_prediction", np.array([[np.nan]])), WEIGHTED),
    "two baselines": (given("_baseline_prediction", np.zeros((1, 2))), WEIGHTED),
    "another loss": (given("loss", "gamma"), WEIGHTED),
    "a mask too short": (given("is_categorical_", np.ones(5, bool)), WEIGHTED),
    "no preprocessor": (given("_preprocessor", "none"), WEIGHTED),
}


@pytest.fixture(scope="module")
def fitted() -> HistGradientBoostingClassifier:
    return boosted(categorical_features=[2, 3], max_iter=5).fit(ROWS, LABELS)


@pytest.mark.parametrize("name", DAMAGED)
def test_impossible_histogram_boosting_is_refused(
    fitted: HistGradientBoostingClassifier, name: str
) -> None:
    damage, code = DAMAGED[name]
    root = node_of(fitted)
    compiled(root)
    damage(root)
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == code


def test_too_many_sets_are_refused_before_they_are_unpacked(
    fitted: HistGradientBoostingClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = sum(int(tree.nodes["is_categorical"].sum()) for (tree,) in fitted._predictors)
    monkeypatch.setattr(histogram, "_MOST_SETS", count)
    compiled(node_of(fitted))
    monkeypatch.setattr(histogram, "_MOST_SETS", count - 1)
    with pytest.raises(Refusal) as refusal:
        compiled(node_of(fitted))
    assert refusal.value.code == "demasiado_grande"


def test_a_set_may_be_empty(fitted: HistGradientBoostingClassifier) -> None:
    """Where only the missing go left; the library itself shows what then happens."""
    model = copy.deepcopy(fitted)
    for (tree,) in model._predictors:
        tree.raw_left_cat_bitsets = np.zeros_like(tree.raw_left_cat_bitsets)
    expected = model.predict_proba(UNSEEN)[:, 1]
    assert np.abs(expected - fitted.predict_proba(UNSEEN)[:, 1]).max() > 0.01
    assert np.abs(answers(compiled(node_of(model)), UNSEEN) - expected).max() <= CLOSE


@pytest.mark.parametrize(
    "codes",
    [np.array([0.0, 0.5]), np.array([0.0, 256.0]), np.array([1.0, 0.0]), np.array(["a"]), None],
)
def test_impossible_known_codes_are_refused(
    fitted: HistGradientBoostingClassifier, codes: object
) -> None:
    root = node_of(fitted)
    root.state["_preprocessor"] = None
    root.state["_bin_mapper"].state["bin_thresholds_"][2] = codes
    with pytest.raises(Refusal) as refusal:
        compiled(root)
    assert refusal.value.code == WEIGHTED


@pytest.mark.parametrize("name", ["points outside", "a set that is not there"])
def test_a_damaged_histogram_tree_never_reaches_native_code(
    fitted: HistGradientBoostingClassifier, name: str
) -> None:
    root = node_of(fitted)
    DAMAGED[name][0](root)
    with pytest.raises(Refusal) as refusal:
        parity.materialise(root)
    assert refusal.value.code == TREE


def test_native_code_never_gets_rows_narrower_than_the_tree_reads(
    fitted: HistGradientBoostingClassifier,
) -> None:
    root = node_of(fitted)
    in_nodes("feature_idx", 0, 1 << 30)(root)
    model = parity.materialise(root)
    with pytest.raises(Refusal) as refusal:
        model.predict_proba(UNSEEN)
    assert refusal.value.code == TREE


def test_native_code_never_looks_for_sets_of_a_column_without_categories(
    fitted: HistGradientBoostingClassifier,
) -> None:
    root = node_of(fitted)
    root.state["_bin_mapper"].state["is_categorical_"] = np.zeros(6, np.uint8)
    model = parity.materialise(root)
    with pytest.raises(Refusal) as refusal:
        model.predict_proba(UNSEEN)
    assert refusal.value.code == TREE
