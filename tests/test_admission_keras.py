"""Keras networks are read from the archive inside the pickle, and answer as Keras does."""

from __future__ import annotations

import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from compiled_models import answers, compiled

from propensia.admission import graph, parity, reader
from propensia.admission.compiler import compile_model
from propensia.admission.families import keras_archive
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

# TensorFlow's variables do not yet know numpy 2's argument; Keras meets it when it saves them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
COLUMNS = tuple("ABCDEFGHIJKLMNOP")
# Keras computes in float32, and adds some hundreds of products in another order.
CLOSE = 1e-5
ACTIVATIONS = (
    "relu", "sigmoid", "tanh", "linear", "elu", "selu", "softplus", "softsign", "swish",
    "exponential", "gelu",
)  # fmt: skip


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with warnings.catch_warnings():
        # TensorFlow's own modules warn about each other while they are imported.
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    random = np.random.default_rng(5)
    plain = random.normal(size=(2000, 16))
    wide = random.normal(size=(200, 16)) * 1000
    return np.concatenate([plain, wide, np.zeros((1, 16))])


@pytest.fixture(scope="module")
def seed(keras: Any) -> Any:
    """The seed project's own network."""
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((16,)),
            layers.Dense(27, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(352, activation="relu", name="hidden"),
            layers.Dense(480, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    scatter(network)
    network.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return network


@pytest.fixture(scope="module")
def seed_bytes(seed: Any) -> bytes:
    return pickle.dumps(seed)


def scatter(network: Any) -> None:
    """Weights as after training: biases too, which start as zeros."""
    random = np.random.default_rng(6)
    network.set_weights(
        [random.normal(size=w.shape) / np.sqrt(w.shape[0]) for w in network.get_weights()]
    )


def built(data: bytes) -> Any:
    return compile_model(reader.read(data), COLUMNS, frozenset({"1"}), frozenset({"0"}))


def archive_of(data: bytes) -> bytes:
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


def refusal_of(archive: bytes) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        compile_model(node_around(archive), COLUMNS, frozenset({"1"}), frozenset({"0"}))
    return refusal.value


def test_the_seed_projects_network_answers_as_keras(
    seed: Any, seed_bytes: bytes, rows: np.ndarray
) -> None:
    result = built(seed_bytes)
    expected = seed(rows.astype(np.float32), training=False).numpy()[:, 0]
    got = answers(result, rows)
    assert np.abs(got - expected).max() <= CLOSE
    decided = np.abs(expected - 0.5) > CLOSE
    assert ((got >= 0.5) == (expected >= 0.5))[decided].all()
    assert expected.std() > 0.05, "a network whose answers differ, or nothing is tested"
    assert (result.family, result.kind) == ("Keras Sequential 27/352/480/1", "keras")
    assert result.facts == {"layers": 4, "parameters": seed.count_params()}
    assert result.libraries["keras"].startswith("3.")


def test_keras_itself_is_asked_for_parity(seed: Any, seed_bytes: bytes, rows: np.ndarray) -> None:
    root = reader.read(seed_bytes)
    found = parity.reference(root, built(seed_bytes))
    assert found.predict is not None and found.library.startswith("keras 3.")
    expected = seed(rows.astype(np.float32), training=False).numpy()[:, 0]
    assert np.array_equal(found.predict(rows), expected.astype(np.float64))


def hostile_config(config: dict[str, Any]) -> None:
    """Objects wherever Keras would make one out of a configuration, of classes that do harm."""
    evil = {"module": "builtins", "class_name": "eval", "config": {"source": "1"}}
    dense = config["config"]["layers"][1]
    for name in ("kernel_initializer", "bias_regularizer", "activity_regularizer"):
        dense["config"][name] = evil
    dense["config"]["name"] = "../../name"
    dense["build_config"] = config["build_config"] = evil
    config["config"]["dtype"] = config["compile_config"] = evil


def test_the_files_own_configuration_never_reaches_keras(
    seed: Any, seed_bytes: bytes, rows: np.ndarray
) -> None:
    archive = archive_of(seed_bytes)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        config = json.loads(opened.read("config.json"))
    hostile_config(config)
    node = node_around(repacked(archive, config__json=json.dumps(config).encode()))
    result = compile_model(node, COLUMNS, frozenset({"1"}), frozenset({"0"}))
    found = parity.reference(node, result)
    assert found.predict is not None, "Keras met the configuration, and stumbled"
    expected = seed(rows.astype(np.float32), training=False).numpy()[:, 0]
    assert np.abs(found.predict(rows) - expected).max() <= 1e-6


def test_keras_puts_the_weights_into_the_layers_by_its_own_rules(
    keras: Any, seed_bytes: bytes, rows: np.ndarray
) -> None:
    """So that an order of ours that were wrong would be found out."""
    root = reader.read(seed_bytes)
    swapped: Any = reader.read(seed_bytes)

    def swap(file: h5py.File) -> None:
        for name, values in (("0", np.zeros((16, 27))), ("1", np.full(27, 0.5))):
            file[f"layers/dense/vars/{name}"][...] = values

    swapped.args[0].state = (weights_with(archive_of(seed_bytes), swap), 0, None)
    first = parity.reference(root, built(seed_bytes)).predict
    second = parity.reference(swapped, built(seed_bytes)).predict
    assert first is not None and second is not None
    assert first(rows).std() > 0.05 and second(rows).std() < 1e-6


def test_what_keras_reads_is_written_in_the_given_folder_and_removed(
    keras: Any, seed_bytes: bytes, tmp_path: Path
) -> None:
    root, result = reader.read(seed_bytes), built(seed_bytes)
    assert parity.reference(root, result, tmp_path).predict is not None
    assert not list(tmp_path.iterdir())
    nowhere = parity.reference(root, result, tmp_path / "none")
    assert nowhere.predict is None and "FileNotFoundError" in nowhere.reason


@pytest.mark.parametrize("version", ["3.8.0", "2.15.0", "4.0.0"])
def test_keras_of_another_age_is_not_asked(
    seed_bytes: bytes, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    root, result = reader.read(seed_bytes), built(seed_bytes)
    monkeypatch.setattr(parity, "_installed", lambda library: version)
    found = parity.reference(root, result)
    assert found.predict is None and version in found.reason


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_answers_as_in_keras(
    keras: Any, rows: np.ndarray, activation: str
) -> None:
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((16,)),
            layers.Dense(8, activation=activation),
            layers.Dense(1, activation="sigmoid", use_bias=False),
        ]
    )
    scatter(network)
    expected = network(rows[:2000].astype(np.float32), training=False).numpy()[:, 0]
    assert expected.std() > 0.03
    result = built(pickle.dumps(network))
    assert np.abs(answers(result, rows[:2000]) - expected).max() <= CLOSE
    graph.check(result.onnx, len(COLUMNS))


def test_the_second_of_two_softmax_units_is_the_positive_class(
    keras: Any, rows: np.ndarray
) -> None:
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((16,)),
            layers.Dense(7),
            layers.Activation("tanh"),
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax"),
        ]
    )
    scatter(network)
    expected = network(rows.astype(np.float32), training=False).numpy()[:, 1]
    assert expected.std() > 0.05
    data = pickle.dumps(network)
    result = built(data)
    assert np.abs(answers(result, rows) - expected).max() <= CLOSE
    graph.check(result.onnx, len(COLUMNS))
    found = parity.reference(reader.read(data), result)
    assert found.predict is not None
    assert np.abs(found.predict(rows) - expected).max() <= 1e-6


