"""The forest engine gives the very bits of the route, or leaves a model to ONNX Runtime."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import onnx
import pytest
import xgboost
from compiled_models import beside, compiled, node_of
from ensemble_rows import LABELS, ROWS, holed, made
from lengths import steps
from onnx import numpy_helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from propensia import files
from propensia.admission.graph import ML, Graph
from propensia.batch.forests import engine as forests
from propensia.batch.forests import layout, loops
from propensia.batch.forests.engine import Engine, fastest, lacks_compiler
from propensia.scorer import Matrix, Scorer, ScorerError, Unreliable

needs_compiler = pytest.mark.skipif(
    not loops.available(), reason="the extra `fast` (llvmlite) is not installed"
)
HOLED = holed(ROWS, 6)
# What is not a threshold: zeros of both signs, the ends of float32 and of double, infinities.
ODD = [0.0, -0.0, 1e-46, -1e-46, 5e-324, 3.4028235e38, 3.5e38, -3.5e38, 1.8e308, np.inf, -np.inf]


def forest(trees: int, **given: Any) -> RandomForestClassifier:
    return RandomForestClassifier(trees, random_state=1, **given)


def boosted(trees: int, **given: Any) -> GradientBoostingClassifier:
    return GradientBoostingClassifier(n_estimators=trees, random_state=1, **given)


FAMILIES: dict[str, Callable[[], Any]] = {
    "forest": lambda: forest(60).fit(ROWS, LABELS),
    "shallow forest": lambda: forest(60, max_depth=3).fit(ROWS, LABELS),
    "forest with missing values": lambda: forest(60).fit(HOLED, LABELS),
    "extra trees": lambda: ExtraTreesClassifier(40, random_state=1).fit(ROWS, LABELS),
    "tree": lambda: DecisionTreeClassifier(random_state=1).fit(ROWS, LABELS),
    "gradient boosting": lambda: boosted(80).fit(ROWS, LABELS),
    "exponential loss": lambda: boosted(80, loss="exponential").fit(ROWS, LABELS),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=20).fit(HOLED, LABELS),
    "ada boost": lambda: AdaBoostClassifier(
        DecisionTreeClassifier(max_depth=4), n_estimators=40, random_state=1
    ).fit(ROWS, LABELS),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=60, verbose=-1, n_jobs=1).fit(
        HOLED, LABELS
    ),
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=60, n_jobs=1).fit(HOLED, LABELS),
    "deep xgboost": lambda: xgboost.XGBClassifier(n_estimators=20, max_depth=14, n_jobs=1).fit(
        ROWS, LABELS
    ),
    "xgboost's forest": lambda: xgboost.XGBRFClassifier(n_estimators=60, n_jobs=1).fit(
        ROWS, LABELS
    ),
    "sigmoid on forests": lambda: CalibratedClassifierCV(forest(20), cv=3).fit(ROWS, LABELS),
    "isotonic on forests": lambda: CalibratedClassifierCV(forest(20), cv=3, method="isotonic").fit(
        ROWS, LABELS
    ),
    "vote": lambda: VotingClassifier(
        [("a", forest(20)), ("b", LogisticRegression(max_iter=9000)), ("c", boosted(20))],
        voting="soft",
    ).fit(ROWS, LABELS),
    "stack": lambda: StackingClassifier(
        [("a", forest(20)), ("b", boosted(20))], final_estimator=forest(20, max_depth=3)
    ).fit(ROWS, LABELS),
    "bag": lambda: BaggingClassifier(random_state=1).fit(ROWS, LABELS),
    "scaled forest": lambda: make_pipeline(StandardScaler(), forest(40)).fit(ROWS, LABELS),
}


@functools.cache
def model_of(family: str) -> bytes:
    return compiled(node_of(FAMILIES[family]())).onnx


def both(model: bytes) -> tuple[Scorer, Engine]:
    digest = files.sha256(model)
    engine = fastest(model, digest)
    assert isinstance(engine, Engine)
    return Scorer(model, digest), engine


def thresholds(model: bytes) -> np.ndarray:
    """All of the file, those of negatives as they are there, of all columns together."""
    found = [
        numpy_helper.to_array(item.t)
        for node in onnx.load_from_string(model).graph.node
        for item in node.attribute
        if item.name == "nodes_splits"
    ]
    return np.unique(np.abs(np.concatenate(found)))


def adversarial(model: bytes, size: int, seed: int) -> Matrix:
    """Rows of typical values, of thresholds and their neighbours, and of odd numbers."""
    random = np.random.default_rng(seed)
    rows = made(size, seed)
    edges = beside(random.choice(thresholds(model), 3 * size))
    kind = random.random(rows.shape)
    rows = np.where(kind < 0.5, random.choice(edges, rows.shape), rows)
    return np.where(kind > 0.95, random.choice(ODD, rows.shape), rows)


def bits(scorer: Scorer | Engine, rows: Matrix) -> Any:
    try:
        return scorer.many(rows).view(np.int64).tolist()
    except Unreliable:
        return "unreliable"


def assert_same(model: bytes, size: int, seed: int) -> None:
    scorer, engine = both(model)
    rows = adversarial(model, size, seed)
    ordinary, gone = made(size, seed + 1), holed(rows, seed)
    assert isinstance(bits(scorer, ordinary), list)
    for given in (ordinary, rows, gone):
        assert bits(engine, given) == bits(scorer, given)
    one_by_one = np.array([scorer.one(row) for row in ordinary[:100].tolist()])
    assert engine.many(ordinary[:100]).tobytes() == one_by_one.tobytes()


@needs_compiler
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_trees_gives_the_bits_of_the_route(family, monkeypatch):
    monkeypatch.setattr(forests, "_FEWEST_NODES", 1)
    assert_same(model_of(family), 3_000, 11)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_rows_give_the_bits_of_the_route(family, monkeypatch):
    monkeypatch.setattr(forests, "_FEWEST_NODES", 1)
    assert_same(model_of(family), steps(20_000, 100_000), 23)


@needs_compiler
@pytest.mark.parametrize("size", [1, 31, 32, 33, 8_191, 20_000])
def test_the_size_of_a_block_changes_no_bit(size):
    scorer, engine = both(model_of("forest"))
    rows = made(20_000, 5)
    parts = [engine.many(rows[at : at + size]) for at in range(0, min(len(rows), 9 * size), size)]
    found = np.concatenate(parts)
    assert found.tobytes() == scorer.many(rows)[: len(found)].tobytes()


@needs_compiler
def test_no_rows_are_no_answers():
    _, engine = both(model_of("forest"))
    assert engine.many(np.zeros((0, 6))).shape == (0,)


def stumps(cuts: np.ndarray, left: np.ndarray, right: np.ndarray) -> bytes:
    """A sum of trees of one split each, all on the first of two columns."""
    count = len(cuts)
    graph = Graph(2)
    answer = graph.add(
        "TreeEnsemble",
        "x",
        domain=ML,
        tree_roots=list(range(count)),
        nodes_featureids=[0] * count,
        nodes_splits=cuts,
        nodes_modes=np.zeros(count, np.uint8),
        nodes_truenodeids=list(range(0, 2 * count, 2)),
        nodes_trueleafs=[1] * count,
        nodes_falsenodeids=list(range(1, 2 * count, 2)),
        nodes_falseleafs=[1] * count,
        leaf_targetids=[0] * (2 * count),
        leaf_weights=np.column_stack([left, right]).reshape(-1),
        n_targets=1,
        aggregate_function=1,
        post_transform=0,
    )
    return graph.to_bytes(answer)


@needs_compiler
def test_leaves_are_added_in_the_order_of_the_trees():
    """Leaves of very different sizes: another order would be seen in the last bits."""
    random = np.random.default_rng(3)
    cuts = random.random(2_000)
    leaves = random.random((2, 2_000)) * 10.0 ** random.uniform(-16, 0, 2_000) / 2_000
    scorer, engine = both(stumps(cuts, *leaves))
    _, backwards = both(stumps(cuts[::-1], *leaves[:, ::-1]))
    rows = random.random((5_000, 2))
    assert engine.many(rows).tobytes() == scorer.many(rows).tobytes()
    assert engine.many(rows).tobytes() != backwards.many(rows).tobytes()


def balanced(cuts: np.ndarray) -> bytes:
    """One tree over 2 ** depth - 1 ascending thresholds: which share of them is below a row."""
    depth, count = len(cuts).bit_length(), len(cuts)
    levels = [((2 * np.arange(1 << at) + 1) << (depth - 1 - at)) - 1 for at in range(depth)]
    child = 2 * np.arange(count) + 1
    leaf = child >= count
    graph = Graph(2)
    answer = graph.add(
        "TreeEnsemble",
        "x",
        domain=ML,
        tree_roots=[0],
        nodes_featureids=[1] * count,
        nodes_splits=cuts[np.concatenate(levels)],
        nodes_modes=np.zeros(count, np.uint8),
        nodes_truenodeids=np.where(leaf, child - count, child).tolist(),
        nodes_trueleafs=leaf.astype(int).tolist(),
        nodes_falsenodeids=(np.where(leaf, child - count, child) + 1).tolist(),
        nodes_falseleafs=leaf.astype(int).tolist(),
        leaf_targetids=[0] * (count + 1),
        leaf_weights=np.arange(count + 1) / count,
        n_targets=1,
        aggregate_function=1,
        post_transform=0,
    )
    return graph.to_bytes(answer)


@needs_compiler
@pytest.mark.parametrize("depth", [16, 17])
def test_more_thresholds_than_sixteen_bits_can_count(depth):
    """65,535 thresholds just fit; every rank there is, beside every threshold."""
    cuts = np.sort(np.random.default_rng(4).random((1 << depth) - 1))
    scorer, engine = both(balanced(cuts))
    rows = np.zeros((2 * len(cuts) + 3, 2))
    rows[:-3, 1] = np.concatenate([cuts, np.nextafter(cuts, 1)])
    rows[-3:, 1] = [-1.0, 2.0, np.nan]
    found = engine.many(rows)
    assert found.tobytes() == scorer.many(rows).tobytes()
    assert len(np.unique(found)) == len(cuts) + 1


@needs_compiler
@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="x86 processors")
@pytest.mark.parametrize("processor", ["x86-64", "haswell"])
def test_a_smaller_processor_gives_the_same_bits(processor, monkeypatch):
    """Without the wide vectors of this one the compiler writes other instructions."""

    class Nothing:
        def flatten(self) -> str:
            return ""

    monkeypatch.setattr(loops.llvm, "get_host_cpu_name", lambda: processor)
    monkeypatch.setattr(loops.llvm, "get_host_cpu_features", Nothing)
    for family in ("forest", "lightgbm", "deep xgboost"):
        assert_same(model_of(family), 1_000, 31)


@needs_compiler
def test_trees_that_the_engine_would_walk_otherwise_are_left_to_onnx_runtime(monkeypatch):
    """The proof at load, which also a new version of a library has to pass."""

    def careless(node: Any, negative: Any) -> Any:
        trees = real(node, negative)
        trees.values[-1] = np.nextafter(trees.values[-1], 1)
        trees.tops[0] = 0
        return trees

    real = layout.laid_out
    model = model_of("forest")
    assert isinstance(fastest(model, files.sha256(model)), Engine)
    monkeypatch.setattr(layout, "laid_out", careless)
    assert isinstance(fastest(model, files.sha256(model)), Scorer)


def with_categories() -> Any:
    return lightgbm.LGBMClassifier(n_estimators=60, verbose=-1, n_jobs=1).fit(
        ROWS, LABELS, categorical_feature=[3]
    )


@pytest.mark.parametrize(
    "fitted",
    [
        lambda: LogisticRegression(max_iter=9000).fit(ROWS, LABELS),
        lambda: forest(2, max_depth=2).fit(ROWS, LABELS),
        with_categories,
    ],
    ids=["no trees", "hardly any trees", "sets of categories"],
)
def test_what_the_engine_does_not_know_is_left_to_onnx_runtime(fitted):
    model = compiled(node_of(fitted())).onnx
    assert isinstance(fastest(model, files.sha256(model)), Scorer)


def test_without_a_compiler_onnx_runtime_does_the_work(monkeypatch):
    monkeypatch.setattr(loops, "llvm", None)
    model = model_of("forest")
    scorer = fastest(model, files.sha256(model))
    assert isinstance(scorer, Scorer)
    assert np.all(scorer.many(made(10, 5)) >= 0)


def test_only_trees_without_a_compiler_lack_one(monkeypatch):
    linear = compiled(node_of(LogisticRegression(max_iter=9000).fit(ROWS, LABELS))).onnx
    trees = model_of("forest")
    assert lacks_compiler(trees) is not loops.available()
    monkeypatch.setattr(loops, "llvm", None)
    assert lacks_compiler(trees) and not lacks_compiler(linear)


@needs_compiler
@pytest.mark.parametrize("error", [RuntimeError, AttributeError])
def test_a_compiler_that_cannot_leaves_the_work_to_onnx_runtime(error, monkeypatch):
    """One that is too old, or on a machine that lets nobody make code."""

    def refuse(*_: Any) -> Any:
        raise error("no")

    monkeypatch.setattr(loops.llvm, "create_mcjit_compiler", refuse)
    model = model_of("forest")
    assert isinstance(fastest(model, files.sha256(model)), Scorer)


HARDENED = """
import ctypes, sys
from pathlib import Path
from propensia import files
from propensia.batch.forests import engine as forests
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE
    sys.exit("this kernel cannot")
