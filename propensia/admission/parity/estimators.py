"""Real estimators of scikit-learn and its relatives, built from nodes that were read as data.

Nothing is unpickled: only classes of the known families are imported, by exact name, and what a
native routine would walk through is checked once more before it gets there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from propensia.admission.arrays import NDARRAY
from propensia.admission.families import (
    CLASSIFIERS,
    FRESH,
    INSIDE,
    PARTS,
    TRANSFORMERS,
    columns,
    histogram,
    keras,
    linear,
    splines,
    trees,
)
from propensia.admission.families.attributes import Pair, flag, maker, version_of
from propensia.admission.nodes import Global, Node
from propensia.admission.parity import boosters, networks
from propensia.admission.parity.asked import installed, minor
from propensia.admission.refusal import Refusal, shown

_TREE = ("sklearn.tree._tree", "Tree")
_PARTIAL = ("functools", "partial")
_ISOTONIC = ("sklearn.isotonic", "IsotonicRegression")
# Rows come as arrays in the order of training: names and pandas output would only be in the way.
# Threads, progress lines and caches on disk are not wanted either.
_LEFT_OUT = {"feature_names_in_", "_sklearn_output_config", "_sklearn_version"}
_LEFT_OUT |= {"_raw_predict"}  # a method of histogram boosting, which its class has anyway
_REPLACED: dict[str, object] = {"n_jobs": None, "verbose": 0, "memory": None}
_NUMBER_TYPES = {"float64", "float32", "int64", "int32", "uint8", "bool_"}


def materialise(root: object) -> Any:
    """The real estimator that checked nodes describe; a search gives its best one.

    Raises ``Refusal`` for a class that is not known here, for another version of the library
    than the installed one, and for a tree that is not sound.
    """
    return _Builder().estimator(root)


class _Builder:
    """Builds the objects of one file, each shared one once."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        # Of all curves of so many hills: a file may hold one, and mention it a thousand times.
        self._hills: dict[int, np.ndarray] = {}

    def estimator(self, value: object) -> Any:
        pair = _pair(value)
        if not isinstance(value, Node) or pair not in CLASSIFIERS | TRANSFORMERS:
            raise Refusal("familia_desconocida", shown(".".join(pair)))
        return self._node(value)

    def _value(self, value: object) -> Any:
        """Plain data as they are, known objects built, and nothing for everything else."""
        if isinstance(value, Global):
            known = value.module == "numpy" and value.name in _NUMBER_TYPES
            return getattr(np, value.name) if known else None
        if not isinstance(value, Node | list | tuple | dict):
            return value
        if id(value) not in self._made:
            self._made[id(value)] = self._built(value)
        return self._made[id(value)]

    def _built(self, value: Node | list[object] | tuple[object, ...] | dict[Any, object]) -> Any:
        if isinstance(value, Node):
            return self._node(value)
        if isinstance(value, dict):
            return {key: self._value(item) for key, item in value.items()}
        return type(value)(self._value(item) for item in value)

    def _node(self, node: Node) -> Any:
        pair = _pair(node)
        if pair in INSIDE:
            inner = node.attributes().get(INSIDE[pair])
            # A setting may hold a search that was never fitted, only its copies were.
            return boosters.unfitted() if inner is None else self.estimator(inner)
        if node.made_by == NDARRAY:
            return self._objects(node)
        if pair == _TREE:
            raise Refusal("arbol_imposible", "un árbol sin dueño", "a tree without an owner")
        if pair in FRESH:
            return _imported(pair)()
        if pair in keras.CLASSIFIERS:
            return networks.stand_in(node)
        if pair in boosters.CLASSIFIERS:
            return boosters.stand_in(node)
        if pair == _PARTIAL:  # in the preprocessor of histogram boosting, which takes numbers
            return partial(np.asarray, dtype=np.float64)
        if pair in linear.SPARSE:  # native code would follow its indices
            return linear.dense(node)
        if pair == splines.CURVE:
            return self._curve(node)
        if pair not in CLASSIFIERS and pair not in TRANSFORMERS and pair not in PARTS:
            return None
        _check_version(node, pair)
        cls = _imported(pair)
        made = self._made[id(node)] = cls.__new__(cls)
        for name, given in node.attributes().items():
            if name not in _LEFT_OUT:
                if callable(getattr(cls, name, None)):  # it would be called in its place
                    raise Refusal("familia_desconocida", f"{pair[1]}.{shown(name)}")
                vars(made)[name] = self._attribute(node, name, given)
        if pair == _ISOTONIC:  # the function between its thresholds is never in a file
            made._build_f(made.X_thresholds_, made.y_thresholds_)
        if node.made_by == histogram.PREDICTOR:
            made.predict = _careful(node, made)
        return made

    def _attribute(self, node: Node, name: str, value: object) -> Any:
        if name in _REPLACED:
            return _REPLACED[name]
        if name == "tree_":
            return _tree(node, value)
        if name == "transformers_":
            # Rows have no names here: the columns by place, as the compiler takes them.
            parts = columns.numbered(node)
            return [(label, self._value(part), places) for label, part, places in parts]
        return self._value(value)

    def _curve(self, node: Node) -> Any:
        """The real spline, made anew from what has been checked: native code follows its sizes."""
        checked = splines.curve(node, node)
        extrapolate = flag(node, "extrapolate", True)
        hills = self._hills.setdefault(checked.hills, np.eye(checked.hills))
        # As the library makes them: the plain constructor refuses the knots of a constant column.
        make = _imported(splines.CURVE).construct_fast
        return make(checked.knots, hills, checked.degree, extrapolate)

    def _objects(self, node: Node) -> np.ndarray:
        (shape,) = node.args
        array = np.empty(len(node.items), dtype=object)
        array[:] = [self._value(item) for item in node.items]
        return array.reshape(shape)  # type: ignore[call-overload, no-any-return]


