"""A Keras network built anew from checked layers, whose weights Keras itself finds in the file.

The file's own configuration never reaches Keras.
"""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path

import numpy as np

from propensia.admission.families import keras, keras_archive
from propensia.admission.nodes import Node
from propensia.admission.parity.asked import Predict
from propensia.admission.refusal import Refusal


def network(root: object, folder: Path | None) -> Predict:
    """The function of a new network of the layers that were read, float32 inside.

    That Keras puts the weights into the layers by rules of its own is what the comparison tests.
    ``folder`` is where the file of weights may lie for a moment.
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
