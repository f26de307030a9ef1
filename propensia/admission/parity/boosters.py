"""Real boosters of XGBoost and LightGBM, of models written anew from what was read and checked.

The bytes and texts of a file never reach a library: its native code trusts what it reads.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from propensia.admission.families import (
    lightgbm,
    lightgbm_text,
    ubjson,
    xgboost,
    xgboost_model,
    xgboost_trees,
)
from propensia.admission.families.attributes import maker
from propensia.admission.families.lightgbm_text import Model
from propensia.admission.families.ubjson import Value
from propensia.admission.families.xgboost_model import Booster, Forest, member
from propensia.admission.nodes import Node

CLASSIFIERS = frozenset(xgboost.CLASSIFIERS) | frozenset(lightgbm.CLASSIFIERS)

Rows = Callable[[np.ndarray], np.ndarray]
_NOBODY = 0x7FFFFFFF  # the parent of a root, and the column of a deleted node
_LINES = (
    "num_leaves",
    "split_feature",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
)
_CATEGORIES = ("num_cat", "cat_boundaries", "cat_threshold")


def stand_in(node: Node) -> Any:
    """What scikit-learn can ask in place of a wrapper or bare booster: a classifier.

    It has ``predict_proba`` and ``classes_``, and ``decision_function`` where the wrapper has
    one. A wrapper that was never fitted, as others keep one beside its fitted copies, answers
    nothing. Raises ``Refusal``.
    """
    name = maker(node)
    given = node.attributes()
    if all(given.get(kept) is None for kept in ("_Booster", "handle", "_handle")):
        return unfitted()
    if name is not None and (name.module, name.name) in xgboost.CLASSIFIERS:
        labels = node.attributes().get("classes_")
        return _classifier(_xgboost(node), None, labels)
    chance, total = _lightgbm(lightgbm.booster_of(node))
    labels = node.attributes().get("_classes")
    return _classifier(chance, total if lightgbm.decides(node) else None, labels)


def unfitted() -> Any:
    """A classifier that was never fitted: others ask of it what kind of thing it is.

    Its class is made here, for scikit-learn may not be installed.
    """
    base = importlib.import_module("sklearn.base")

    class Unfitted(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc, name-defined]
        """Takes missing values and sparse matrices, as boosters do."""

        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.input_tags.allow_nan = tags.input_tags.sparse = True
            return tags

        def _more_tags(self) -> dict[str, bool]:  # up to 1.5
            return {"allow_nan": True}

        def fit(self, rows: np.ndarray, labels: np.ndarray) -> Any:
            """Never called: scikit-learn takes for an estimator what can be fitted."""
            raise TypeError("it stands for an estimator, and learns nothing")

    return Unfitted()


def _classifier(chance: Rows, decision: Rows | None, labels: object) -> Any:
    """A classifier of scikit-learn around a function."""

    class StandIn(type(unfitted())):  # type: ignore[misc]
        """Answers with the probabilities of a booster, double (n, 2)."""

        def __init__(self) -> None:
            self.classes_ = labels if isinstance(labels, np.ndarray) else np.arange(2)

        def predict_proba(self, rows: np.ndarray) -> np.ndarray:
            second = chance(rows)
            return np.column_stack([1 - second, second])

        def predict(self, rows: np.ndarray) -> np.ndarray:
            return self.classes_[np.argmax(self.predict_proba(rows), axis=1)]  # type: ignore[no-any-return]

    made = StandIn()
    if decision is not None:
        made.decision_function = decision
    return made


def _xgboost(node: Node) -> Rows:
    inner = xgboost.booster_of(node)
    model = xgboost_model.read(inner)
    library = importlib.import_module("xgboost")
    missing, known = xgboost.missing_value(node), xgboost.known_categories(node, model)
    rounds = xgboost.rounds_of(node, model)
    booster = library.Booster(
        {"nthread": 1}, model_file=bytearray(ubjson.dump(_document(inner, model, rounds)))
    )

    def chance(rows: np.ndarray) -> np.ndarray:
        # Of a sparse matrix it makes missing values where nothing is stored.
        matrix = rows.tocsr() if hasattr(rows, "tocsr") else _codes(rows, known)
        if inner is node or not isinstance(model.body, Forest):
            found = booster.predict(library.DMatrix(matrix, missing=missing, nthread=1))
        else:
            found = booster.inplace_predict(matrix, missing=missing, validate_features=False)
        return np.asarray(found if found.ndim == 1 else found[:, 1])

    return chance


def _document(inner: Node, model: Booster, rounds: int) -> dict[str, Value]:
    """The model anew, with no more than what was checked."""
    told = member(member(ubjson.parse(xgboost_model.buffer(inner)), "Model"), "learner")
    given = member(told, "learner_model_param")
    kept = ("base_score", "num_class", "num_feature", "num_target")
    objective: dict[str, Value] = {
        "name": model.objective,
        "reg_loss_param": {"scale_pos_weight": "1"},
    }
    if len(model.margins) == 2:
        objective = {"name": "multi:softprob", "softmax_multiclass_param": {"num_class": "2"}}
    learner: dict[str, Value] = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": _booster(model, rounds),
        "learner_model_param": {
            "boost_from_average": "1",
            **{key: given[key] for key in kept if key in given},
        },
        "objective": objective,
    }
    return {"learner": learner, "version": list(model.version)}


def _booster(model: Booster, rounds: int) -> dict[str, Value]:
    body = model.body
    if not isinstance(body, Forest):
        weights: Value = body.reshape(-1)
        return {"name": "gblinear", "model": {"boosted_rounds": 1, "weights": weights}}
    ends = body.ends[:rounds].tolist()
    count = ends[-1]
    trees: list[Value] = [_tree(tree, number) for number, tree in enumerate(body.trees[:count])]
    inside: dict[str, Value] = {
        "cats": {
            "enc": [],
            "feature_segments": np.zeros(0, np.int32),
            "sorted_idx": np.zeros(0, np.int32),
        },
        "gbtree_model_param": {
            "num_parallel_tree": str(ends[0] // len(model.margins)),
            "num_trees": str(count),
        },
        "iteration_indptr": [0, *ends],
        "tree_info": body.groups[:count].tolist(),
        "trees": trees,
    }
    trunk: dict[str, Value] = {"name": "gbtree", "model": inside}
    if not body.dart:
        return trunk
    return {"name": "dart", "gbtree": trunk, "weight_drop": body.weights[:count].tolist()}


def _tree(tree: dict[str, Value], number: int) -> dict[str, Value]:
    """One tree; its parents and deleted nodes come from its children, which were checked."""
    size = xgboost_model.counted(member(tree, "tree_param"), "num_nodes")
    left, right, column = (
        xgboost_model.numbers(tree, name, "i", size).astype(np.int32)
        for name in ("left_children", "right_children", "split_indices")
    )
    inner = np.flatnonzero(left >= 0)
    parents = np.full(size, -1, np.int32)
    parents[0] = _NOBODY
    parents[left[inner]] = parents[right[inner]] = inner
    deleted = parents < 0
    parents[deleted], column[left < 0], column[deleted] = 0, 0, _NOBODY
    kind = xgboost_model.numbers(tree, "split_type", "i", size).astype(np.uint8)
    codes, places = np.zeros(0, np.int64), dict[int, tuple[int, int]]()
    if kind[inner].any():
        codes, places = xgboost_trees.segments(tree)
    empty = np.zeros(size, np.float32)
    return {
        "base_weights": empty,
        "categories": codes.astype(np.int32),
        "categories_nodes": np.array(list(places), np.int32),
        "categories_segments": np.array([begin for begin, _ in places.values()], np.int64),
        "categories_sizes": np.array([count for _, count in places.values()], np.int64),
        "default_left": (xgboost_model.numbers(tree, "default_left", "i", size) != 0).astype(
            np.uint8
        ),
        "id": number,
        "left_children": left,
        "loss_changes": empty,
        "parents": parents,
        "right_children": right,
        "split_conditions": xgboost_model.numbers(tree, "split_conditions", "f", size).astype(
            np.float32
        ),
        "split_indices": column,
        "split_type": np.where(left >= 0, kind, 0).astype(np.uint8),
        "sum_hessian": empty,
        "tree_param": {
            "num_deleted": str(int(deleted.sum())),
            "num_feature": "0",
            "num_nodes": str(size),
            "size_leaf_vector": "1",
        },
    }


def _lightgbm(node: Node) -> tuple[Rows, Rows]:
    model = lightgbm_text.read(node)
    iterations = lightgbm.used_iterations(node, model)
    known = lightgbm.known_categories(node, model)
    library = importlib.import_module("lightgbm")
    booster = library.Booster(model_str=_text(model, iterations))

    def chance(rows: np.ndarray) -> np.ndarray:
        found = booster.predict(_codes(rows, known), num_threads=1)
        return np.asarray(found if found.ndim == 1 else found[:, 1])

    def total(rows: np.ndarray) -> np.ndarray:
        return np.asarray(booster.predict(_codes(rows, known), raw_score=True, num_threads=1))

    return chance, total


def _text(model: Model, iterations: int) -> str:
    """The model anew, with no more than what was checked."""
    blocks = []
    for number, tree in enumerate(model.trees[: iterations * model.classes]):
        # Lists of categories that no split uses were not looked at.
        used = any(int(kind) & 1 for kind in tree.get("decision_type", "").split())
        lines = [f"{name}={tree[name]}" for name in _LINES if tree.get(name)]
        lines += [f"{name}={tree[name]}" for name in _CATEGORIES] if used else ["num_cat=0"]
        blocks.append("\n".join([f"Tree={number}", *lines, "is_linear=0", "shrinkage=1", "\n\n"]))
    columns = range(model.width)
    header = [
        "tree",
        f"version={model.version}",
        f"num_class={model.classes}",
        f"num_tree_per_iteration={model.classes}",
        "label_index=0",
        f"max_feature_idx={model.width - 1}",
        f"objective={model.objective}",
        *(["average_output"] if model.mean else []),
        f"feature_names={' '.join(f'Column_{column}' for column in columns)}",
        f"feature_infos={' '.join('none' for _ in columns)}",
        f"tree_sizes={' '.join(str(len(block)) for block in blocks)}",
        "\n",
    ]
    return "\n".join(header) + "".join(blocks) + "end of trees\n\npandas_categorical:null\n"


def _codes(rows: np.ndarray, known: Mapping[int, Sequence[object]]) -> np.ndarray:
    """The rows as doubles, with codes where the training counted categories of a data frame."""
    rows = rows.toarray() if hasattr(rows, "toarray") else rows
    matrix = np.empty(rows.shape)
    for place in range(rows.shape[1]):
        values = rows[:, place]
        if place in known:
            codes = {value: float(code) for code, value in enumerate(known[place])}
            matrix[:, place] = [codes.get(value, np.nan) for value in values.tolist()]
        else:
            matrix[:, place] = values.astype(np.float64)
    return matrix