model = Path(sys.argv[1]).read_bytes()
print(type(forests.fastest(model, files.sha256(model))).__name__)
"""


@needs_compiler
@pytest.mark.skipif(sys.platform != "linux", reason="a setting of Linux")
def test_a_service_that_may_not_make_code_is_not_taken_down(tmp_path):
    (tmp_path / "model.onnx").write_bytes(model_of("forest"))
    done = subprocess.run(
        [sys.executable, "-c", HARDENED, str(tmp_path / "model.onnx")],
        capture_output=True,
        text=True,
    )
    if "this kernel cannot" in done.stderr:
        pytest.skip("the kernel is older than 6.3")
    assert (done.returncode, done.stdout) == (0, "Scorer\n")


def test_a_changed_file_is_refused():
    model = model_of("forest")
    with pytest.raises(ScorerError, match="has changed"):
        fastest(model, files.sha256(model + b" "))


@needs_compiler
def test_a_number_that_is_no_probability_is_never_passed_on():
    scorer, engine = both(stumps(np.linspace(0, 1, 300), np.zeros(300), np.full(300, 0.01)))
    fine, bad = np.full((3, 2), 0.2), np.full((3, 2), 0.9)
    assert engine.many(fine).tobytes() == scorer.many(fine).tobytes()
    for one in (scorer, engine):
        with pytest.raises(Unreliable):
            one.many(np.vstack([fine, bad]))


@needs_compiler
@pytest.mark.parametrize("family", ["forest", "histogram boosting"])
def test_rows_of_another_width_are_an_error(family):
    _, engine = both(model_of(family))
    with pytest.raises(ScorerError, match="6 columns"):
        engine.many(np.zeros((4, 5)))