def test_a_lambda_layer_is_refused_by_name(keras: Any) -> None:
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((16,)),
            layers.Lambda(lambda x: x * 2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    with pytest.raises(Refusal) as refusal:
        built(pickle.dumps(network))
    assert refusal.value.code == "familia_desconocida"
    assert "Lambda" in refusal.value.detail


def test_a_functional_model_is_refused_by_name(keras: Any) -> None:
    inputs = keras.Input((16,))
    network = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))
    with pytest.raises(Refusal) as refusal:
        built(pickle.dumps(network))
    assert refusal.value.code == "familia_desconocida"
    assert "Functional" in refusal.value.detail


@pytest.mark.parametrize(
    ("units", "activation", "detail"),
    [(1, None, "1 linear"), (3, "softmax", "3 softmax"), (1, "softmax", "1 softmax")],
)
def test_an_ending_that_is_no_chance_of_two_classes_is_refused(
    keras: Any, units: int, activation: str | None, detail: str
) -> None:
    network = keras.Sequential(
        [keras.layers.Input((16,)), keras.layers.Dense(units, activation=activation)]
    )
    with pytest.raises(Refusal) as refusal:
        built(pickle.dumps(network))
    assert refusal.value.code == "no_es_clasificador_binario"
    assert detail in refusal.value.detail


