"""scikeras' ``KerasClassifier``: the Keras 3 archive inside it, and the class labels around it.

The function that once built the model is a name that nobody looks up.

Source: ``scikeras/_saving_utils.py`` (``pack_keras_model``: an archive in bytes since 0.13, with
Keras 3; a TensorFlow SavedModel in a tar before) and ``scikeras/utils/transformers.py``
(``ClassifierLabelEncoder.inverse_transform``: one sigmoid unit is the chance of the second class).
"""

from __future__ import annotations

import numpy as np

from propensia.admission.families.attributes import binary_classes, fitted, maker, texts
from propensia.admission.families.keras import network
from propensia.admission.families.parts import Chance, Flow, Workshop
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

_UNPACK = Global("scikeras._saving_utils", "unpack_keras_model")
_ENCODER = Global("scikeras.utils.transformers", "ClassifierLabelEncoder")
_IDENTITY = Global("sklearn.preprocessing._function_transformer", "FunctionTransformer")


def wrapped(node: Node, flow: Flow, shop: Workshop) -> Chance:
    """The network inside a fitted wrapper, whose classes are those that scikeras encoded."""
    classes = classes_of(node)
    _check_encoders(node, classes)
    chance = network.compiled(archive_bytes(node), flow, shop)
    return Chance(chance.tensor, classes, f"KerasClassifier({chance.label})")


def archive_bytes(node: Node) -> bytes:
    """The Keras archive that a fitted wrapper holds."""
    model = fitted(node, "model_")
    if not isinstance(model, Node) or maker(model) != _UNPACK or len(model.args) != 1:
        raise Refusal("familia_desconocida", "KerasClassifier model_")
    packed = model.args[0]
    if not isinstance(packed, np.ndarray) or packed.dtype != np.uint8 or packed.ndim != 1:
        raise Refusal("familia_desconocida", "KerasClassifier model_")
    data = packed.tobytes()
    if not data.startswith(b"PK\x03\x04"):
        raise Refusal(
            "familia_desconocida",
            "KerasClassifier de scikeras < 0.13, que guarda un SavedModel de TensorFlow; "
            "guarde el modelo de dentro: joblib.dump(clasificador.model_, 'nombre.pkl')",
            "KerasClassifier of scikeras < 0.13, which stores a TensorFlow SavedModel; "
            "save the model inside it: joblib.dump(classifier.model_, 'name.pkl')",
        )
    return data


def classes_of(node: Node) -> tuple[str, str]:
    """The two labels, as text, in the order of the network's units."""
    return binary_classes(node)


def _check_encoders(node: Node, classes: tuple[str, str]) -> None:
    """Only scikeras' own encoders: labels in order, and rows as they are."""
    target, rows = fitted(node, "target_encoder_"), fitted(node, "feature_encoder_")
    kind = node.attributes().get("target_type_")
    if not isinstance(kind, str) or kind != "binary":
        raise Refusal("familia_desconocida", "KerasClassifier target_type_")
    if not isinstance(target, Node) or maker(target) != _ENCODER:
        raise Refusal("familia_desconocida", "KerasClassifier target_encoder_")
    if texts(target, "classes_") != classes:
        raise Refusal("familia_desconocida", "KerasClassifier target_encoder_")
    same = isinstance(rows, Node) and rows.attributes().get("func") is None
    if maker(rows) != _IDENTITY or not same:
        raise Refusal("familia_desconocida", "KerasClassifier feature_encoder_")


CLASSIFIERS = {("scikeras.wrappers", "KerasClassifier"): wrapped}
TRAINING_ONLY = {("scikeras.wrappers", "KerasClassifier"): ("model", "build_fn")}
_BY_MODULE = {
    "scikeras._saving_utils": """unpack_keras_model unpack_keras_optimizer unpack_keras_loss
        unpack_keras_metric""",
    "scikeras.utils.transformers": "ClassifierLabelEncoder TargetReshaper",
    "sklearn.preprocessing._encoders": "OrdinalEncoder OneHotEncoder",
    "sklearn.preprocessing._function_transformer": "FunctionTransformer",
    # Chosen by class instead of by name, as in KerasClassifier(optimizer=keras.optimizers.Adam).
    "keras.src.optimizers.adam": "Adam",
    "keras.src.optimizers.adamw": "AdamW",
    "keras.src.optimizers.nadam": "Nadam",
    "keras.src.optimizers.rmsprop": "RMSprop",
    "keras.src.optimizers.sgd": "SGD",
    "keras.src.losses.losses": """BinaryCrossentropy BinaryFocalCrossentropy
        CategoricalCrossentropy SparseCategoricalCrossentropy""",
}
# What a wrapper remembers of its own training; no answer depends on it.
HELPERS = frozenset(
    (module, name) for module, names in _BY_MODULE.items() for name in names.split()
)
