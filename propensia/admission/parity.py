"""The original library's own answers, to compare a compiled model with.

Nothing is ever unpickled, and no configuration of a file is given to a library: estimators are
built from nodes and layers that the compiler has checked, by exact class names.
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
from propensia.admission.families import keras, keras_archive, pipelines, trees
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
# What opens files in older ones has known faults (CVE-2025-1550 among them).
_OLDEST_KERAS = (3, 9)


@dataclass(frozen=True, slots=True)
class Reference:
    """The original library as a function, or the reason why it cannot be asked.

    ``predict`` takes contract columns, double (n, k), and gives the probability of the positive
    class, double (n,); it raises ``Refusal`` where the library fails. ``library`` is its name and
    version, empty when there is none; ``reason`` and ``reason_en`` are a sentence in Spanish and
    in English where there is none, else empty.
    """

    predict: Predict | None
    library: str = ""
    reason: str = ""
    reason_en: str = ""


def reference(root: object, compiled: Compiled, folder: Path | None = None) -> Reference:
    """The original library's answers for the model that ``compiled`` was made from.

    ``folder`` is where a file may be written that the library reads, and is removed at once;
    without it the system's own place for such files is used.
    """
    library = "Keras" if compiled.kind == "keras" else "scikit-learn"
    written, version = compiled.libraries.get(library.lower(), ""), _installed(library.lower())
    if not version or (library == "Keras" and not _installed("tensorflow")):
        return _not_installed(library)
    if not _fits(library, _minor(written), _minor(version)):
        return _other_version(library, written, version)
    try:
        answer = _network(root, folder) if library == "Keras" else _estimator(root, compiled)
        # A row of zeros shows whether what was built answers at all.
        answer(np.zeros((1, len(compiled.order))))
    except MemoryError:
        raise
    except Exception as error:  # odd attributes meet the library's own code: any class may come
        return _not_accepted(library, version, error)

    def predict(rows: np.ndarray) -> np.ndarray:
        try:
            return answer(rows)
        except MemoryError:
            raise
        except Exception as error:
            name = f"{library} {version} ({type(error).__name__})"
            raise Refusal(
                "paridad_no_alcanzada", f"{name} no responde", f"{name} does not answer"
            ) from error

    return Reference(predict, library=f"{library.lower()} {version}")


def _fits(library: str, written: tuple[int, ...], version: tuple[int, ...]) -> bool:
    """Whether the installed version answers as the one that wrote the file."""
    if library == "Keras":
        return written[:1] == (3,) and _OLDEST_KERAS <= version < (4,)
    return written == version


def _estimator(root: object, compiled: Compiled) -> Predict:
    model = materialise(root)
    order, positive = list(compiled.order), compiled.positive
    return lambda rows: np.asarray(
        model.predict_proba(rows[:, order])[:, positive], np.float64
    ).reshape(len(rows))


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


def _network(root: object, folder: Path | None) -> Predict:
    """A new network of the layers that were read, whose weights Keras finds in the file itself.

    The file's own configuration never reaches Keras; that Keras puts the weights into the layers
    by rules of its own is what the comparison tests.
    """
    if not isinstance(root, Node):
        raise Refusal("no_es_un_modelo", type(root).__name__)
    archive = keras_archive.read(keras.archive_bytes(root))
    layers = keras.layers_of(archive)
    library = importlib.import_module("keras")
    network = library.Sequential([library.Input((layers[0].kernel.shape[0],), dtype="float32")])
    for layer in layers:
        units, use_bias = layer.kernel.shape[1], layer.bias is not None
        network.add(
            library.layers.Dense(
                units, activation=layer.activation, use_bias=use_bias, dtype="float32"
            )
        )
    # Keras leaves the file open where it fails, and Windows keeps open files.
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as private:
        path = Path(private) / "model.weights.h5"
        path.write_bytes(archive.weights_file)
        network.load_weights(path)
    return lambda rows: np.asarray(
        library.ops.convert_to_numpy(network(rows.astype(np.float32), training=False)), np.float64
    )[:, -1]


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