def test_another_number_of_columns_is_refused(seed_bytes: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        compiled(reader.read(seed_bytes))
    assert refusal.value.code == "columnas_distintas"
    assert refusal.value.detail == "Keras Sequential espera 16 columnas y recibe 6"


Change = Callable[[dict[str, Any]], None]


def layer_change(index: int, **values: object) -> Change:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][index].update(values)

    return change


def setting_change(index: int, **values: object) -> Change:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][index]["config"].update(values)

    return change


@pytest.mark.parametrize(
    ("change", "code", "detail"),
    [
        (layer_change(1, class_name="Mine"), "familia_desconocida", "Mine"),
        (layer_change(1, module="os"), "familia_desconocida", "os.Dense"),
        (layer_change(1, registered_name="my>Dense"), "familia_desconocida", "my>Dense"),
        (setting_change(1, activation="hard_sigmoid"), "familia_desconocida", "hard_sigmoid"),
        (setting_change(1, activation={"class_name": "f"}), "familia_desconocida", "activation"),
        (setting_change(1, dtype="mixed_float16"), "familia_desconocida", "mixed_float16"),
        (
            setting_change(1, dtype={"config": {"name": ["float16"]}}),
            "familia_desconocida",
            "dtype list",
        ),
        (
            lambda c: c["config"]["layers"].append(c["config"]["layers"][0]),
            "familia_desconocida",
            "InputLayer",
        ),
        (setting_change(1, lora_rank=4), "familia_desconocida", "lora_rank"),
        (setting_change(0, batch_shape=[None, 4, 4]), "familia_desconocida", "InputLayer"),
        (setting_change(1, units=28), "pesos_imposibles", "forma"),
        (setting_change(0, batch_shape=[None, 17]), "pesos_imposibles", "forma"),
        (setting_change(1, use_bias=False), "pesos_imposibles", "forma"),
        (lambda c: c["config"]["layers"].pop(), "pesos_imposibles", "pesos sin capa"),
        (lambda c: c["config"].update(layers=[]), "no_entrenado", "sin capas"),
        (
            lambda c: c["config"]["layers"].extend(c["config"]["layers"] * 99),
            "demasiado_grande",
            "capas",
        ),
        (lambda c: c.update(class_name="Functional"), "familia_desconocida", "Functional"),
        (lambda c: c.update(config=None), "no_entrenado", "sin capas"),
    ],
)
def test_a_configuration_outside_the_tables_is_refused(
    seed_bytes: bytes, change: Change, code: str, detail: str
) -> None:
    archive = archive_of(seed_bytes)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        config = json.loads(opened.read("config.json"))
    change(config)
    refusal = refusal_of(repacked(archive, config__json=json.dumps(config).encode()))
    assert refusal.code == code
    assert detail in refusal.detail


