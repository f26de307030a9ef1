"""What the tests of Keras networks share: real models, their files, and those files changed."""

from __future__ import annotations

import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from compiled_models import answers

from propensia.admission import graph, reader
from propensia.admission.compiler import Compiled, compile_model
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

# TensorFlow's variables do not yet know numpy 2's argument; Keras meets it when it saves them.
OLD_COPY = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
COLUMNS = tuple("ABCDEFGHIJKLMNOP")
# Keras computes in float32, and adds some hundreds of products in another order.
CLOSE = 1e-5

Change = Callable[[dict[str, Any]], None]


def library() -> Any:
    """Keras, or a skipped test where it is not installed."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with warnings.catch_warnings():
        # TensorFlow's own modules warn about each other while they are imported.
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


def in_contract(number: int = 10_000) -> np.ndarray:
    """Rows of 16 columns: the fourth holds a category 0 to 9, the last a large amount."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(number, 16))
    rows[:, 3] = random.integers(0, 10, number)
    rows[:, 15] = random.lognormal(4, 2, number)
    return rows


def scatter(network: Any) -> None:
    """Weights as after training: biases too, which start as zeros, and no negative variance."""
    random = np.random.default_rng(6)
    network.set_weights(
        [
            np.asarray(
                np.abs(random.normal(size=w.shape)) + 0.1
                if len(w.shape) < 2
                else random.normal(size=w.shape) / np.sqrt(w.shape[0])
            )
            for w in network.get_weights()
        ]
    )


def built(data: bytes) -> Compiled:
    """The compiled model of a pickle's bytes."""
    return compile_model(reader.read(data), COLUMNS, frozenset({"1"}), frozenset({"0"}))


def told_by_keras(network: Any, rows: np.ndarray) -> np.ndarray:
    """Keras' own probability of the second class."""
    return np.asarray(network(rows.astype(np.float32), training=False))[:, -1]


def check_like_keras(network: Any, rows: np.ndarray) -> Compiled:
    """Asserts that a network, once dropped, answers as it does in Keras."""
    expected = told_by_keras(network, rows)
    assert expected.std() > 0.003, "a network whose answers differ, or nothing is tested"
    result = built(pickle.dumps(network))
    graph.check(result.onnx, len(COLUMNS))
    got = answers(result, rows)
    assert np.abs(got - expected).max() <= CLOSE
    decided = np.abs(expected - 0.5) > CLOSE
    assert ((got >= 0.5) == (expected >= 0.5))[decided].all()
    return result


def archive_of(data: bytes) -> bytes:
    """The archive inside the pickle of a Keras 3 model."""
    root: Any = reader.read(data)
    return bytes(root.args[0].state[0])


def node_around(archive: bytes) -> Node:
    """The shape in which Keras 2 pickles a model."""
    loader = Global("keras.saving.pickle_utils", "deserialize_model_from_bytecode")
    return Node(loader, (archive,))


def repacked(archive: bytes, **members: bytes | None) -> bytes:
    """The archive with some members replaced, added, or (None) left out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(buffer, "w") as new:
        contents: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
        contents.update({name.replace("__", "."): value for name, value in members.items()})
        for name, value in contents.items():
            if value is not None:
                new.writestr(name, value)
    return buffer.getvalue()


def with_config(archive: bytes, change: Change) -> bytes:
    """The archive with its configuration changed."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        config = json.loads(opened.read("config.json"))
    change(config)
    return repacked(archive, config__json=json.dumps(config).encode())


def with_weights(archive: bytes, change: Callable[[h5py.File], None]) -> bytes:
    """The archive with its file of weights changed."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        buffer = io.BytesIO(opened.read("model.weights.h5"))
    with h5py.File(buffer, "r+") as file:
        change(file)
    return repacked(archive, **{"model__weights__h5": buffer.getvalue()})


def refusal_of(archive: bytes) -> Refusal:
    """Why the model in an archive is refused."""
    with pytest.raises(Refusal) as refusal:
        compile_model(node_around(archive), COLUMNS, frozenset({"1"}), frozenset({"0"}))
    return refusal.value
