"""A Keras network built anew from checked layers, whose weights Keras itself finds in the file.

The file's own configuration never reaches Keras.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from propensia.admission.families.attributes import pair_of
from propensia.admission.families.keras import archive as archives
from propensia.admission.families.keras import graph as graphs
from propensia.admission.families.keras import network, wrappers
from propensia.admission.families.keras.model import Layer, Network
from propensia.admission.nodes import Node
from propensia.admission.parity.asked import Predict


class StandIn:
    """What scikit-learn's own pipelines and ensembles can ask in place of a Keras model.

    ``predict_proba`` gives the chances of both classes, double (n, 2); ``classes_`` are the
    labels that the file stores, 0 and 1 where it stores none.
    """

    def __init__(self, predict: Predict, classes: np.ndarray) -> None:
        self._predict = predict
        self.classes_ = classes

    def fit(self, rows: object, labels: object = None) -> StandIn:
        """Itself: scikit-learn takes nothing for an estimator that has no such method."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Yes: the weights are those of the file."""
        return True

    def __sklearn_tags__(self) -> Any:
        """A classifier, as scikit-learn 1.6 and later ask."""
        utils = importlib.import_module("sklearn.utils")
        return utils.Tags(
            estimator_type="classifier",
            target_tags=utils.TargetTags(required=True),
            classifier_tags=utils.ClassifierTags(),
        )

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        """The chances of both classes for rows of numbers, (n, columns)."""
        second = self._predict(np.asarray(rows, np.float64))
        return np.column_stack([1 - second, second])


def stand_in(node: Node) -> StandIn:
    """A stand-in for a pickled Keras model or a scikeras wrapper; raises ``Refusal``.

    That Keras puts the weights into the layers by rules of its own is what the comparison tests.
    """
    if pair_of(node) in wrappers.CLASSIFIERS:
        labels = wrappers.classes_of(node)
        return StandIn(_predict(wrappers.archive_bytes(node)), np.array(labels))
    return StandIn(_predict(network.archive_bytes(node)), np.array([0, 1]))


def _predict(data: bytes) -> Predict:
    """The function of a new network of the layers in an archive, float32 inside."""
    archive = archives.read(data)
    library = importlib.import_module("keras")
    model = _model(library, graphs.network(archive))
    # Keras leaves the file open where it fails, and Windows keeps open files.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as private:
        path = Path(private) / "model.weights.h5"
        path.write_bytes(archive.weights_file)
        model.load_weights(path)
    return lambda rows: np.asarray(
        library.ops.convert_to_numpy(model(rows.astype(np.float32), training=False)), np.float64
    )[:, -1]


def _model(library: Any, network: Network) -> Any:
    """A real model of the same kind: Keras looks for weights by classes and their order."""
    rows = library.Input((network.width,), dtype="float32")
    made: dict[int, Any] = {}
    if network.kind == "Sequential":
        layers = [_layer(library, call.layer) for call in network.calls]
        return library.Sequential([rows, *layers])
    values = [rows]
    for call in network.calls:
        given = [values[value] for value in call.inputs]
        values.append(_called(library, made, call.place, call.layer, given))
    return library.Model(rows, values[network.output])


def _called(library: Any, made: dict[int, Any], place: int, layer: Layer, given: list[Any]) -> Any:
    if layer.kind == "GetItem":
        return given[0][:, layer.options["key"]]
    if place not in made:
        made[place] = _layer(library, layer)
    return made[place](given if len(given) > 1 else given[0])


def _layer(library: Any, layer: Layer) -> Any:
    """A real layer, of a class that stands in the table of known ones."""
    if layer.inner is not None:
        return _model(library, layer.inner)
    return getattr(library.layers, layer.kind)(
        dtype="float32", **_arguments(library, layer.options)
    )


def _arguments(library: Any, options: Mapping[str, object]) -> dict[str, object]:
    """The options as Keras takes them: an activation layer is built, an array is a list."""
    given: dict[str, object] = {}
    for name, value in options.items():
        if isinstance(value, Layer):
            value = _layer(library, value)
        given[name] = value.tolist() if isinstance(value, np.ndarray) else value
    return given