def weights_with(archive: bytes, change: Callable[[h5py.File], None]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        buffer = io.BytesIO(opened.read("model.weights.h5"))
    with h5py.File(buffer, "r+") as file:
        change(file)
    return repacked(archive, **{"model__weights__h5": buffer.getvalue()})


PLACE = "layers/dense/vars/0"


def replace(file: h5py.File, **how: Any) -> None:
    del file[PLACE]
    file.create_dataset(PLACE, **how)


def link(file: h5py.File, target: object, place: str = PLACE) -> None:
    del file[place]
    file[place] = target


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((16, 27), "<f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (16, 27))
    del file[PLACE]
    file.create_virtual_dataset(PLACE, layout)


HOSTILE_WEIGHTS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "soft link": (lambda f: link(f, h5py.SoftLink("/vars")), "contenido_no_permitido"),
    "external link": (
        lambda f: link(f, h5py.ExternalLink("/etc/passwd", "x")),
        "contenido_no_permitido",
    ),
    "external layers": (
        lambda f: link(f, h5py.ExternalLink("other.h5", "x"), "layers"),
        "contenido_no_permitido",
    ),
    "external link that only Keras would follow": (
        lambda f: link(f, h5py.ExternalLink("other.h5", "x"), "vars"),
        "contenido_no_permitido",
    ),
    "soft link deep inside": (
        lambda f: f.__setitem__("a/b/c", h5py.SoftLink("/layers")),
        "contenido_no_permitido",
    ),
    "pieces of a gigabyte": (
        lambda f: replace(
            f, shape=(16, 27), dtype="<f4", maxshape=(None, 27), chunks=(10_000_000, 27)
        ),
        "demasiado_grande",
    ),
    "external storage": (
        lambda f: replace(
            f, shape=(16, 27), dtype="<f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
        ),
        "contenido_no_permitido",
    ),
    "virtual": (virtual, "contenido_no_permitido"),
    "another filter": (
        lambda f: replace(f, data=np.ones((16, 27), "<f4"), compression="lzf"),
        "contenido_no_permitido",
    ),
    "text": (
        lambda f: replace(f, data=np.array(["a"], h5py.string_dtype())),
        "contenido_no_permitido",
    ),
    "billions of rows": (
        lambda f: replace(f, shape=(1 << 40, 27), dtype="<f4", chunks=(1024, 27)),
        "demasiado_grande",
    ),
    "not finite": (
        lambda f: replace(f, data=np.full((16, 27), np.nan, "<f4")),
        "pesos_imposibles",
    ),
    "another shape": (lambda f: replace(f, data=np.ones((27, 16), "<f4")), "pesos_imposibles"),
    "no number": (lambda f: replace(f, data=np.float32(3)), "pesos_imposibles"),
    "no kernel": (lambda f: f.__delitem__(PLACE), "fichero_incompleto"),
    "no layers": (lambda f: f.__delitem__("layers"), "fichero_incompleto"),
    "group for a number": (lambda f: link(f, f["vars"]), "contenido_no_permitido"),
}


@pytest.mark.parametrize("name", HOSTILE_WEIGHTS)
def test_weights_that_lie_elsewhere_or_are_none_are_refused(seed_bytes: bytes, name: str) -> None:
    change, code = HOSTILE_WEIGHTS[name]
    assert refusal_of(weights_with(archive_of(seed_bytes), change)).code == code


def test_compressed_weights_are_read(seed: Any, seed_bytes: bytes, rows: np.ndarray) -> None:
    def compress(file: h5py.File) -> None:
        values = file[PLACE][()]
        replace(file, data=values, compression="gzip", shuffle=True)

    node = node_around(weights_with(archive_of(seed_bytes), compress))
    result = compile_model(node, COLUMNS, frozenset({"1"}), frozenset({"0"}))
    expected = seed(rows.astype(np.float32), training=False).numpy()[:, 0]
    assert np.abs(answers(result, rows) - expected).max() <= CLOSE


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"evil__py": b"x"}, "contenido_no_permitido"),
        ({"../../config__json": b"{}"}, "contenido_no_permitido"),
        ({"config__json": None}, "fichero_incompleto"),
        ({"config__json": b"[" * 100_000}, "fichero_incompleto"),
        ({"config__json": b"[]"}, "fichero_incompleto"),
        ({"model__weights__h5": b"\x89HDF\r\n\x1a\n" + b"\0" * 90}, "fichero_incompleto"),
        ({"metadata__json": b" " * (65 << 10)}, "demasiado_grande"),
    ],
)
def test_an_archive_with_other_contents_is_refused(
    seed_bytes: bytes, members: dict[str, bytes | None], code: str
) -> None:
    assert refusal_of(repacked(archive_of(seed_bytes), **members)).code == code


def test_a_cut_archive_is_refused_at_every_length(seed_bytes: bytes) -> None:
    archive = archive_of(seed_bytes)
    for length in range(4, len(archive), len(archive) // 40):
        assert refusal_of(archive[:length]).code == "fichero_incompleto"


def test_what_keras_before_2_12_saved_is_refused_by_name() -> None:
    refusal = refusal_of(b"./\0\0 a tar archive")
    assert refusal.code == "familia_desconocida"
    assert "2.12" in refusal.detail


def test_the_loader_with_no_archive_is_refused() -> None:
    loader = node_around(b"").made_by
    for args in ((), (1,), (b"", b""), (Node(Global("_io", "BytesIO")),)):
        with pytest.raises(Refusal) as refusal:
            compiled(Node(loader, args))
        assert refusal.value.code == "fichero_incompleto"


def test_layers_are_matched_by_their_counter_not_by_their_letters() -> None:
    """Keras 2.12 counts dense, dense_2, dense_4; the tenth comes after the second."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for place, name in enumerate(["dense", "dense_2", "dense_4", "dense_10", "dense_12"]):
            file[f"_layer_checkpoint_dependencies/{name}/vars/0"] = np.full((1, 1), float(place))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("metadata.json", '{"keras_version": "2.12.0"}')
        members.writestr("config.json", "{}")
        members.writestr("model.weights.h5", buffer.getvalue())
    read = keras_archive.read(archive.getvalue())
    assert [float(kernel[0, 0]) for (kernel,) in read.weights["dense"]] == [0, 1, 2, 3, 4]
    assert read.version == "2.12.0"
