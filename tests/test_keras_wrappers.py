"""scikeras wrappers, and what stands in for a network inside scikit-learn's own estimators."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from compiled_models import answers
from keras_files import (
    CLOSE,
    COLUMNS,
    OLD_COPY,
    archive_of,
    built,
    in_contract,
    library,
    scatter,
    told_by_keras,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from propensia.admission import reader
from propensia.admission.compiler import compile_model
from propensia.admission.nodes import Global, Node
from propensia.admission.parity import networks
from propensia.admission.refusal import Refusal

pytestmark = pytest.mark.filterwarnings(OLD_COPY)


@pytest.fixture(scope="module")
def keras() -> Any:
    return library()


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return in_contract()


@pytest.fixture(scope="module")
def plain(keras: Any) -> bytes:
    """The archive of a small network."""
    return archive_of(pickle.dumps(categories(keras)))


def categories(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((16,))
    one = layers.Flatten()(layers.Embedding(10, 3)(inputs[:, 3:4]))
    two = layers.Dense(5, activation="relu")(inputs[:, :15])
    joined = layers.Concatenate()([one, two])
    network = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(joined))
    scatter(network)
    return network


def transformer(func: object) -> Node:
    name = Global("sklearn.preprocessing._function_transformer", "FunctionTransformer")
    return Node(name, state={"func": func})


def around(archive: bytes, **attributes: object) -> Node:
    """A scikeras 0.13 wrapper, as its files hold it."""
    packed = Node(
        Global("scikeras._saving_utils", "unpack_keras_model"),
        (np.frombuffer(archive, np.uint8),),
    )
    labels = np.array(["NO", "SI"])
    encoder = Node(
        Global("scikeras.utils.transformers", "ClassifierLabelEncoder"),
        state={"classes_": labels},
    )
    state: dict[str, object] = {
        "model": None,
        "loss": Global("keras.src.losses.losses", "BinaryCrossentropy"),
        "classes_": labels,
        "target_type_": "binary",
        "target_encoder_": encoder,
        "feature_encoder_": transformer(func=None),
        "model_": packed,
        "n_features_in_": 16,
    }
    return Node(Global("scikeras.wrappers", "KerasClassifier"), state=state | attributes)


def compiled_wrapper(node: Node, positive: str = "SI", negative: str = "NO") -> Any:
    return compile_model(node, COLUMNS, frozenset({positive}), frozenset({negative}))


def test_a_scikeras_wrapper_keeps_its_class_labels(keras: Any, rows: np.ndarray) -> None:
    network = categories(keras)
    node = around(archive_of(pickle.dumps(network)))
    expected = told_by_keras(network, rows)
    result = compiled_wrapper(node)
    assert result.family.startswith("KerasClassifier(Keras Functional")
    assert np.abs(answers(result, rows) - expected).max() <= CLOSE
    turned = compiled_wrapper(node, positive="NO", negative="SI")
    assert np.abs(answers(turned, rows) - (1 - expected)).max() <= CLOSE


@pytest.mark.parametrize(
    ("attributes", "code", "detail"),
    [
        ({"model_": None}, "no_entrenado", "model_"),
        ({"model_": 3}, "familia_desconocida", "model_"),
        ({"classes_": np.array(["a", "b", "c"])}, "no_es_clasificador_binario", "3 clases"),
        ({"classes_": np.array(["SI", "NO"])}, "familia_desconocida", "target_encoder_"),
        ({"target_type_": "multilabel-indicator"}, "familia_desconocida", "target_type_"),
        ({"target_type_": np.array(["binary", "x"])}, "familia_desconocida", "target_type_"),
        ({"feature_encoder_": transformer(func=np.ones(2))}, "familia_desconocida", "feature_"),
        ({"target_encoder_": 3}, "familia_desconocida", "target_encoder_"),
        ({"feature_encoder_": None}, "no_entrenado", "feature_encoder_"),
        ({"feature_encoder_": 3}, "familia_desconocida", "feature_encoder_"),
        ({"callbacks": Global("os", "system")}, "contenido_no_permitido", "os.system"),
    ],
)
def test_a_scikeras_wrapper_with_other_parts_is_refused(
    plain: bytes, attributes: dict[str, object], code: str, detail: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        compiled_wrapper(around(plain, **attributes))
    assert (refusal.value.code, detail in refusal.value.detail) == (code, True)


def test_the_function_that_built_the_network_may_be_the_analysts_own(plain: bytes) -> None:
    usual = compiled_wrapper(around(plain, model=Global("__main__", "build"), build_fn=None))
    assert usual.onnx == compiled_wrapper(around(plain)).onnx
    for attribute, name in (
        ("model", Global("os", "system")),
        ("model", Node(Global("__main__", "build"))),
        ("model", Global("train", "build")),
        ("callbacks", Global("__main__", "build")),
    ):
        with pytest.raises(Refusal) as refusal:
            compiled_wrapper(around(plain, **{attribute: name}))
        assert refusal.value.code in ("contenido_no_permitido", "familia_desconocida")


def test_an_older_scikeras_is_told_what_to_save_instead() -> None:
    with pytest.raises(Refusal) as refusal:
        compiled_wrapper(around(b"fingerprint.pb" + bytes(600)))
    assert refusal.value.code == "familia_desconocida"
    assert "SavedModel" in refusal.value.detail and "model_" in refusal.value.detail


def test_a_stand_in_gives_scikit_learn_both_chances(keras: Any, rows: np.ndarray) -> None:
    network = categories(keras)
    expected = told_by_keras(network, rows)
    bare: Any = reader.read(pickle.dumps(network))
    for node, classes in (
        (bare, [0, 1]),
        (around(archive_of(pickle.dumps(network))), ["NO", "SI"]),
    ):
        found = networks.stand_in(node)
        chances = found.predict_proba(rows)
        assert found.classes_.tolist() == classes
        assert chances.shape == (len(rows), 2)
        assert np.abs(chances - np.column_stack([1 - expected, expected])).max() <= 1e-6


def test_a_stand_in_is_asked_by_a_pipeline(keras: Any, rows: np.ndarray) -> None:
    network = categories(keras)
    found: Any = networks.stand_in(reader.read(pickle.dumps(network)))
    scaler = FunctionTransformer().fit(rows)
    asked = Pipeline([("scaler", scaler), ("network", found)]).predict_proba(rows)
    assert np.abs(asked[:, 1] - told_by_keras(network, rows)).max() <= 1e-6


def test_a_network_behind_a_scaler_is_compiled(keras: Any, rows: np.ndarray) -> None:
    network = keras.Sequential(
        [keras.layers.Input((16,)), keras.layers.Dense(1, activation="sigmoid")]
    )
    scatter(network)
    scaler = StandardScaler().fit(rows)
    pipeline = Pipeline([("scaler", scaler), ("network", network)])
    result = built(pickle.dumps(pipeline))
    assert result.family == "Pipeline(StandardScaler, Keras Sequential 1)"
    expected = told_by_keras(network, scaler.transform(rows))
    assert np.abs(answers(result, rows) - expected).max() <= CLOSE
