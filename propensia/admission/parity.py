"""The original library's own answers, to compare a compiled model with.

Nothing is ever unpickled: estimators are built from nodes that the compiler has checked, by exact
class names, and only when the version that wrote them is the one installed here.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from propensia.admission.compiler import Compiled
from propensia.admission.families import keras, pipelines, trees
from propensia.admission.families.parts import Flow, Pair, maker, version_of
from propensia.admission.graph import INPUT
from propensia.admission.nodes import Node
from propensia.admission.refusal import Refusal, shown

Predict: TypeAlias = Callable[[np.ndarray], np.ndarray]

# The classes that may be built, at their present addresses; searches give their best estimator.
_TREE = ("sklearn.tree._tree", "Tree")
_SEARCHES = {
    ("sklearn.model_selection._search", "GridSearchCV"),
    ("sklearn.model_selection._search", "RandomizedSearchCV"),
}
_PIPELINE = ("sklearn.pipeline", "Pipeline")
_FORESTS = {
    ("sklearn.ensemble._forest", "RandomForestClassifier"),
    ("sklearn.ensemble._forest", "ExtraTreesClassifier"),
}
_TREES = {
    ("sklearn.tree._classes", "DecisionTreeClassifier"),
    ("sklearn.tree._classes", "ExtraTreeClassifier"),
}
_ESTIMATORS = {
    *_FORESTS,
    *_TREES,
    ("sklearn.linear_model._logistic", "LogisticRegression"),
    ("sklearn.linear_model._logistic", "LogisticRegressionCV"),
    ("sklearn.preprocessing._data", "StandardScaler"),
    ("sklearn.preprocessing._data", "MinMaxScaler"),
    ("sklearn.preprocessing._data", "MaxAbsScaler"),
    ("sklearn.preprocessing._data", "RobustScaler"),
    _PIPELINE,
}
# Rows come as arrays in the order of training: names and pandas output would only be in the way.
# Threads and progress lines are not wanted either.
_LEFT_OUT = {"feature_names_in_", "_sklearn_output_config"}
_REPLACED: dict[str, object] = {"n_jobs": None, "verbose": 0, "memory": None}


@dataclass(frozen=True, slots=True)
class Reference:
    """The original library as a function, or the reason why it cannot be asked.

    ``predict`` takes contract columns, double (n, k), and gives the probability of the positive
    class, double (n,). ``library`` is its name and version, empty when there is none; ``reason``
    and ``reason_en`` are a sentence in Spanish and in English where there is none, else empty.
    """

    predict: Predict | None
    library: str = ""
    reason: str = ""
    reason_en: str = ""


def reference(root: object, compiled: Compiled) -> Reference:
    """The original library's answers for the model that ``compiled`` was made from."""
    if compiled.kind == "keras":
        return _keras_reference(root, compiled)
    version = _installed("scikit-learn")
    written = compiled.libraries.get("scikit-learn", "")
    if not version:
        return _not_installed("scikit-learn")
    if _minor(version) != _minor(written):
        return _other_version("scikit-learn", written, version)
    try:
        model = materialise(root)
    except (Refusal, TypeError, ValueError, AttributeError, ImportError) as error:
        return _not_accepted("scikit-learn", version, error)
    order, positive = list(compiled.order), compiled.positive

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_proba(rows[:, order])[:, positive], np.float64)

    return Reference(predict, library=f"scikit-learn {version}")


def materialise(root: object) -> Any:
    """The real scikit-learn estimator that checked nodes describe; a search gives its best one.

    Raises ``Refusal`` for a class that is not known here, for another version of the library
    than the installed one, and for a tree that is not sound.
    """
    if _pair(root) in _SEARCHES and isinstance(root, Node):
        return materialise(root.attributes().get("best_estimator_"))
    return _built(root, _ESTIMATORS)


def _built(value: object, known: set[Pair]) -> Any:
    pair = _pair(value)
    if pair not in known or not isinstance(value, Node):
        raise Refusal("familia_desconocida", shown(".".join(pair)))
    version = version_of(value)
    if version is None or version != _minor(_installed("scikit-learn")):
        raise Refusal("familia_desconocida", "otra versión de scikit-learn", "another version")
    cls = _imported(pair)
    estimator = cls.__new__(cls)
    for name, given in value.attributes().items():
        if name not in _LEFT_OUT:
            vars(estimator)[name] = _attribute(value, pair, name, given)
    return estimator