def _imported(pair: Pair) -> Any:
    return getattr(importlib.import_module(pair[0]), pair[1])


def _check_version(node: Node, pair: Pair) -> None:
    """Only what the installed scikit-learn wrote; other packages do not say who wrote a file."""
    if pair[0].partition(".")[0] != "sklearn" or pair in PARTS:
        return
    version = version_of(node)
    if version is None or version != minor(installed("scikit-learn")):
        raise Refusal("familia_desconocida", "otra versión de scikit-learn", "another version")


def _tree(owner: Node, value: object) -> object:
    """The real tree, whose every node has been checked here once more: a bad one kills."""
    width, classes, outputs = value.args if isinstance(value, Node) else (0, 0, 0)
    if not isinstance(value, Node) or not isinstance(width, int):
        raise Refusal("arbol_imposible", "número de columnas", "number of columns")
    check = trees.checked if trees.is_tree(owner) else trees.regressors
    check([owner], width)
    tree = _imported(_TREE)(width, classes, outputs)
    tree.__setstate__(value.attributes())
    return tree


def _careful(node: Node, predictor: Any) -> Callable[..., Any]:
    """``predict`` of a histogram tree, whose nodes have been checked here once more.

    Native code follows its indices into the rows and into the known categories, so both must be
    as wide as the tree asks for at every call.
    """
    histogram.checked([node], 1 << 31)
    nodes, predict = predictor.nodes, predictor.predict
    inner = nodes[nodes["is_leaf"] == 0]
    wanted = inner["feature_idx"]
    sets = inner["feature_idx"][inner["is_categorical"] != 0]

    def careful(X: Any, known_cat_bitsets: Any, f_idx_map: Any, n_threads: Any) -> Any:
        width = min(X.shape[1], len(f_idx_map))
        if (wanted >= width).any() or (f_idx_map[sets] >= len(known_cat_bitsets)).any():
            raise Refusal("arbol_imposible", "columna fuera de rango", "column out of range")
        return predict(X, known_cat_bitsets, f_idx_map, n_threads)

    return careful


def _pair(value: object) -> Pair:
    name = maker(value)
    if name is None:
        raise Refusal("no_es_un_modelo", type(value).__name__)
    return name.module, name.name
