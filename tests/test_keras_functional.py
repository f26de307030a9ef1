"""Functional Keras models, and models inside models, answer as in Keras, or are refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

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
)

from propensia.admission import parity, reader
from propensia.admission.compiler import compile_model
from propensia.admission.refusal import Refusal

pytestmark = pytest.mark.filterwarnings(OLD_COPY)

Build = Callable[[Any], Any]


@pytest.fixture(scope="module")
def keras() -> Any:
    return library()


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return in_contract()


def numbers_of(keras: Any, inputs: Any) -> Any:
    """The columns without the large amount."""
    return inputs[:, :15]


def categories(keras: Any) -> Any:
    """Categories embedded in each of the two ways, beside normalised numbers."""
    layers = keras.layers
    inputs = keras.Input((16,), name="x")
    one = layers.Flatten()(layers.Embedding(10, 3, name="first")(inputs[:, 3:4]))
    two = layers.Embedding(10, 2)(inputs[:, 3])
    scaled = layers.Normalization(
        mean=[0.0] * 15 + [400.0], variance=[1.0] * 15 + [1e6], name="scaled"
    )(inputs)
    numbers = layers.Dense(5, activation="gelu")(scaled)
    numbers = layers.BatchNormalization(name="aaa")(numbers)
    together = layers.Concatenate(name="together")([one, numbers, two])
    hidden = layers.Dropout(0.2)(layers.Dense(9, activation="relu")(together))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(hidden))


def shared(keras: Any) -> Any:
    """One layer called three times, the last call on its own result."""
    layers = keras.layers
    inputs = keras.Input((16,))
    left = layers.Dense(5)(numbers_of(keras, inputs))
    right = layers.Dense(5, activation="tanh")(inputs[:, 1:6])
    layer = layers.Dense(5, activation="relu")
    both = layers.Add()([layer(left), layer(right), layer(layer(left))])
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(both))


def nested(keras: Any) -> Any:
    """A Sequential and a functional model as layers, each called twice."""
    layers = keras.layers
    inner = keras.Sequential([layers.Input((5,)), layers.Dense(6, activation="relu")])
    given = keras.Input((15,))
    outer = keras.Model(given, layers.Dense(5, activation="tanh")(layers.Dense(4)(given)))
    inputs = keras.Input((16,))
    numbers = numbers_of(keras, inputs)
    first, second = outer(numbers), outer(layers.Rescaling(0.5)(numbers))
    joined = layers.Concatenate()([inner(first), inner(second), layers.Dense(2)(first)])
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(joined))


def ending_in_a_model(keras: Any) -> Any:
    layers = keras.layers
    given = keras.Input((4,))
    last = keras.Model(given, layers.Dense(1, activation="sigmoid")(given))
    inputs = keras.Input((16,))
    return keras.Model(inputs, last(layers.Dense(4)(numbers_of(keras, inputs))))


def sequential_of_models(keras: Any) -> Any:
    layers = keras.layers
    given = keras.Input((7,))
    return keras.Sequential(
        [
            layers.Input((16,)),
            layers.Rescaling([1.0] * 15 + [0.001]),
            keras.Sequential([layers.Input((16,)), layers.Dense(7, activation="relu")]),
            keras.Model(given, layers.Dense(3)(given)),
            keras.Sequential([layers.Input((3,)), layers.Dense(3), layers.Dense(3)]),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def average_of_two(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((16,))
    ends = [
        layers.Dense(1, activation="sigmoid")(layers.Dense(3)(inputs[:, a:b]))
        for a, b in ((0, 8), (-12, -1))
    ]
    return keras.Model(inputs, layers.Average()(ends))


def merged(name: str, **how: Any) -> Build:
    def build(keras: Any) -> Any:
        layers = keras.layers
        inputs = keras.Input((16,))
        parts = [layers.Dense(4)(numbers_of(keras, inputs)), layers.Dense(4)(inputs[:, 2:6])]
        if name == "Multiply":
            parts.append(layers.Dense(1, activation="sigmoid")(inputs[:, :15:2]))
        found = getattr(layers, name)(**how)(parts)
        return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(found))

    return build


def joined_along_the_table(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((16,))
    tables = [layers.Embedding(10, 4)(inputs[:, 3:4]) for _ in range(3)]
    found = layers.Flatten()(layers.Concatenate(axis=1)(tables))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(found))


MODELS: dict[str, Build] = {
    "categories": categories,
    "shared": shared,
    "nested": nested,
    "ending in a model": ending_in_a_model,
    "sequential of models": sequential_of_models,
    "average of two": average_of_two,
    "joined along the table": joined_along_the_table,
    "concatenated": merged("Concatenate", axis=1),
    **{name: merged(name) for name in ("Add", "Subtract", "Average", "Maximum", "Minimum")},
    "multiplied by a gate": merged("Multiply"),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_whole_model_answers_as_in_keras(keras: Any, rows: np.ndarray, name: str) -> None:
    network = MODELS[name](keras)
    scatter(network)
    result = check_like_keras(network, rows)
    assert result.facts["parameters"] == network.count_params()
    found = parity.reference(reader.read(pickle.dumps(network)), result)
    assert found.predict is not None, found.reason_en
    assert np.abs(found.predict(rows) - told_by_keras(network, rows)).max() <= 1e-6


def test_the_report_names_the_layers_but_not_all_of_them(keras: Any) -> None:
    assert built(pickle.dumps(categories(keras))).family == (
        "Keras Functional (Normalization, Embedding, Dense, Flatten…)"
    )
    assert built(pickle.dumps(sequential_of_models(keras))).family == (
        "Keras Sequential (Rescaling, Dense)"
    )


def test_an_input_and_an_output_in_a_list_are_read(keras: Any, rows: np.ndarray) -> None:
    inputs = keras.Input((16,))
    outputs = keras.layers.Dense(1, activation="sigmoid")(numbers_of(keras, inputs))
    network = keras.Model([inputs], [outputs])
    expected = np.asarray(network([rows.astype(np.float32)])).reshape(-1)
    got = answers(built(pickle.dumps(network)), rows)
    assert np.abs(got - expected).max() <= CLOSE


def test_a_model_after_training_is_read_with_what_the_optimizer_left(
    keras: Any, rows: np.ndarray
) -> None:
    network = categories(keras)
    network.compile("adam", "binary_crossentropy", metrics=["accuracy", "AUC"])
    network.fit(rows[:400], (rows[:400, 0] > 0).astype(int), epochs=1, verbose=0)
    check_like_keras(network, rows)


REFUSED: dict[str, tuple[Build, str, str]] = {
    "two inputs": (
        lambda k: k.Model(
            inputs := [k.Input((8,)), k.Input((8,))],
            k.layers.Dense(1, activation="sigmoid")(k.layers.Concatenate()(inputs)),
        ),
        "familia_desconocida",
        "input_layers",
    ),
    "arithmetic of tensors": (
        lambda k: k.Model(x := k.Input((16,)), k.layers.Dense(1, activation="sigmoid")(x * 2 + 1)),
        "familia_desconocida",
        "Multiply",
    ),
    "logits": (
        lambda k: k.Model(x := k.Input((16,)), k.layers.Dense(1)(x)),
        "no_es_clasificador_binario",
        "logits",
    ),
    "difference of chances": (
        lambda k: k.Model(
            x := k.Input((16,)),
            k.layers.Subtract()([k.layers.Dense(1, activation="sigmoid")(x) for _ in "ab"]),
        ),
        "no_es_clasificador_binario",
        "1 subtract",
    ),
    "dropout that never stops": (
        lambda k: k.Model(
            x := k.Input((16,)),
            k.layers.Dense(1, activation="sigmoid")(k.layers.Dropout(0.5)(x, training=True)),
        ),
        "familia_desconocida",
        "training",
    ),
    "chosen columns with a list": (
        lambda k: k.Model(
            x := k.Input((16,)),
            k.layers.Dense(1, activation="sigmoid")(k.ops.take(x, [1, 2], axis=1)),
        ),
        "familia_desconocida",
        "Take",
    ),
    "another width": (
        lambda k: k.Model(x := k.Input((9,)), k.layers.Dense(1, activation="sigmoid")(x)),
        "columnas_distintas",
        "espera 9 columnas y recibe 16",
    ),
    "whole numbers in": (
        lambda k: k.Model(
            x := k.Input((16,), dtype="int32"),
            k.layers.Dense(1, activation="sigmoid")(
                k.layers.Flatten()(k.layers.Embedding(9, 2)(x))
            ),
        ),
        "familia_desconocida",
        "int32",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_of_another_kind_is_refused(keras: Any, name: str) -> None:
    build, code, detail = REFUSED[name]
    with pytest.raises(Refusal) as refusal:
        built(pickle.dumps(build(keras)))
    assert (refusal.value.code, detail in refusal.value.detail) == (code, True)


@pytest.fixture(scope="module")
def plain(keras: Any) -> bytes:
    """The archive of the model with categories; its layers are listed by depth."""
    return archive_of(pickle.dumps(categories(keras)))


def layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in config["config"]["layers"] if item["name"] == name)


def a_slice(config: dict[str, Any]) -> dict[str, Any]:
    return next(item for item in config["config"]["layers"] if item["class_name"] == "GetItem")


def tensor(name: str, *numbers: object) -> dict[str, Any]:
    history = [name, *(numbers or (0, 0))]
    return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}


def fed_by(name: str, *inputs: dict[str, Any], **kwargs: object) -> Change:
    def change(config: dict[str, Any]) -> None:
        layer(config, name)["inbound_nodes"] = [{"args": [list(inputs)], "kwargs": kwargs}]

    return change


def sliced(key: object) -> Change:
    def change(config: dict[str, Any]) -> None:
        a_slice(config)["inbound_nodes"][0]["args"][1] = key

    return change


def setting(name: str, **values: object) -> Change:
    return lambda config: layer(config, name)["config"].update(values)


def top(**values: object) -> Change:
    return lambda config: config["config"].update(values)


def twice(name: str, number: int) -> Change:
    def change(config: dict[str, Any]) -> None:
        found = layer(config, name)
        found["inbound_nodes"] = found["inbound_nodes"] * number

    return change


def repeated(config: dict[str, Any]) -> None:
    config["config"]["layers"].append(copy.deepcopy(layer(config, "aaa")))


def deep(config: dict[str, Any]) -> None:
    inner: dict[str, Any] = {"module": "keras.layers", "class_name": "Identity", "config": {}}
    for _ in range(200):
        settings = {"name": "deep", "layers": [inner]}
        inner = {"module": "keras", "class_name": "Sequential", "config": settings}
    inner["inbound_nodes"] = [{"args": [tensor("x")], "kwargs": {}}]
    config["config"]["layers"].append(inner)


def slice_of(start: object, stop: object, step: object = None) -> dict[str, Any]:
    return {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": step}}


ALL = slice_of(None, None)
BROKEN: dict[str, tuple[Change, str, str]] = {
    "a circle": (fed_by("aaa", tensor("aaa")), "pesos_imposibles", "no llevan a la entrada"),
    "from nowhere": (fed_by("aaa", tensor("zz")), "pesos_imposibles", "no llevan a la entrada"),
    "from no call": (fed_by("aaa", tensor("x", 7, 0)), "pesos_imposibles", "no llevan"),
    "a second output": (fed_by("aaa", tensor("x", 0, 1)), "familia_desconocida", "conexión"),
    "a negative call": (fed_by("aaa", tensor("x", -1, 0)), "familia_desconocida", "conexión"),
    "no history": (fed_by("aaa", tensor("x", 0)), "familia_desconocida", "conexión"),
    "a name that is none": (fed_by("aaa", tensor([], 0, 0)), "familia_desconocida", "conexión"),
    "no tensor": (fed_by("aaa"), "familia_desconocida", "conexión"),
    "too wide": (fed_by("aaa", tensor("x")), "pesos_imposibles", "forma"),
    "two for one": (
        fed_by("aaa", tensor("x"), tensor("x")),
        "familia_desconocida",
        "BatchNormalization (2)",
    ),
    "a mask": (
        fed_by("aaa", tensor("dense"), mask=tensor("x")),
        "familia_desconocida",
        "(mask)",
    ),
    "shapes that differ": (
        fed_by("together", tensor("x"), tensor("first")),
        "pesos_imposibles",
        "forma",
    ),
    "a repeated name": (repeated, "familia_desconocida", "dos capas aaa"),
    "models without end": (deep, "demasiado_grande", "modelos en modelos"),
    "a layer called without end": (twice("aaa", 300), "familia_desconocida", "Batch"),
    "an output that is none": (
        top(output_layers=[["zz", 0, 0]]),
        "pesos_imposibles",
        "no llevan a la entrada",
    ),
    "no output": (top(output_layers=None), "familia_desconocida", "output_layers"),
    "two outputs": (
        top(output_layers=[["x", 0, 0], ["x", 0, 0]]),
        "familia_desconocida",
        "output_layers",
    ),
    "the input is the output": (
        top(output_layers=["x", 0, 0]),
        "no_es_clasificador_binario",
        "16 linear",
    ),
    "another input": (top(input_layers=["aaa", 0, 0]), "familia_desconocida", "entradas"),
    "no layers": (top(layers=[]), "no_entrenado", "sin capas"),
    "a class that is none": (
        lambda c: layer(c, "aaa").update(class_name={}),
        "familia_desconocida",
        "Keras",
    ),
    "layers that are none": (top(layers=[None, 3]), "familia_desconocida", "NoneType"),
    "a column that is not there": (sliced([ALL, 16]), "familia_desconocida", "GetItem"),
    "no columns": (sliced([ALL, slice_of(5, 3)]), "familia_desconocida", "GetItem"),
    "steps of zero": (sliced([ALL, slice_of(0, 3, 0)]), "familia_desconocida", "GetItem"),
    "some rows only": (sliced([slice_of(0, 2), 3]), "familia_desconocida", "GetItem"),
    "a dotted slice": (
        sliced([{"class_name": "__ellipsis__", "config": {}}, 3]),
        "familia_desconocida",
        "GetItem",
    ),
    "columns by text": (sliced([ALL, "3"]), "familia_desconocida", "GetItem"),
    "columns by a huge number": (sliced([ALL, 1 << 70]), "familia_desconocida", "GetItem"),
    "a masked embedding": (
        setting("first", mask_zero=True),
        "familia_desconocida",
        "Embedding mask_zero",
    ),
    "an endless table": (setting("first", input_dim=1 << 40), "familia_desconocida", "input_dim"),
    "a larger table": (setting("first", input_dim=11), "pesos_imposibles", "forma"),
    "a function for a slice": (
        lambda c: a_slice(c).update(module="os"),
        "familia_desconocida",
        "os.GetItem",
    ),
    "another axis": (setting("together", axis=0), "familia_desconocida", "axis"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_connections_that_no_model_has_are_refused(plain: bytes, name: str) -> None:
    change, code, detail = BROKEN[name]
    refusal = refusal_of(with_config(plain, change))
    assert (refusal.code, detail in refusal.detail) == (code, True), refusal.detail


def test_a_width_that_doubles_with_every_layer_is_refused(plain: bytes) -> None:
    def widen(config: dict[str, Any]) -> None:
        for number in range(100):
            before = "x" if number == 0 else f"c{number - 1}"
            config["config"]["layers"].append(
                {
                    "module": "keras.layers",
                    "class_name": "Concatenate",
                    "config": {"name": f"c{number}", "axis": -1},
                    "name": f"c{number}",
                    "inbound_nodes": [{"args": [[tensor(before)] * 2], "kwargs": {}}],
                }
            )

    assert refusal_of(with_config(plain, widen)).code == "demasiado_grande"


def test_models_that_call_each_other_many_times_are_counted(plain: bytes) -> None:
    """Four levels of a hundred calls each would be a hundred million."""

    def grow(config: dict[str, Any]) -> None:
        inner: list[dict[str, Any]] = [
            {"class_name": "Identity", "module": "keras.layers", "config": {}} for _ in range(100)
        ]
        for _ in range(3):
            model = {"class_name": "Sequential", "module": "keras", "config": {"layers": inner}}
            inner = [model for _ in range(20)]
        found = layer(config, "aaa")
        found.update(class_name="Sequential", module="keras", config={"layers": inner})

    archive = with_config(plain, grow)
    assert refusal_of(archive).code in ("demasiado_grande", "pesos_imposibles")


def test_an_archive_of_keras_2_with_slices_is_understood(keras: Any, rows: np.ndarray) -> None:
    """The words of Keras 2 for the same model, with the same numbers."""
    layers = keras.layers
    inputs = keras.Input((16,), name="x")
    found = layers.Flatten()(layers.Embedding(10, 3, name="e")(inputs[:, 3:4]))
    network = keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="d")(found))
    scatter(network)

    def translate(config: dict[str, Any]) -> None:
        config["module"] = "keras.engine.functional"
        whole = {"start": None, "stop": None, "step": None}
        part = {"start": 3, "stop": 4, "step": None}
        for item in config["config"]["layers"]:
            (call,) = item["inbound_nodes"] or [None]
            if item["class_name"] == "GetItem":
                item.update(class_name="SlicingOpLambda", registered_name=None)
                item["config"] = {"function": "__operators__.getitem", "dtype": "float32"}
                del item["module"]
                item["inbound_nodes"] = [["x", 0, 0, {"slice_spec": [whole, part]}]]
            elif call:
                history = call["args"][0]["config"]["keras_history"]
                item["inbound_nodes"] = [[[*history, {}]]]

    archive = with_config(archive_of(pickle.dumps(network)), translate)
    archive = repacked(archive, metadata__json=b'{"keras_version": "2.12.0"}')
    result = compile_model(node_around(archive), COLUMNS, frozenset({"1"}), frozenset({"0"}))
    assert np.abs(answers(result, rows) - told_by_keras(network, rows)).max() <= CLOSE
    negative = rows[:3].copy()
    negative[1, 3] = -1
    assert np.isnan(answers(result, negative)).tolist() == [False, True, False]
