"""Keras networks are read from the archive inside the pickle, and answer as Keras does."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from compiled_models import answers, compiled
from keras_files import (
    CLOSE,
    COLUMNS,
    OLD_COPY,
    Change,
    archive_of,
    built,
    library,
    node_around,
    refusal_of,
    repacked,
    scatter,
    with_config,
    with_weights,
)

from propensia.admission import graph, parity, reader
from propensia.admission.compiler import compile_model
from propensia.admission.families.keras import archive as archives
from propensia.admission.nodes import Global, Node
from propensia.admission.refusal import Refusal

pytestmark = pytest.mark.filterwarnings(OLD_COPY)


@pytest.fixture(scope="module")
def keras() -> Any:
    return library()


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
    node = node_around(with_config(archive_of(seed_bytes), hostile_config))
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

    swapped.args[0].state = (with_weights(archive_of(seed_bytes), swap), 0, None)
    first = parity.reference(root, built(seed_bytes)).predict
    second = parity.reference(swapped, built(seed_bytes)).predict
    assert first is not None and second is not None
    assert first(rows).std() > 0.05 and second(rows).std() < 1e-6


def test_what_keras_reads_is_written_where_temporary_files_go_and_removed(
    keras: Any, seed_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an admission that is the child's own folder, the only one that it may write in."""
    root, result = reader.read(seed_bytes), built(seed_bytes)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert parity.reference(root, result).predict is not None
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    nowhere = parity.reference(root, result)
    assert nowhere.predict is None and "FileNotFoundError" in nowhere.reason


@pytest.mark.parametrize("version", ["3.8.0", "2.15.0", "4.0.0"])
def test_keras_of_another_age_is_not_asked(
    seed_bytes: bytes, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    root, result = reader.read(seed_bytes), built(seed_bytes)
    monkeypatch.setattr(parity, "installed", lambda library: version)
    found = parity.reference(root, result)
    assert found.predict is None and version in found.reason


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
        (setting_change(1, activation="sparsemax"), "familia_desconocida", "sparsemax"),
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
    refusal = refusal_of(with_config(archive_of(seed_bytes), change))
    assert refusal.code == code
    assert detail in refusal.detail


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


def test_bytes_of_the_weights_that_were_changed_are_a_refusal_at_most(
    seed_bytes: bytes,
) -> None:
    """What HDF5 says of a damaged file comes in several kinds of errors."""
    random = np.random.default_rng(8)
    archive = archive_of(seed_bytes)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        whole = opened.read("model.weights.h5")
    codes = set()
    for _ in range(60):
        content = bytearray(whole)
        for place in random.integers(0, 4096, 3):
            content[place] = random.integers(256)
        try:
            node = node_around(repacked(archive, **{"model__weights__h5": bytes(content)}))
            compile_model(node, COLUMNS, frozenset({"1"}), frozenset({"0"}))
        except Refusal as refusal:
            codes.add(refusal.code)
    assert "fichero_incompleto" in codes


@pytest.mark.parametrize("name", HOSTILE_WEIGHTS)
def test_weights_that_lie_elsewhere_or_are_none_are_refused(seed_bytes: bytes, name: str) -> None:
    change, code = HOSTILE_WEIGHTS[name]
    assert refusal_of(with_weights(archive_of(seed_bytes), change)).code == code


def test_compressed_weights_are_read(seed: Any, seed_bytes: bytes, rows: np.ndarray) -> None:
    def compress(file: h5py.File) -> None:
        values = file[PLACE][()]
        replace(file, data=values, compression="gzip", shuffle=True)

    node = node_around(with_weights(archive_of(seed_bytes), compress))
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
    read = archives.read(archive.getvalue())
    found = [stored.variables[0] for stored in read.weights.layers["dense"]]
    assert [float(kernel[0, 0]) for kernel in found] == [0, 1, 2, 3, 4]
    assert read.version == "2.12.0"
