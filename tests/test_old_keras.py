"""Networks that old versions of Keras really wrote are served with those versions' own answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compiled_models import answers
from old_environments import COLUMNS, ROWS_PY, files_of

from propensia.admission import graph, parity, reader
from propensia.admission.compiler import Compiled, compile_model

pytestmark = pytest.mark.slow

VERSIONS = {
    "2.12.0": ["tensorflow-cpu==2.12.*", "joblib<1.3"],
    "2.15.0": ["tensorflow-cpu==2.15.*", "joblib<1.5"],
    "3.3.3": [
        "tensorflow-cpu==2.16.*",
        "keras==3.3.3",
        "scikeras==0.13.0",
        "scikit-learn==1.5.2",
        "numpy<2",
        "joblib<1.5",
    ],
}
MODELS = {
    "seed": "Keras Sequential 27/352/480/1",
    "sequential": "Keras Sequential (Normalization, Dense, BatchNormalization, LeakyReLU…)",
    "functional": "Keras Functional (Normalization, Dense, BatchNormalization, Add…)",
    "nested": "Keras Functional (Rescaling, Dense, Concatenate)",
}

KERAS_PY = (
    ROWS_PY
    + """
import tensorflow as tf
keras = tf.keras
layers = keras.layers
rows[:, 4] = random.integers(0, 10, 4000)
wide = [np.repeat(rows, 3, axis=0)[:11_000], rows[:200] * 3.5]
wide[1][:, 4] = 3
x = np.concatenate(wide)
x[:11_000, 0] *= random.lognormal(0, 1, 11_000)
spread = rows.std(0).tolist()

def normalization():
    layer = layers.Normalization()
    layer.adapt(rows.astype("float32"))
    return layer

def seed():
    return keras.Sequential([
        layers.Dense(27, activation="relu", input_shape=(16,)), layers.Dropout(0.2),
        layers.Dense(352, activation="relu", name="second"), layers.Dropout(0.2),
        layers.Dense(480, activation="relu"), layers.Dense(1, activation="sigmoid")])

def sequential():
    return keras.Sequential([
        normalization(), layers.Dense(12, activation="gelu"), layers.BatchNormalization(),
        layers.LeakyReLU(), layers.Dense(10, activation="hard_sigmoid"), layers.GaussianNoise(.1),
        layers.LayerNormalization(), layers.Dense(9, activation="relu6"), layers.PReLU(),
        layers.Dense(8, activation=layers.LeakyReLU(0.1)), layers.ELU(), layers.ReLU(max_value=3.),
        layers.Dense(7, activation="leaky_relu"), layers.Dense(2), layers.Softmax()])

def functional():
    inputs = keras.Input((16,))
    one = layers.Flatten()(layers.Embedding(10, 3, name="category")(inputs[:, 4:5]))
    two = layers.Embedding(10, 2)(inputs[:, 4])
    hidden = layers.Dense(8, activation="swish")(normalization()(inputs))
    hidden = layers.BatchNormalization(name="a")(hidden)
    shared = layers.Dense(8, activation="tanh", name="shared")
    hidden = layers.Add()([shared(hidden), shared(shared(hidden)), hidden])
    gate = layers.Dense(8, activation="sigmoid")(hidden)
    hidden = layers.Multiply()([hidden, gate])
    hidden = layers.Concatenate()([one, hidden, two])
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(hidden))

def nested():
    given = keras.Input((16,))
    first = layers.Rescaling([1 / s for s in spread], [0.0] * 16)(given)
    first = keras.Model(given, layers.Dense(5, activation="elu")(first))
    second = keras.Sequential([layers.InputLayer((5,)), layers.Dense(4, activation="selu"),
                               layers.Dense(3)])
    inputs = keras.Input((16,))
    hidden = layers.Concatenate()([second(first(inputs)), second(first(inputs)), first(inputs)])
    last = keras.Input((11,))
    last = keras.Model(last, layers.Dense(1, activation="sigmoid")(last))
    return keras.Model(inputs, last(hidden))

scaled = (rows - rows.mean(0)) / rows.std(0)
for build in (seed, sequential, functional, nested):
    model = build()
    loss = "sparse_categorical_crossentropy" if build is sequential else "binary_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    trained, asked = (scaled, (x - rows.mean(0)) / rows.std(0)) if build is seed else (rows, x)
    model.fit(trained[:1500], labels[:1500], epochs=3, verbose=0)
    p = model(asked.astype("float32"), training=False).numpy()[:, -1]
    np.savez(out / (build.__name__ + ".npz"), x=asked, p=p)
    joblib.dump(model, out / (build.__name__ + ".pkl"))
"""
)
SCIKERAS_PY = (
    KERAS_PY
    + """
from scikeras.wrappers import KerasClassifier
model = functional()
model.compile(optimizer="adam", loss="binary_crossentropy")
wrapped = KerasClassifier(model=model, epochs=2, verbose=0, loss="binary_crossentropy")
wrapped.fit(rows[:1500], np.where(labels[:1500] == 1, "SI", "NO"))
np.savez(out / "wrapped.npz", x=x, p=wrapped.predict_proba(x)[:, 1])
joblib.dump(wrapped, out / "wrapped.pkl")
"""
)


def folder_of(version: str) -> Path:
    script = SCIKERAS_PY if version == "3.3.3" else KERAS_PY
    return files_of(VERSIONS[version], script)


def check(folder: Path, name: str) -> Compiled:
    """Asserts that a file answers as its library did; at least 10,000 rows."""
    root = reader.read((folder / f"{name}.pkl").read_bytes())
    result = compile_model(root, COLUMNS, frozenset({"1", "SI"}), frozenset({"0", "NO"}))
    with np.load(folder / f"{name}.npz") as golden:
        rows, expected = golden["x"], golden["p"]
    assert len(rows) >= 10_000 and expected.std() > 0.01
    got = answers(result, rows)
    assert np.abs(got - expected).max() <= 1e-5
    decided = np.abs(expected - 0.5) > 1e-5
    assert ((got >= 0.5) == (expected >= 0.5))[decided].all()
    graph.check(result.onnx, len(COLUMNS))
    # Neither is new enough to be asked here.
    assert parity.reference(root, result).predict is None or result.libraries["keras"] >= "3"
    return result


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_old_keras_wrote_answers_as_it_did(version: str, name: str) -> None:
    result = check(folder_of(version), name)
    assert result.family == MODELS[name]
    assert result.libraries == {"keras": version}


def test_what_scikeras_wrote_answers_as_it_did() -> None:
    result = check(folder_of("3.3.3"), "wrapped")
    assert result.family.startswith("KerasClassifier(Keras Functional")
    assert result.libraries == {"keras": "3.3.3"}
