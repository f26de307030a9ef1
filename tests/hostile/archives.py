"""Keras archives by hand inside a pickle: what their parts may carry beside a network."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from admission_files import call, stream

from hostile.case import Case, Trap

Layer = dict[str, Any]
_LOADER = "keras.saving.pickle_utils", "deserialize_model_from_bytecode"
_ANY = (
    "contenido_no_permitido", "familia_desconocida", "fichero_incompleto", "no_es_un_modelo",
    "no_es_clasificador_binario", "pesos_imposibles", "demasiado_grande", "columnas_distintas",
)  # fmt: skip
_INPUT = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 16], "name": "i"}}


def _dense(**more: Any) -> Layer:
    config = {"name": "dense", "units": 1, "activation": "sigmoid", "use_bias": True}
    return {"class_name": "Dense", "config": config | more}


def _weights(fill: Callable[[h5py.Group], None] | None = None) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as archive:
        group = archive.create_group("_layer_checkpoint_dependencies/dense/vars")
        if fill is None:
            group["0"] = np.full((16, 1), 0.1, np.float32)
            group["1"] = np.zeros(1, np.float32)
        else:
            fill(group)
    return file.getvalue()


def _network(*layers: Layer) -> bytes:
    inner = {"name": "s", "layers": [_INPUT, *layers]}
    whole = {"module": "keras", "class_name": "Sequential", "config": inner}
    return json.dumps(whole).encode()


PARTS = {
    "metadata.json": json.dumps({"keras_version": "2.12.0"}).encode(),
    "config.json": _network(_dense()),
    "model.weights.h5": _weights(),
}
"""What the archive of a good network is made of."""


def _zip(**members: bytes) -> bytes:
    """An archive of a good network, but for the members given (``__`` for a point)."""
    return _packed(PARTS | {key.replace("__", "."): value for key, value in members.items()})


def _packed(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in parts.items():
            archive.writestr(key, value)
    return file.getvalue()


def with_part(title: str, part: bytes) -> bytes:
    """The file of a good network but for one part of its archive."""
    return pickled(_packed(PARTS | {title: part}))


def pickled(archive: bytes) -> bytes:
    """The file as Keras 2.12 pickles such an archive."""
    return stream(call(*_LOADER, b"B" + len(archive).to_bytes(4, "little") + archive))


def good() -> bytes:
    """A network that is admitted, to show that the others fail for their own reason."""
    return pickled(_zip())


def _elsewhere(group: h5py.Group) -> None:
    group["0"] = h5py.ExternalLink("/etc/passwd", "/x")


def _outside(group: h5py.Group) -> None:
    group.create_dataset("0", (16, 1), "f4", external=[("/etc/passwd", 0, 64)])


def _huge(group: h5py.Group) -> None:
    group.create_dataset("0", (10**6, 10**6), "f4", chunks=(1000, 1000))


def _no_numbers(group: h5py.Group) -> None:
    group["0"], group["1"] = np.full((16, 1), np.nan, np.float32), np.zeros(1, np.float32)


def _other_shape(group: h5py.Group) -> None:
    group["0"], group["1"] = np.ones((17, 1), np.float32), np.zeros(1, np.float32)


def _lambda(trap: Trap) -> bytes:
    function = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA"}}
    layer = {"class_name": "Lambda", "config": {"name": "l", "function": function}}
    return _zip(config__json=_network(_dense(), layer))


def _own_class(trap: Trap) -> bytes:
    layer = {"module": "os", "class_name": "system", "config": {"command": trap.shell},
             "registered_name": "os>system"}  # fmt: skip
    return _zip(config__json=_network(layer))


def _operation(trap: Trap) -> bytes:
    layer = {"class_name": "TFOpLambda", "config": {"function": "io.write_file", "name": "t"}}
    return _zip(config__json=_network(_dense(), layer))


_ARCHIVES: dict[str, tuple[Callable[[Trap], bytes], str]] = {
    "network_with_a_lambda_layer": (_lambda, "Lambda"),
    "network_with_a_class_of_its_own": (_own_class, "system"),
    "network_with_an_operation_of_tensorflow": (_operation, "TFOpLambda"),
    "network_with_an_activation_of_its_own": (
        lambda trap: _zip(config__json=_network(_dense(activation="os>system"))),
        "system",
    ),
    "archive_with_a_path_that_leads_out": (
        lambda trap: _zip(**{"../../../evil__py": trap.python.encode()}),
        "evil",
    ),
    "archive_with_a_program": (
        lambda trap: _zip(assets__py=trap.python.encode()),
        "assets",
    ),
    "archive_that_grows_without_end": (
        lambda trap: _zip(config__json=b" " * (64 << 20)),
        "config.json",
    ),
    "archive_of_deep_settings": (
        lambda trap: _zip(config__json=b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
        "",
    ),
    "archive_of_settings_that_are_a_list": (lambda trap: _zip(config__json=b"[]"), ""),
    "archive_of_a_number_of_a_million_digits": (
        lambda trap: _zip(config__json=b'{"a":' + b"9" * 10**6 + b"}"),
        "",
    ),
    "weights_in_another_file": (
        lambda trap: _zip(model__weights__h5=_weights(_elsewhere)),
        "",
    ),
    "weights_stored_outside": (lambda trap: _zip(model__weights__h5=_weights(_outside)), ""),
    "weights_of_a_terabyte": (lambda trap: _zip(model__weights__h5=_weights(_huge)), ""),
    "network_weights_that_are_no_numbers": (
        lambda trap: _zip(model__weights__h5=_weights(_no_numbers)),
        "",
    ),
    "network_weights_of_another_shape": (
        lambda trap: _zip(model__weights__h5=_weights(_other_shape)),
        "",
    ),
    "weights_that_are_no_hdf5": (lambda trap: _zip(model__weights__h5=b"nothing"), ""),
    "archive_that_is_none": (lambda trap: b"PK\x03\x04 nothing more", ""),
    "archive_that_is_empty": (lambda trap: b"", ""),
}


def _case(title: str, archive: Callable[[Trap], bytes], says: str) -> Case:
    return Case(title, lambda trap: pickled(archive(trap)), _ANY, says)


CASES: tuple[Case, ...] = tuple(_case(title, *row) for title, row in _ARCHIVES.items())
