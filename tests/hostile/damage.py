"""Models whose numbers no library writes: impossible trees, weights, shapes, classes."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import models_for_tests
import numpy as np
from sklearn.tree._tree import Tree

from hostile.case import Case

State = dict[str, Any]
_TREE, _WEIGHTS = ("arbol_imposible",), ("pesos_imposibles", "matriz_imposible", "no_entrenado")
_ANY_SHAPE = (*_WEIGHTS, "columnas_distintas", "no_es_un_modelo", "no_es_clasificador_binario")


class _Pickler(pickle.Pickler):
    """Writes the trees of a forest with another state than they have."""

    def __init__(self, file: io.BytesIO, change: Callable[[State], None]) -> None:
        super().__init__(file, 4)
        self.change = change

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tree):
            return NotImplemented
        made, args, state = value.__reduce__()
        state = {key: np.array(part) if key in ("nodes", "values") else part
                 for key, part in state.items()}  # fmt: skip
        self.change(state)
        return made, args, state


def forest(change: Callable[[State], None]) -> bytes:
    """A file of a small forest, every tree of which was changed."""
    file = io.BytesIO()
    _Pickler(file, change).dump(models_for_tests.forest(5, trees=3))
    return file.getvalue()


def _nodes(field: str, value: Any, where: int = 0) -> Callable[[State], None]:
    def change(state: State) -> None:
        state["nodes"][field][where] = value

    return change


def _leaves(value: float) -> Callable[[State], None]:
    def change(state: State) -> None:
        state["values"][state["nodes"]["left_child"] < 0] = value

    return change


def _two_parents(state: State) -> None:
    state["nodes"]["right_child"][0] = state["nodes"]["left_child"][0]


def _chain(state: State) -> None:
    """A tree that goes down and down: each split has a leaf and the next split."""
    length = 5001
    nodes = np.repeat(state["nodes"][:1], 2 * length + 1)
    number = np.arange(len(nodes))
    split = (number % 2 == 0) & (number < 2 * length)
    nodes["left_child"] = np.where(split, number + 1, -1)
    nodes["right_child"] = np.where(split, number + 2, -1)
    nodes["feature"], nodes["threshold"] = 0, number / 10
    state["nodes"], state["node_count"] = nodes, len(nodes)
    state["values"] = np.repeat(state["values"][:1], len(nodes), axis=0)


def _cycle(state: State) -> None:
    below = state["nodes"]["left_child"][0]
    state["nodes"]["left_child"][below] = 0
    state["nodes"]["right_child"][below] = below + 1


def _put(key: str, value: Any) -> Callable[[State], None]:
    return lambda state: state.__setitem__(key, value)


def _cut(key: str) -> Callable[[State], None]:
    return lambda state: state.__setitem__(key, state[key][:-1])


def _plain_nodes(state: State) -> None:
    state["nodes"] = np.zeros((len(state["nodes"]), 7))


def _strange_nodes(state: State) -> None:
    kind = np.dtype([("left_child", "f8"), ("right_child", "i8"), ("feature", "i8"),
                     ("threshold", "f8")])  # fmt: skip
    state["nodes"] = np.zeros(len(state["nodes"]), kind)


_NAN, _INF = float("nan"), float("inf")
_TREES: dict[str, tuple[Callable[[State], None], tuple[str, ...]]] = {
    "node_that_points_at_itself": (_nodes("left_child", 0), _TREE),
    "node_that_points_back": (_cycle, _TREE),
    "node_with_two_parents": (_two_parents, _TREE),
    "child_out_of_range": (_nodes("right_child", 10**9), _TREE),
    "child_of_a_negative_number": (_nodes("left_child", -2), _TREE),
    "child_on_one_side_only": (_nodes("left_child", -1), _TREE),
    "tree_of_five_thousand_levels": (_chain, _TREE),
    "column_out_of_range": (_nodes("feature", 16), _TREE),
    "column_of_a_negative_number": (_nodes("feature", -5), _TREE),
    "threshold_that_is_no_number": (_nodes("threshold", _NAN), _TREE),
    "threshold_below_all_numbers": (_nodes("threshold", -_INF), _TREE),
    "leaf_that_is_no_number": (_leaves(_NAN), _TREE),
    "leaf_without_bound": (_leaves(_INF), _TREE),
    "leaf_below_zero": (_leaves(-0.5), _TREE),
    "leaf_above_one": (_leaves(5.5), _TREE),
    "node_count_that_lies": (_put("node_count", 10**9), _TREE),
    "node_count_below_zero": (_put("node_count", -1), _TREE),
    "node_count_that_is_text": (_put("node_count", "7"), _TREE),
    "nodes_cut_short": (_cut("nodes"), _TREE),
    "values_cut_short": (_cut("values"), _TREE),
    "no_nodes_at_all": (
        lambda state: state.update(nodes=state["nodes"][:0], node_count=0),
        _TREE,
    ),
    "nodes_that_are_no_records": (_plain_nodes, _TREE),
    "nodes_of_other_number_types": (_strange_nodes, _TREE),
    "values_of_three_classes": (
        lambda state: state.update(values=np.repeat(state["values"], 2, axis=2)),
        _TREE,
    ),
    "values_that_are_whole_numbers": (
        lambda state: state.update(values=state["values"].astype("i8")),
        _TREE,
    ),
    "values_that_are_text": (_put("values", "no"), ("no_entrenado", *_TREE)),
    "tree_without_nodes": (lambda state: state.pop("nodes"), ("no_entrenado", *_TREE)),
}


def logistic(**attributes: Any) -> bytes:
    """A file of a logistic regression with other attributes; ``None`` takes one away."""
    model = copy.deepcopy(models_for_tests.logistic())
    for key, value in attributes.items():
        if value is None:
            del model.__dict__[key]
        else:
            model.__dict__[key] = value
    return pickle.dumps(model, 4)


_LINEAR: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "weights_that_are_no_numbers": ({"coef_": np.full((1, 16), _NAN)}, _WEIGHTS),
    "weights_without_bound": ({"coef_": np.full((1, 16), _INF)}, _WEIGHTS),
    "weights_that_are_text": ({"coef_": np.full((1, 16), "9")}, _WEIGHTS),
    "weights_that_are_objects": ({"coef_": np.full((1, 16), "9", dtype=object)}, _WEIGHTS),
    "weights_for_other_columns": ({"coef_": np.ones((1, 17))}, _ANY_SHAPE),
    "weights_of_three_dimensions": ({"coef_": np.ones((1, 16, 1))}, _ANY_SHAPE),
    "weights_for_three_classes": ({"coef_": np.ones((3, 16))}, _ANY_SHAPE),
    "weights_of_no_rows": ({"coef_": np.ones((0, 16))}, _ANY_SHAPE),
    "weights_in_a_list": ({"coef_": [[1.0] * 16]}, _ANY_SHAPE),
    "weights_missing": ({"coef_": None}, ("no_entrenado",)),
    "intercept_that_is_no_number": ({"intercept_": np.array([_NAN])}, _WEIGHTS),
    "intercept_of_two": ({"intercept_": np.ones(2)}, _ANY_SHAPE),
    "columns_that_lie": ({"n_features_in_": 10**9}, ("columnas_distintas",)),
    "columns_that_are_true": (
        {"n_features_in_": True},
        ("columnas_distintas", "no_es_un_modelo", "no_entrenado", "pesos_imposibles"),
    ),
    "classes_of_three": (
        {"classes_": np.array([0, 1, 2])},
        ("no_es_clasificador_binario",),
    ),
    "classes_alike": (
        {"classes_": np.array([1, 1])},
        ("clases_distintas", "no_es_clasificador_binario"),
    ),
    "classes_of_other_names": (
        {"classes_": np.array(["gato", "perro"])},
        ("clases_distintas",),
    ),
    "classes_missing": ({"classes_": None}, ("no_entrenado",)),
}

CASES: tuple[Case, ...] = (
    *(
        Case(title, lambda trap, change=change: forest(change), codes)  # type: ignore[misc]
        for title, (change, codes) in _TREES.items()
    ),
    *(
        Case(title, lambda trap, given=given: logistic(**given), codes)  # type: ignore[misc]
        for title, (given, codes) in _LINEAR.items()
    ),
)
