"""Every Keras layer that is read answers as in Keras; the others are refused by name."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from compiled_models import answers
from keras_files import (
    CLOSE,
    COLUMNS,
    OLD_COPY,
    Change,
    archive_of,
    built,
    check_like_keras,
    in_contract,
    library,
    node_around,
    refusal_of,
    repacked,
    scatter,
    told_by_keras,
    with_config,
    with_weights,
)

from propensia.admission import parity, reader
from propensia.admission.compiler import compile_model, compile_on
from propensia.admission.families.parts import Column
from propensia.admission.refusal import Refusal

pytestmark = pytest.mark.filterwarnings(OLD_COPY)

ACTIVATIONS = (
    "relu", "sigmoid", "tanh", "linear", "elu", "selu", "softplus", "softsign", "swish", "silu",
    "exponential", "gelu", "softmax", "relu6", "leaky_relu", "hard_sigmoid", "mish",
    "log_sigmoid", "hard_silu", "hard_swish",
)  # fmt: skip

Layers = Callable[[Any], list[Any]]
MEAN, VARIANCE = np.linspace(-1, 1, 16), np.linspace(0.1, 3, 16)


@pytest.fixture(scope="module")
def keras() -> Any:
    return library()


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return in_contract()


def sequential(keras: Any, middle: list[Any]) -> Any:
    layers = keras.layers
    ends = [layers.Dense(6), *middle, layers.Dense(1, activation="sigmoid")]
    # The large amount of the last column, so that it does not drown the others.
    scale = [1.0] * 15 + [0.001]
    network = keras.Sequential([layers.Input((16,)), layers.Rescaling(scale, [0.0] * 16), *ends])
    scatter(network)
    return network


MIDDLES: dict[str, Layers] = {
    "dropout and noise": lambda k: [
        k.layers.Dropout(0.4),
        k.layers.AlphaDropout(0.1),
        k.layers.GaussianNoise(0.3),
        k.layers.GaussianDropout(0.3),
        k.layers.ActivityRegularization(0.1),
        k.layers.Identity(),
    ],
    "batch normalization": lambda k: [k.layers.BatchNormalization(epsilon=0.01)],
    "batch normalization without scale": lambda k: [k.layers.BatchNormalization(scale=False)],
    "batch normalization without center": lambda k: [k.layers.BatchNormalization(center=False)],
    "bare batch normalization": lambda k: [k.layers.BatchNormalization(center=False, scale=False)],
    "layer normalization": lambda k: [k.layers.LayerNormalization()],
    "bare layer normalization": lambda k: [
        k.layers.LayerNormalization(center=False, scale=False, epsilon=0.1)
    ],
    "layer normalization without center": lambda k: [k.layers.LayerNormalization(center=False)],
    "normalization with given numbers": lambda k: [
        k.layers.Normalization(mean=MEAN[:6], variance=VARIANCE[:6])
    ],
    "normalization by one number": lambda k: [
        k.layers.Normalization(axis=None, mean=0.5, variance=2.0)
    ],
    "normalization back": lambda k: [
        k.layers.Normalization(mean=MEAN[:6], variance=VARIANCE[:6], invert=True)
    ],
    "normalization with no spread": lambda k: [
        k.layers.Normalization(mean=MEAN[:6], variance=[0.0, 1, 1, 1, 1, 1]),
        k.layers.Activation("tanh"),
    ],
    "rescaling": lambda k: [k.layers.Rescaling(0.25, offset=0.5)],
    "relu": lambda k: [k.layers.ReLU()],
    "relu with an end": lambda k: [k.layers.ReLU(max_value=0.7)],
    "relu with an end and a slope": lambda k: [k.layers.ReLU(max_value=0.7, negative_slope=0.1)],
    "relu from a threshold": lambda k: [k.layers.ReLU(threshold=0.2)],
    "relu from a threshold to an end": lambda k: [k.layers.ReLU(0.7, threshold=0.2)],
    "relu from a threshold with a slope": lambda k: [
        k.layers.ReLU(0.7, negative_slope=0.1, threshold=0.2)
    ],
    "relu on its threshold": lambda k: [
        k.layers.Activation("hard_sigmoid"),
        k.layers.ReLU(negative_slope=0.5, threshold=1.0),
    ],
    "leaky relu": lambda k: [k.layers.LeakyReLU()],
    "leaky relu with a slope": lambda k: [k.layers.LeakyReLU(0.05)],
    "prelu": lambda k: [k.layers.PReLU()],
    "elu": lambda k: [k.layers.ELU(alpha=0.4)],
    "softmax": lambda k: [k.layers.Softmax()],
    "activation": lambda k: [k.layers.Activation("tanh")],
    "two activations": lambda k: [k.layers.Activation("tanh"), k.layers.Activation("relu")],
    "a layer as activation": lambda k: [
        k.layers.Dense(5, activation=k.layers.LeakyReLU(0.1)),
        k.layers.Dense(5, activation=k.layers.ReLU(0.9)),
    ],
    "flatten": lambda k: [k.layers.Flatten()],
    "reshape there and back": lambda k: [
        k.layers.Reshape((2, -1)),
        k.layers.Dense(4, activation="relu"),
        k.layers.LayerNormalization(),
        k.layers.BatchNormalization(),
        k.layers.Reshape((8,)),
    ],
}


@pytest.mark.parametrize("name", MIDDLES)
def test_every_layer_answers_as_in_keras(keras: Any, rows: np.ndarray, name: str) -> None:
    network = sequential(keras, MIDDLES[name](keras))
    result = check_like_keras(network, rows)
    found = parity.reference(reader.read(pickle.dumps(network)), result)
    assert found.predict is not None, found.reason_en
    assert np.abs(found.predict(rows) - told_by_keras(network, rows)).max() <= 1e-6


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_answers_as_in_keras(
    keras: Any, rows: np.ndarray, activation: str
) -> None:
    check_like_keras(sequential(keras, [keras.layers.Dense(8, activation=activation)]), rows)


@pytest.mark.parametrize("how", [{}, {"axis": None}])
def test_a_normalization_that_has_seen_rows_keeps_what_it_saw(
    keras: Any, rows: np.ndarray, how: dict[str, Any]
) -> None:
    layers = keras.layers
    network = keras.Sequential(
        [layers.Input((16,)), layers.Dense(6), layers.Normalization(**how), layers.Dense(1)]
    )
    scatter(network)
    network.layers[1].adapt(np.random.default_rng(3).normal(2, 3, (400, 6)))
    network.add(layers.Activation("sigmoid"))
    check_like_keras(network, rows[:, :16] * ([1.0] * 15 + [1e-3]))


@pytest.mark.parametrize("category", [1.0, 9.0, 2.9, -0.5, 0.0])
def test_a_category_is_cut_to_a_whole_number_as_in_keras(keras: Any, category: float) -> None:
    network = embedded(keras)
    rows = in_contract(50)
    rows[:, 3] = category
    expected = told_by_keras(network, rows)
    got = answers(built(pickle.dumps(network)), rows)
    assert np.abs(got - expected).max() <= CLOSE


def embedded(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((16,))
    found = layers.Flatten()(layers.Embedding(10, 3)(inputs[:, 3:4]))
    network = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(found))
    scatter(network)
    return network


def test_a_negative_category_counts_from_the_end_as_in_keras_3(keras: Any) -> None:
    network = embedded(keras)
    rows = in_contract(20)
    rows[:, 3] = np.arange(20) % 10 - 10
    got = answers(built(pickle.dumps(network)), rows)
    assert np.abs(got - told_by_keras(network, rows)).max() <= CLOSE


@pytest.mark.parametrize("category", [10.0, -11.0, 1e30, -1e30, 3e9, -3e9, 1e11])
def test_a_category_outside_the_table_gives_no_answer_for_that_row_alone(
    keras: Any, category: float
) -> None:
    """Keras fails there; another row of the table would be an answer that nobody trained."""
    rows = in_contract(5)
    rows[2, 3] = category
    got = answers(built(pickle.dumps(embedded(keras))), rows)
    assert np.isnan(got).tolist() == [False, False, True, False, False]


def test_a_fault_does_not_vanish_behind_a_relu(keras: Any) -> None:
    layers = keras.layers
    inputs = keras.Input((16,))
    found = layers.Flatten()(layers.ReLU()(layers.Embedding(10, 3)(inputs[:, 3:4])))
    network = keras.Model(inputs, layers.Dense(2, activation="softmax")(found))
    rows = in_contract(3)
    rows[1, 3] = 10
    got = answers(built(pickle.dumps(network)), rows)
    assert np.isnan(got).tolist() == [False, True, False]


REFUSED: dict[str, tuple[Layers, str]] = {
    "lambda": (lambda k: [k.layers.Lambda(lambda x: x * 2)], "Lambda"),
    "convolution": (
        lambda k: [k.layers.Reshape((6, 1)), k.layers.Conv1D(2, 2), k.layers.Flatten()],
        "Conv1D",
    ),
    "recurrent": (lambda k: [k.layers.Reshape((6, 1)), k.layers.LSTM(2)], "LSTM"),
    "unit normalization": (lambda k: [k.layers.UnitNormalization()], "UnitNormalization"),
    "shared prelu": (
        lambda k: [k.layers.Reshape((2, 3)), k.layers.PReLU(shared_axes=[1]), k.layers.Flatten()],
        "PReLU shared_axes",
    ),
    "prelu as activation": (
        lambda k: [k.layers.Dense(3, activation=k.layers.PReLU())],
        "activation",
    ),
    "flipped flatten": (
        lambda k: [k.layers.Reshape((2, 3)), k.layers.Flatten(data_format="channels_first")],
        "Flatten data_format",
    ),
    "another axis": (
        lambda k: [
            k.layers.Reshape((2, 3)),
            k.layers.BatchNormalization(axis=1),
            k.layers.Flatten(),
        ],
        "BatchNormalization axis",
    ),
    "half precision": (lambda k: [k.layers.Dense(3, dtype="mixed_float16")], "mixed_float16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_by_name(keras: Any, name: str) -> None:
    layers, detail = REFUSED[name]
    network = keras.Sequential(
        [
            keras.layers.Input((16,)),
            keras.layers.Dense(6),
            *layers(keras),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    with pytest.raises(Refusal) as refusal:
        built(pickle.dumps(network))
    assert detail in refusal.value.detail
    assert refusal.value.code in ("familia_desconocida", "pesos_imposibles")


def settings(index: int, **values: object) -> Change:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][index]["config"].update(values)

    return change


@pytest.fixture(scope="module")
def plain(keras: Any) -> bytes:
    """Input, rescaling, dense, batch normalization, normalization, dense."""
    layers = [keras.layers.BatchNormalization(), keras.layers.Normalization(mean=0.5, variance=1)]
    return archive_of(pickle.dumps(sequential(keras, layers)))


@pytest.mark.parametrize(
    ("change", "code", "detail"),
    [
        (settings(1, scale=["a"] * 16), "familia_desconocida", "Rescaling scale"),
        (settings(1, scale=[1.0] * 15), "familia_desconocida", "Rescaling scale"),
        (settings(1, scale=float("nan")), "familia_desconocida", "Rescaling scale"),
        (settings(1, offset=1e39), "familia_desconocida", "Rescaling offset"),
        (settings(1, offset=10**400), "familia_desconocida", "Rescaling offset"),
        (settings(1, offset={"class_name": "eval"}), "familia_desconocida", "Rescaling offset"),
        (settings(2, units=1 << 40), "pesos_imposibles", "forma"),
        (settings(2, units="6"), "pesos_imposibles", "forma"),
        (settings(2, use_bias="no"), "familia_desconocida", "use_bias"),
        (settings(3, epsilon=-1e9), "pesos_imposibles", "varianza"),
        (settings(3, epsilon=True), "familia_desconocida", "epsilon"),
        (settings(3, scale=1), "familia_desconocida", "scale"),
        (settings(3, axis=[0, 1]), "familia_desconocida", "axis"),
        (settings(3, renorm=True), "familia_desconocida", "renorm"),
        (settings(2, activation={"class_name": []}), "familia_desconocida", "dict"),
        (settings(2, activation="<lambda>"), "familia_desconocida", "lambda"),
        (settings(2, activation={"class_name": "function"}), "familia_desconocida", "dict"),
        (settings(4, variance=-1.0), "pesos_imposibles", "varianza"),
        (settings(4, variance=None), "familia_desconocida", "variance"),
        (settings(4, axis={}), "familia_desconocida", "axis"),
        (settings(4, **{f"x{n}": None for n in range(200)}), "familia_desconocida", "Norm"),
    ],
)
def test_settings_that_no_saved_model_has_are_refused(
    plain: bytes, change: Change, code: str, detail: str
) -> None:
    refusal = refusal_of(with_config(plain, change))
    assert (refusal.code, detail in refusal.detail) == (code, True), refusal.detail


def weights(place: str, values: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        if place in file:
            del file[place]
        file[place] = values

    return change


BN = "layers/batch_normalization"


@pytest.mark.parametrize(
    ("change", "code", "detail"),
    [
        (weights(f"{BN}/vars/3", np.full(6, -1.0, "f4")), "pesos_imposibles", "varianza"),
        (weights(f"{BN}/vars/2", np.full(6, np.inf, "f4")), "pesos_imposibles", "no finitos"),
        (weights(f"{BN}/vars/2", np.full(7, 1.0, "f4")), "pesos_imposibles", "forma"),
        (weights(f"{BN}/vars/4", np.full(6, 1.0, "f4")), "pesos_imposibles", "forma"),
        (weights(f"{BN}/more/vars/0", np.ones(6, "f4")), "pesos_imposibles", "sin capa"),
        (weights(f"{BN}/layers/dense/vars/0", np.ones(6)), "pesos_imposibles", "sin capa"),
        (weights("layers/embedding/vars/0", np.ones(6)), "pesos_imposibles", "sin capa"),
        (weights("layers/dense_7/vars/0", np.ones((6, 6))), "pesos_imposibles", "sin capa"),
    ],
)
def test_weights_that_no_layer_could_have_are_refused(
    plain: bytes, change: Callable[[h5py.File], None], code: str, detail: str
) -> None:
    refusal = refusal_of(with_weights(plain, change))
    assert (refusal.code, detail in refusal.detail) == (code, True), refusal.detail


def test_groups_that_lead_round_are_counted_not_followed(plain: bytes) -> None:
    def tie(file: h5py.File) -> None:
        layers = file["layers"]
        for number in range(6):
            layers[f"dense_{number + 10}"] = file

    assert refusal_of(with_weights(plain, tie)).code == "demasiado_grande"


def test_the_state_of_random_generators_is_no_weight(keras: Any, rows: np.ndarray) -> None:
    network = sequential(keras, [keras.layers.Dropout(0.2)])

    def seed(file: h5py.File) -> None:
        file["layers/dropout/seed_generator/vars/0"] = np.array([1, 2], "u4")

    node = node_around(with_weights(archive_of(pickle.dumps(network)), seed))
    result = compile_model(node, COLUMNS, frozenset({"1"}), frozenset({"0"}))
    assert np.abs(answers(result, rows) - told_by_keras(network, rows)).max() <= CLOSE


@pytest.mark.parametrize(
    ("name", "at_minus_2", "at_1"),
    [("hard_sigmoid", 0.1, 0.7), ("leaky_relu", -0.4, 1.0), ("relu6", 0.0, 1.0)],
)
def test_names_of_activations_mean_what_they_meant_in_keras_2(
    keras: Any, name: str, at_minus_2: float, at_1: float
) -> None:
    """Figures that Keras 2.12 and 2.15 gave; hard_sigmoid has changed since."""
    network = keras.Sequential(
        [
            keras.layers.Input((16,)),
            keras.layers.Dense(1, activation=name),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    first = np.zeros((16, 1))
    first[0] = 1
    network.set_weights([first, np.zeros(1), np.ones((1, 1)), np.zeros(1)])
    archive = archive_of(pickle.dumps(network))
    old = repacked_as(archive, "2.12.0")
    result = compile_model(node_around(old), COLUMNS, frozenset({"1"}), frozenset({"0"}))
    rows = np.zeros((2, 16))
    rows[:, 0] = -2, 1
    expected = 1 / (1 + np.exp(-np.array([at_minus_2, at_1])))
    assert np.abs(answers(result, rows) - expected).max() <= 1e-6


def repacked_as(archive: bytes, version: str) -> bytes:
    return repacked(archive, metadata__json=f'{{"keras_version": "{version}"}}'.encode())


@pytest.mark.parametrize("version", ["1.2.0", "4.0.0", "", "x"])
def test_a_version_of_keras_that_is_not_known_is_refused(plain: bytes, version: str) -> None:
    refusal = refusal_of(repacked_as(plain, version))
    assert refusal.code == "familia_desconocida" and "Keras" in refusal.detail


def test_a_missing_value_gives_no_answer_as_in_keras(keras: Any) -> None:
    network = sequential(keras, [keras.layers.ReLU()])
    rows = in_contract(4)
    rows[2, 5] = np.nan
    assert np.isnan(told_by_keras(network, rows)).tolist() == [False, False, True, False]
    root = reader.read(pickle.dumps(network))
    columns = tuple(Column(name, missing=True) for name in COLUMNS)
    result = compile_on(root, columns, frozenset({"1"}), frozenset({"0"}))
    assert np.isnan(answers(result, rows)).tolist() == [False, False, True, False]