def _attribute(node: Node, pair: Pair, name: str, value: object) -> object:
    """What the real estimator gets; only where an answer depends on it, more than plain data."""
    if name in _REPLACED:
        return _REPLACED[name]
    if pair in _FORESTS and name == "estimators_" and isinstance(value, list):
        return [_built(tree, _TREES) for tree in value]
    if pair in _FORESTS and name == "estimator":
        # Only its class is asked, for what the kind of tree supports.
        tree = _pair(value)
        return _imported(tree)() if tree in _TREES else None
    if pair in _TREES and name == "tree_":
        return _tree(node, value)
    if pair == _PIPELINE and name == "steps" and isinstance(value, list):
        pipelines.steps(node)
        return [_step(step) for step in value]
    return value if _is_plain(value) else None


def _imported(pair: Pair) -> Any:
    return getattr(importlib.import_module(pair[0]), pair[1])


def _step(step: Any) -> tuple[str, object]:
    name, value = step
    return str(name), materialise(value) if isinstance(value, Node) else "passthrough"


def _tree(owner: Node, value: object) -> object:
    """The real tree, whose every node has been checked here once more: a bad one kills."""
    width, classes, outputs = value.args if isinstance(value, Node) else (0, 0, 0)
    if not isinstance(value, Node) or not isinstance(width, int):
        raise Refusal("arbol_imposible", "número de columnas", "number of columns")
    trees.checked([owner], Flow(INPUT, width))
    tree = _imported(_TREE)(width, classes, outputs)
    tree.__setstate__(value.attributes())
    return tree


def _pair(value: object) -> Pair:
    name = maker(value)
    if name is None:
        raise Refusal("no_es_un_modelo", type(value).__name__)
    return name.module, name.name


def _is_plain(value: object) -> bool:
    """Numbers, text and arrays of them; what else an estimator remembers is not needed."""
    if isinstance(value, list | tuple):
        return all(isinstance(item, bool | int | float | str | None) for item in value)
    return isinstance(value, bool | int | float | str | np.ndarray | None)


def _keras_reference(root: object, compiled: Compiled) -> Reference:
    written = compiled.libraries.get("keras", "")
    version = _installed("keras")
    if not version or not _installed("tensorflow"):
        return _not_installed("Keras")
    if _minor(written)[:1] != (3,) or _minor(version)[:1] != (3,):
        return _other_version("Keras", written, version)
    assert isinstance(root, Node)
    library = importlib.import_module("keras")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(keras.archive_bytes(root))
        try:
            model = library.saving.load_model(path, compile=False, safe_mode=True)
        except (ValueError, TypeError, OSError) as error:
            return _not_accepted("Keras", version, error)

    def predict(rows: np.ndarray) -> np.ndarray:
        answers = model(rows.astype(np.float32), training=False).numpy()
        return np.asarray(answers[:, -1], np.float64)

    return Reference(predict, library=f"keras {version}")


def _not_installed(library: str) -> Reference:
    return Reference(
        None,
        reason=f"{library} no está instalado aquí.",
        reason_en=f"{library} is not installed here.",
    )


def _other_version(library: str, written: str, version: str) -> Reference:
    return Reference(
        None,
        reason=f"El fichero es de {library} {written}; aquí está la versión {version}.",
        reason_en=f"The file is of {library} {written}; version {version} is here.",
    )


def _not_accepted(library: str, version: str, error: Exception) -> Reference:
    name = type(error).__name__
    return Reference(
        None,
        reason=f"{library} {version} no admite lo que dice el fichero ({name}).",
        reason_en=f"{library} {version} does not accept what the file says ({name}).",
    )


def _installed(distribution: str) -> str:
    """The version of an installed distribution, or nothing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _minor(version: str) -> tuple[int, ...]:
    """Major and minor number of a version."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts if part.isdecimal())
